//! Counters and gauges, and their encoding in Prometheus' text format 0.0.4.
//!
//! Left out: histograms, exemplars, and the `_total` suffix, which the names of otelcol's default
//! reader do not have.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    kind: &'static str,
    /// By labels as they are written between braces; may be empty.
    series: BTreeMap<String, Source>,
}

enum Source {
    Counter(Counter),
    Read(Box<dyn Fn() -> f64 + Send + Sync>),
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
        self.with_series(name, help, "counter", |series| {
            match series
                .entry(encode_labels(labels))
                .or_insert_with(|| Source::Counter(counter.clone()))
            {
                Source::Counter(known) => counter = known.clone(),
                Source::Read(_) => {}
            }
        });
        counter
    }

    /// A counter whose value is kept elsewhere. Replaces one of the same name and labels.
    pub fn counter_from(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        self.with_series(name, help, "counter", |series| {
            series.insert(encode_labels(labels), Source::Read(Box::new(read)));
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
        self.with_series(name, help, "gauge", |series| {
            series.insert(encode_labels(labels), Source::Read(Box::new(read)));
        });
    }

    /// Runs `prepare` whenever the metrics are about to be read, so that several of them can come from
    /// one look at what they are about.
    pub fn before_reading(&self, prepare: impl Fn() + Send + Sync + 'static) {
        self.lock().preparations.push(Box::new(prepare));
    }

    /// All metrics in Prometheus' text format, ordered by name.
    pub fn encode(&self) -> String {
        let metrics = self.lock();
        for prepare in &metrics.preparations {
            prepare();
        }
        let mut text = String::new();
        for (name, family) in &metrics.families {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "# HELP {name} {}", family.help);
            let _ = writeln!(text, "# TYPE {name} {}", family.kind);
            for (labels, source) in &family.series {
                let braces = if labels.is_empty() {
                    String::new()
                } else {
                    format!("{{{labels}}}")
                };
                let _ = match source {
                    Source::Counter(counter) => writeln!(text, "{name}{braces} {}", counter.get()),
                    Source::Read(read) => writeln!(text, "{name}{braces} {}", read()),
                };
            }
        }
        text
    }

    fn with_series(
        &self,
        name: &'static str,
        help: &'static str,
        kind: &'static str,
        change: impl FnOnce(&mut BTreeMap<String, Source>),
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

fn encode_labels(labels: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in labels {
        if !text.is_empty() {
            text.push(',');
        }
        let value = value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        let _ = write!(text, "{name}=\"{value}\"");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_written_by_name() {
        let registry = Registry::default();
        registry.gauge("b", "A gauge.", &[], || 1.5);
        let counter = registry.counter("a", "A counter.", &[("x", "1\"2")]);
        registry.counter("a", "A counter.", &[("x", "1\"2")]).add(2);
        counter.add(1);
        registry.counter_from("a", "A counter.", &[("x", "0")], || 7.0);
        assert_eq!(
            registry.encode(),
            "# HELP a A counter.\n# TYPE a counter\na{x=\"0\"} 7\na{x=\"1\\\"2\"} 3\n\
             # HELP b A gauge.\n# TYPE b gauge\nb 1.5\n"
        );
    }
}
