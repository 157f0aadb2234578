//! `max_per_second`: one budget for the whole Envoy process.
//!
//! A token bucket in Envoy's shared data, changed by compare and swap. Nothing tells a filter how
//! many workers there are, and one HTTP/2 connection stays on one of them, so a budget cannot be
//! divided beforehand: each worker leases a block of tokens when it needs some, and so pays for a
//! host call once a block. The bucket holds a tenth of a second's tokens, so that after a pause no
//! more than that comes at once.
//!
//! Left out: a budget over several Envoys, which would need a call to a service.

use std::cell::Cell;

use crate::host::{Host, SharedDataError};

/// How many blocks a second's tokens are leased in.
const BLOCKS_PER_SECOND: f64 = 50.0;
/// What the bucket holds, in seconds.
const BURST_SECONDS: f64 = 0.1;
/// After this many lost races a worker goes without.
const MAX_RACES: usize = 8;
/// A worker that found the bucket empty asks again after this, in nanoseconds.
const PATIENCE: u64 = 5_000_000;

/// A worker's view of a bucket.
#[derive(Debug)]
pub(crate) struct RateLimit {
    key: String,
    per_second: f64,
    /// Tokens that are leased and not spent.
    leased: Cell<u32>,
    /// The time of the monotonic clock before which the bucket is taken for empty.
    empty_until: Cell<u64>,
}

/// The bucket, as it stands in the shared data: 16 bytes, little-endian.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bucket {
    tokens: f64,
    /// When that was, by the monotonic clock, which is one for all workers.
    at: u64,
}

impl RateLimit {
    /// A limit of `per_second` (more than 0) for all who use the same `key`.
    pub(crate) fn new(key: String, per_second: f64) -> Self {
        Self {
            key,
            per_second,
            leased: Cell::new(0),
            empty_until: Cell::new(0),
        }
    }

    /// Takes a token, if there is one.
    pub(crate) fn take(&self, host: &impl Host) -> bool {
        if self.leased.get() == 0 {
            let now = host.monotonic_clock();
            if now < self.empty_until.get() {
                return false;
            }
            self.leased.set(self.lease(host, now));
        }
        match self.leased.get().checked_sub(1) {
            Some(left) => {
                self.leased.set(left);
                true
            }
            None => {
                self.empty_until
                    .set(host.monotonic_clock().saturating_add(PATIENCE));
                false
            }
        }
    }

    /// Leases what there is, up to a block.
    fn lease(&self, host: &impl Host, now: u64) -> u32 {
        for _ in 0..MAX_RACES {
            let (bucket, version) = match host.shared_data(&self.key) {
                Some((bytes, version)) => (Bucket::decode(&bytes), version),
                None => (None, 0),
            };
            let bucket = bucket.unwrap_or(Bucket {
                tokens: self.capacity(),
                at: now,
            });
            let (bucket, tokens) = bucket.lease(now, self.per_second, self.capacity());
            if tokens == 0 {
                return 0;
            }
            match host.set_shared_data(&self.key, &bucket.encode(), version) {
                // A budget that cannot be kept must not stop all traces.
                Ok(()) | Err(SharedDataError::Failed) => return tokens,
                Err(SharedDataError::Changed) => {}
            }
        }
        0
    }

    fn capacity(&self) -> f64 {
        (self.per_second * BURST_SECONDS).max(1.0)
    }
}

impl Bucket {
    /// Fills up to `now`, and takes whole tokens, up to a block.
    fn lease(self, now: u64, per_second: f64, capacity: f64) -> (Self, u32) {
        let elapsed = now.saturating_sub(self.at) as f64 / 1e9;
        let filled = (self.tokens.max(0.0) + elapsed * per_second).min(capacity);
        let block = (per_second / BLOCKS_PER_SECOND).max(1.0);
        let taken = filled.min(block).floor();
        // Workers' clocks are one clock, but a step back must not fill the bucket again later.
        (
            Self {
                tokens: filled - taken,
                at: now.max(self.at),
            },
            taken as u32,
        )
    }

    fn encode(self) -> [u8; 16] {
        (u128::from(self.tokens.to_bits()) | u128::from(self.at) << 64).to_le_bytes()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let bits = u128::from_le_bytes(bytes.try_into().ok()?);
        let tokens = f64::from_bits(bits as u64);
        tokens.is_finite().then_some(Self {
            tokens,
            at: (bits >> 64) as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::FakeHost;

    /// Offers a request to each worker in turn every `gap`, for ten seconds; counts the tokens.
    fn offered(per_second: f64, workers: usize, gap: Duration) -> usize {
        let host = FakeHost::default();
        let limits: Vec<_> = (0..workers)
            .map(|_| RateLimit::new("key".to_owned(), per_second))
            .collect();
        let end = host.monotonic_clock() + Duration::from_secs(10).as_nanos() as u64;
        let mut taken = 0;
        while host.monotonic_clock() < end {
            for limit in &limits {
                taken += usize::from(limit.take(&host));
            }
            host.advance(gap);
        }
        taken
    }

    #[test]
    fn the_budget_is_one_for_all_workers() {
        for per_second in [1.0, 10.0, 100.0, 1000.0] {
            for workers in [1, 4] {
                let taken = offered(per_second, workers, Duration::from_micros(500)) as f64;
                let expected = per_second * 10.0;
                let allowed = expected * 0.02 + workers as f64 + 1.0;
                assert!(
                    (taken - expected).abs() <= allowed,
                    "{per_second} {workers}: {taken}"
                );
            }
        }
    }

    #[test]
    fn what_is_under_the_limit_passes_whole() {
        assert_eq!(offered(100.0, 1, Duration::from_millis(20)), 500);
    }

    #[test]
    fn a_pause_does_not_save_up_a_burst() {
        let host = FakeHost::default();
        let limit = RateLimit::new("key".to_owned(), 100.0);
        host.advance(Duration::from_secs(3600));
        let taken = (0..1000).filter(|_| limit.take(&host)).count();
        assert!(taken <= 10, "{taken}");
    }

    #[test]
    fn foreign_bytes_and_clocks_that_step_back_do_no_harm() {
        let host = FakeHost::default();
        for bytes in [vec![], vec![0xff; 16], vec![1; 7]] {
            host.set_shared_data("key", &bytes, 0).unwrap();
            assert!(RateLimit::new("key".to_owned(), 10.0).take(&host));
        }
        let bucket = Bucket {
            tokens: 5.0,
            at: 1_000,
        };
        assert_eq!(
            bucket.lease(0, 10.0, 1.0),
            (
                Bucket {
                    tokens: 0.0,
                    at: 1_000
                },
                1
            )
        );
    }

    #[test]
    fn an_empty_bucket_is_not_asked_at_each_request() {
        let host = FakeHost::default();
        let limit = RateLimit::new("key".to_owned(), 1.0);
        while limit.take(&host) {}
        let before = host.shared_data_calls.get();
        for _ in 0..1000 {
            assert!(!limit.take(&host));
        }
        assert_eq!(host.shared_data_calls.get(), before);
    }
}
