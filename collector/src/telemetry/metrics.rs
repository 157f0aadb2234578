//! Counters and gauges, what they are at one moment, and that in Prometheus' text format 0.0.4.
//!
//! Left out: exemplars, and the `_total` suffix, which the names of otelcol's default
//! reader do not have.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::histogram::{Histogram, HistogramReading};

/// Every metric of the process. Clones share their metrics.
#[derive(Clone, Default)]
pub struct Registry(Arc<Mutex<Metrics>>);

/// A number that only grows. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

#[derive(Default)]
struct Metrics {
    families: BTreeMap<&'static str, Family>,
    /// What happens before each reading.
    preparations: Vec<Box<dyn Fn() + Send + Sync>>,
}

struct Family {
    help: &'static str,
    kind: Kind,
    series: BTreeMap<Labels, Source>,
}

/// Names and values of labels, in the order in which they are written.
pub type Labels = Vec<(String, String)>;

/// How the numbers of a family behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They only grow.
    Counter,
    /// They go up and down.
    Gauge,
    /// They are counted by their size.
    Histogram,
}

/// Every metric at one moment, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// The metrics.
    pub families: Vec<FamilyReading>,
}

/// One metric at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct FamilyReading {
    /// Its name.
    pub name: &'static str,
    /// What it counts, as a sentence.
    pub help: &'static str,
    /// How its numbers behave.
    pub kind: Kind,
    /// Its numbers by labels; none in a histogram.
    pub samples: Vec<(Labels, f64)>,
    /// What a histogram has instead.
    pub histograms: Vec<(Labels, HistogramReading)>,
}

enum Source {
    Counter(Counter),
    /// `None` when it is about something that is no longer there.
    Read(Box<dyn Fn() -> Option<f64> + Send + Sync>),
    Histogram(Histogram),
}

// === impl Registry ===

impl Registry {
    /// The counter of this name and these labels, made on first use.
    pub fn counter(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
    ) -> Counter {
        let mut counter = Counter::default();
        self.with_series(name, help, Kind::Counter, |series| {
            match series
                .entry(owned(labels))
                .or_insert_with(|| Source::Counter(counter.clone()))
            {
                Source::Counter(known) => counter = known.clone(),
                Source::Read(_) | Source::Histogram(_) => {}
            }
        });
        counter
    }

    /// The histogram of this name and these labels, made on first use.
    pub fn histogram(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        bounds: &'static [u64],
    ) -> Histogram {
        let mut histogram = Histogram::new(bounds);
        self.with_series(name, help, Kind::Histogram, |series| {
            match series
                .entry(owned(labels))
                .or_insert_with(|| Source::Histogram(histogram.clone()))
            {
                Source::Histogram(known) => histogram = known.clone(),
                Source::Counter(_) | Source::Read(_) => {}
            }
        });
        histogram
    }

    /// A counter whose value is kept elsewhere. Replaces one of the same name and labels.
    pub fn counter_from(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        self.with_series(name, help, Kind::Counter, |series| {
            series.insert(owned(labels), Source::Read(Box::new(move || Some(read()))));
        });
    }

    /// A number that goes up and down, read when the metrics are. Replaces one of the same name and
    /// labels.
    pub fn gauge(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        self.gauge_while(name, help, labels, move || Some(read()));
    }

    /// The same of something that may go away: left out while `read` says `None`.
    pub fn gauge_while(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        read: impl Fn() -> Option<f64> + Send + Sync + 'static,
    ) {
        self.with_series(name, help, Kind::Gauge, |series| {
            series.insert(owned(labels), Source::Read(Box::new(read)));
        });
    }

    /// Runs `prepare` whenever the metrics are about to be read, so that several of them can come from
    /// one look at what they are about.
    pub fn before_reading(&self, prepare: impl Fn() + Send + Sync + 'static) {
        self.lock().preparations.push(Box::new(prepare));
    }

    /// All metrics at this moment.
    pub fn read(&self) -> Reading {
        let metrics = self.lock();
        for prepare in &metrics.preparations {
            prepare();
        }
        let families = metrics.families.iter().map(|(name, family)| {
            let mut reading = FamilyReading {
                name,
                help: family.help,
                kind: family.kind,
                samples: Vec::new(),
                histograms: Vec::new(),
            };
            for (labels, source) in &family.series {
                let labels = labels.clone();
                match source {
                    Source::Counter(counter) => {
                        reading.samples.push((labels, counter.get() as f64));
                    }
                    Source::Read(read) => {
                        reading.samples.extend(read().map(|value| (labels, value)));
                    }
                    Source::Histogram(one) => reading.histograms.push((labels, one.read())),
                }
            }
            reading
        });
        Reading {
            families: families.collect(),
        }
    }

    /// All metrics in Prometheus' text format, ordered by name.
    pub fn encode(&self) -> String {
        self.read().encode()
    }

    fn with_series(
        &self,
        name: &'static str,
        help: &'static str,
        kind: Kind,
        change: impl FnOnce(&mut BTreeMap<Labels, Source>),
    ) {
        let mut metrics = self.lock();
        let family = metrics.families.entry(name).or_insert_with(|| Family {
            help,
            kind,
            series: BTreeMap::new(),
        });
        change(&mut family.series);
    }

    fn lock(&self) -> MutexGuard<'_, Metrics> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Registry")
    }
}

// === impl Counter ===

impl Counter {
    /// Counts `amount` more.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// How many have been counted.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

// === impl Reading ===

impl Reading {
    /// In Prometheus' text format.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        for family in &self.families {
            let (name, kind) = (family.name, family.kind.name());
            // Writing to a String cannot fail.
            let _ = writeln!(text, "# HELP {name} {}", family.help);
            let _ = writeln!(text, "# TYPE {name} {kind}");
            for (labels, value) in &family.samples {
                let _ = writeln!(text, "{name}{} {value}", braces(labels));
            }
            for (labels, histogram) in &family.histograms {
                histogram.encode(name, &joined(labels), &mut text);
            }
        }
        text
    }

    /// The sum of one metric over every series that has all of `labels`; `None` if there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let family = self.families.iter().find(|family| family.name == name)?;
        let has = |have: &Labels, (label, value): &(&str, &str)| {
            have.iter().any(|(name, is)| name == label && is == value)
        };
        let fitting = family.samples.iter();
        let fitting = fitting.filter(|(have, _)| labels.iter().all(|wanted| has(have, wanted)));
        fitting
            .map(|(_, value)| *value)
            .reduce(|sum, value| sum + value)
    }
}

// === impl Kind ===

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

fn owned(labels: &[(&str, &str)]) -> Labels {
    let labels = labels.iter();
    labels
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// Labels as they stand behind a name; nothing if there are none.
fn braces(labels: &Labels) -> String {
    match labels.is_empty() {
        true => String::new(),
        false => format!("{{{}}}", joined(labels)),
    }
}

fn joined(labels: &Labels) -> String {
    let mut text = String::new();
    for (index, (name, value)) in labels.iter().enumerate() {
        let separator = if index == 0 { "" } else { "," };
        let value = value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        let _ = write!(text, "{separator}{name}=\"{value}\"");
    }
    text
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
