//! Readings of the metrics in regular intervals, so that pages can say how much flows in a second.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::telemetry::{Reading, Registry};

/// The last two readings, the older one first.
#[derive(Debug, Default)]
pub(super) struct Samples(Mutex<[Option<Sample>; 2]>);

#[derive(Clone, Debug)]
struct Sample {
    at: Instant,
    reading: Reading,
}

/// How counters grew of late.
#[derive(Debug)]
pub(super) struct Rates {
    before: Reading,
    elapsed: Duration,
}

/// Rates are those of one to two intervals.
const INTERVAL: Duration = Duration::from_secs(10);

// === impl Samples ===

impl Samples {
    /// Takes readings for ever.
    pub(super) async fn take(self: Arc<Self>, registry: Registry) {
        loop {
            self.add(registry.read(), Instant::now());
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// How counters grew up to now.
    pub(super) fn since_last(&self) -> Option<Rates> {
        self.since_last_at(Instant::now())
    }

    fn since_last_at(&self, now: Instant) -> Option<Rates> {
        let samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sample = samples.iter().flatten().next()?;
        let elapsed = now.saturating_duration_since(sample.at);
        // Over less than a second a rate says little.
        (elapsed >= Duration::from_secs(1)).then(|| Rates {
            before: sample.reading.clone(),
            elapsed,
        })
    }

    fn add(&self, reading: Reading, at: Instant) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = samples[1].take();
        *samples = [newest, Some(Sample { at, reading })];
    }
}

// === impl Rates ===

impl Rates {
    /// How much a counter that is at `now` grew in a second.
    pub(super) fn of(&self, name: &str, labels: &[(&str, &str)], now: f64) -> f64 {
        let before = self.before.sum(name, labels).unwrap_or_default();
        (now - before).max(0.0) / self.elapsed.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_last_intervals() {
        let registry = Registry::default();
        let counter = registry.counter("n", "A counter.", &[]);
        let samples = Samples::default();
        let start = Instant::now();
        assert!(samples.since_last_at(start).is_none());
        for (second, amount) in [(0, 100), (10, 100), (20, 50)] {
            counter.add(amount);
            samples.add(registry.read(), start + Duration::from_secs(second));
        }
        counter.add(50);
        // 200 were counted at the tenth second.
        let rates = samples
            .since_last_at(start + Duration::from_secs(30))
            .unwrap();
        assert_eq!(rates.of("n", &[], 300.0), 5.0);
        assert_eq!(rates.of("n", &[], 100.0), 0.0);
    }
}
