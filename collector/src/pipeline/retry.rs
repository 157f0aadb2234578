//! How long to wait before the next attempt: exponential backoff with jitter.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

use tokio::time::Instant;

use super::RetryOptions;

/// The attempts to deliver one batch.
#[derive(Debug)]
pub(super) struct Backoff<'a> {
    options: &'a RetryOptions,
    started: Instant,
    interval: Duration,
}

// === impl Backoff ===

impl<'a> Backoff<'a> {
    pub(super) fn new(options: &'a RetryOptions, now: Instant) -> Self {
        Self {
            options,
            started: now,
            interval: options.initial_interval.0,
        }
    }

    /// How long to wait; `None` if there is no further attempt. A hint of the destination (its
    /// RetryInfo or Retry-After) is a lower bound. Without one the wait is at most `longest`, and then
    /// the intervals do not grow.
    pub(super) fn next(
        &mut self,
        now: Instant,
        hint: Option<Duration>,
        longest: Duration,
    ) -> Option<Duration> {
        if !self.options.enabled {
            return None;
        }
        let spread = self.options.randomization_factor;
        let factor = 1.0 - spread + 2.0 * spread * random_fraction();
        let mut delay = multiplied(self.interval, factor);
        if delay > longest {
            delay = longest;
        } else {
            let max_interval = self.options.max_interval.0;
            self.interval = multiplied(self.interval, self.options.multiplier).min(max_interval);
        }
        let delay = delay.max(hint.unwrap_or_default());
        match self.options.max_elapsed_time.non_zero() {
            Some(limit) if now.duration_since(self.started).saturating_add(delay) > limit => None,
            _ => Some(delay),
        }
    }
}

/// The product, or the longest duration if it does not fit; the configuration may name any.
fn multiplied(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

/// A number in 0..1. Jitter only has to differ between processes and calls, for which the seeds of
/// the standard library's hash maps are good enough.
pub(crate) fn random_fraction() -> f64 {
    let bits = RandomState::new().hash_one(0_u8) >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Span;

    const ANY: Duration = Duration::MAX;

    #[test]
    fn intervals_grow_up_to_the_limit() {
        let options = RetryOptions::default();
        let now = Instant::now();
        let mut backoff = Backoff::new(&options, now);
        let mut expected = 5.0_f64;
        for _ in 0..8 {
            let delay = backoff.next(now, None, ANY).unwrap().as_secs_f64();
            assert!(
                (expected * 0.49..expected * 1.51).contains(&delay),
                "{delay}"
            );
            expected = (expected * 1.5).min(30.0);
        }
    }

    #[test]
    fn intervals_that_are_cut_do_not_grow() {
        let options = RetryOptions {
            max_elapsed_time: Span::seconds(30),
            ..RetryOptions::default()
        };
        let began = Instant::now();
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::new(&options, began);
        for elapsed in 0..30 {
            let now = began + elapsed * second;
            assert_eq!(backoff.next(now, None, second), Some(second), "{elapsed} s");
        }
        assert_eq!(backoff.next(began + 30 * second, None, second), None);
        let longer = backoff.next(began, None, ANY).unwrap();
        assert!(longer < Duration::from_secs(8), "{longer:?}");
    }

    #[test]
    fn hints_are_lower_bounds() {
        let options = RetryOptions::default();
        let now = Instant::now();
        let hint = Duration::from_secs(60);
        assert_eq!(
            Backoff::new(&options, now).next(now, Some(hint), ANY),
            Some(hint)
        );
    }

    #[test]
    fn the_longest_durations_do_not_overflow() {
        let longest = Span(Duration::MAX);
        let now = Instant::now();
        let options = RetryOptions {
            initial_interval: longest,
            max_interval: longest,
            ..RetryOptions::default()
        };
        let later = now + Duration::from_secs(1);
        let mut backoff = Backoff::new(&options, now);
        assert_eq!(backoff.next(later, Some(Duration::MAX), ANY), None);
        let options = RetryOptions {
            max_elapsed_time: Span::default(),
            ..options
        };
        let mut backoff = Backoff::new(&options, now);
        for _ in 0..3 {
            assert!(backoff.next(later, None, ANY).is_some());
        }
        assert_eq!(
            backoff.next(later, Some(Duration::MAX), ANY),
            Some(Duration::MAX)
        );
    }

    #[test]
    fn there_is_an_end() {
        let options = RetryOptions {
            max_elapsed_time: Span::seconds(10),
            ..RetryOptions::default()
        };
        let now = Instant::now();
        let mut backoff = Backoff::new(&options, now);
        assert!(backoff.next(now, None, ANY).is_some());
        assert!(
            backoff
                .next(now + Duration::from_secs(10), None, ANY)
                .is_none()
        );
        let never = RetryOptions {
            enabled: false,
            ..options
        };
        assert!(Backoff::new(&never, now).next(now, None, ANY).is_none());
    }
}
