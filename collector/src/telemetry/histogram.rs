//! How often numbers were how large.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Whole numbers, counted by their size. Clones count together.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    bounds: &'static [u64],
    /// How many are within each bound and beyond the one before it; and those beyond the last one.
    counts: Vec<AtomicU64>,
    sum: AtomicU64,
}

/// A histogram at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistogramReading {
    /// The largest number of each bucket but the last one, in order.
    pub bounds: &'static [u64],
    /// How many numbers were in each bucket; one more than there are bounds.
    pub counts: Vec<u64>,
    /// All numbers together.
    pub sum: u64,
}

// === impl Histogram ===

impl Histogram {
    /// An empty one. `bounds` are in ascending order.
    pub fn new(bounds: &'static [u64]) -> Self {
        Self(Arc::new(Buckets {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }))
    }

    /// Counts one more number.
    pub fn record(&self, number: u64) {
        let bucket = self.0.bounds.partition_point(|bound| *bound < number);
        self.0.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.0.sum.fetch_add(number, Ordering::Relaxed);
    }

    /// What has been counted.
    pub fn read(&self) -> HistogramReading {
        let counts = self.0.counts.iter();
        HistogramReading {
            bounds: self.0.bounds,
            counts: counts.map(|count| count.load(Ordering::Relaxed)).collect(),
            sum: self.0.sum.load(Ordering::Relaxed),
        }
    }
}

// === impl HistogramReading ===

impl HistogramReading {
    /// How many numbers there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Writes it in Prometheus' text format. `labels` are those of the series, without braces.
    pub(super) fn encode(&self, name: &str, labels: &str, text: &mut String) {
        let comma = if labels.is_empty() { "" } else { "," };
        let bounds = self.bounds.iter().map(ToString::to_string);
        let mut sum = 0;
        for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(&self.counts) {
            sum += count;
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {sum}");
        }
        let braces = match labels {
            "" => String::new(),
            labels => format!("{{{labels}}}"),
        };
        let _ = writeln!(text, "{name}_sum{braces} {}", self.sum);
        let _ = writeln!(text, "{name}_count{braces} {sum}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_counted_by_their_size() {
        let histogram = Histogram::new(&[10, 100]);
        for number in [0, 10, 11, 100, 101] {
            histogram.record(number);
        }
        let reading = histogram.read();
        assert_eq!((&*reading.counts, reading.sum), (&[2, 2, 1][..], 222));
        assert_eq!(reading.count(), 5);
        let mut text = String::new();
        reading.encode("n", "a=\"b\"", &mut text);
        assert_eq!(
            text,
            "n_bucket{a=\"b\",le=\"10\"} 2\nn_bucket{a=\"b\",le=\"100\"} 4\n\
             n_bucket{a=\"b\",le=\"+Inf\"} 5\nn_sum{a=\"b\"} 222\nn_count{a=\"b\"} 5\n"
        );
        text.clear();
        Histogram::new(&[]).read().encode("n", "", &mut text);
        assert_eq!(text, "n_bucket{le=\"+Inf\"} 0\nn_sum 0\nn_count 0\n");
    }
}
