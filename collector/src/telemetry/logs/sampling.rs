//! How many of the same lines are written.
//!
//! Lines are the same if they come from the same place in the code and their texts are about the same
//! things: two exporters that fail do not keep each other quiet. Their numbers may differ, and so may
//! what is said in their messages.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::Event;
use tracing::field::{Field, Visit};

use super::options::Sampling;

/// Lets through what is to be written.
#[derive(Debug)]
pub(super) struct Sampler {
    sampling: Option<Sampling>,
    counts: Mutex<HashMap<u64, Count>>,
}

/// How many of the same lines there were since a moment.
#[derive(Debug)]
struct Count {
    since: Instant,
    lines: u64,
}

/// Puts together what makes lines the same.
struct Likeness(DefaultHasher);

/// How many kinds of lines are counted. More than that cannot be told apart by the names in a
/// configuration.
const MAX_COUNTS: usize = 10_000;

static SUPPRESSED: AtomicU64 = AtomicU64::new(0);

/// How many lines of this process were not written.
pub fn suppressed() -> u64 {
    SUPPRESSED.load(Ordering::Relaxed)
}

// === impl Sampler ===

impl Sampler {
    pub(super) fn new(sampling: Option<Sampling>) -> Self {
        Self {
            sampling,
            counts: Mutex::default(),
        }
    }

    /// Whether one more line is written. If not, it is counted.
    pub(super) fn takes(&self, event: &Event<'_>) -> bool {
        let mut likeness = Likeness(DefaultHasher::new());
        event.metadata().callsite().hash(&mut likeness.0);
        event.record(&mut likeness);
        let takes = self.takes_one_of(likeness.0.finish(), Instant::now());
        if !takes {
            SUPPRESSED.fetch_add(1, Ordering::Relaxed);
        }
        takes
    }

    /// Whether one more line of a kind is written.
    fn takes_one_of(&self, kind: u64, now: Instant) -> bool {
        let Some(Sampling {
            tick,
            initial,
            thereafter,
        }) = self.sampling
        else {
            return true;
        };
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |count: &Count| now.saturating_duration_since(count.since) >= tick;
        if counts.len() >= MAX_COUNTS {
            counts.retain(|_, count| !is_over(count));
        }
        let count = counts.entry(kind).or_insert(Count {
            since: now,
            lines: 0,
        });
        if is_over(count) && tick > Duration::ZERO {
            *count = Count {
                since: now,
                lines: 0,
            };
        }
        count.lines += 1;
        let beyond = count.lines.saturating_sub(initial);
        beyond == 0 || (thereafter > 0 && beyond % thereafter == 0)
    }
}

// === impl Likeness ===

impl Visit for Likeness {
    fn record_str(&mut self, field: &Field, value: &str) {
        (field.name(), value).hash(&mut self.0);
    }

    // Messages with parts that vary, and numbers.
    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

#[cfg(test)]
mod tests {
    use tracing::Subscriber;
    use tracing_subscriber::layer::{Context, SubscriberExt as _};

    use super::*;

    const SAMPLING: Sampling = Sampling {
        tick: Duration::from_secs(10),
        initial: 2,
        thereafter: 3,
    };

    #[test]
    fn the_first_lines_are_written_and_every_so_many_th_later() {
        let sampler = Sampler::new(Some(SAMPLING));
        let start = Instant::now();
        let taken = |now| (0..9).filter(|_| sampler.takes_one_of(1, now)).count();
        assert_eq!(taken(start), 4);
        assert!(sampler.takes_one_of(2, start), "another kind");
        assert_eq!(taken(start + SAMPLING.tick), 4, "in the next interval");
        let only = Sampler::new(Some(Sampling {
            thereafter: 0,
            ..SAMPLING
        }));
        assert_eq!((0..9).filter(|_| only.takes_one_of(1, start)).count(), 2);
        let off = Sampler::new(None);
        assert_eq!((0..9).filter(|_| off.takes_one_of(1, start)).count(), 9);
    }

    /// Counts what comes through.
    #[derive(Clone)]
    struct Lines(std::sync::Arc<(Sampler, AtomicU64)>);

    impl<S: Subscriber> tracing_subscriber::Layer<S> for Lines {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let (sampler, lines) = &*self.0;
            if sampler.takes(event) {
                lines.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    #[test]
    fn lines_about_different_components_do_not_keep_each_other_quiet() {
        let sampler = Sampler::new(Some(SAMPLING));
        let lines = Lines(std::sync::Arc::new((sampler, AtomicU64::new(0))));
        let subscriber = tracing_subscriber::registry().with(lines.clone());
        let before = suppressed();
        tracing::subscriber::with_default(subscriber, || {
            for exporter in ["a", "b"] {
                for number in 0..4 {
                    tracing::warn!(exporter, number, "attempt {number} failed");
                }
            }
        });
        assert_eq!(lines.0.1.load(Ordering::Relaxed), 4);
        assert!(suppressed() >= before + 4);
    }
}
