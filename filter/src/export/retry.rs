//! When a failed export is tried again.
//!
//! Source: OTLP 1.11, "Failures" of the gRPC transport: which codes are retryable, and exponential
//! backoff with jitter. RESOURCE_EXHAUSTED would be retryable with RetryInfo, but a Proxy-WASM
//! filter cannot see the trailers of a unary call, so it never is.

use std::time::Duration;

/// The first delay.
const INITIAL: Duration = Duration::from_millis(500);
/// The delay stops growing here.
const MAX: Duration = Duration::from_secs(30);
/// A batch that a collector answers with a retryable refusal this often is given up: something in
/// it is what the collector refuses, and it must not block all that come after it. A collector
/// that does not answer at all (UNAVAILABLE, DEADLINE_EXCEEDED) is tried forever.
const MAX_REFUSALS: u32 = 8;

/// gRPC status codes, as numbers on the wire.
mod code {
    pub(super) const CANCELLED: u32 = 1;
    pub(super) const DEADLINE_EXCEEDED: u32 = 4;
    pub(super) const ABORTED: u32 = 10;
    pub(super) const OUT_OF_RANGE: u32 = 11;
    pub(super) const UNAVAILABLE: u32 = 14;
    pub(super) const DATA_LOSS: u32 = 15;
}

/// Whether a batch that failed with gRPC status `code` is worth another attempt; `refusals` is how
/// often it was refused before, and is counted here.
pub(crate) fn retryable(code: u32, refusals: &mut u32) -> bool {
    match code {
        code::UNAVAILABLE | code::DEADLINE_EXCEEDED => true,
        code::CANCELLED | code::ABORTED | code::OUT_OF_RANGE | code::DATA_LOSS => {
            *refusals += 1;
            *refusals < MAX_REFUSALS
        }
        _ => false,
    }
}

/// The state of one destination: well, or waiting after failures.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    /// Failures since the last success.
    failures: u32,
    /// The time of the monotonic clock before which nothing is sent; 0 if all is well.
    until: u64,
}

impl Backoff {
    /// A call succeeded.
    pub(crate) fn succeed(&mut self) {
        *self = Self::default();
    }

    /// A call failed at `now`; `random` is uniform over `u64` and spreads the retries of many
    /// proxies over half to one and a half of the delay.
    pub(crate) fn fail(&mut self, now: u64, random: u64) {
        let delay = INITIAL.saturating_mul(1 << self.failures.min(16)).min(MAX);
        let delay = delay.as_nanos() as u64;
        let jitter = ((u128::from(random) * u128::from(delay)) >> 64) as u64;
        self.failures = self.failures.saturating_add(1);
        self.until = now.saturating_add(delay / 2).saturating_add(jitter);
    }

    /// Whether the last call failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// Whether a call may be made at `now`.
    pub(crate) fn allows(&self, now: u64) -> bool {
        now >= self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_of_otlp() {
        let retryable: Vec<u32> = (0..17).filter(|code| retryable(*code, &mut 0)).collect();
        assert_eq!(retryable, [1, 4, 10, 11, 14, 15]);
    }

    #[test]
    fn only_a_silent_collector_is_tried_forever() {
        let forever: Vec<u32> = (0..17).filter(|code| retryable(*code, &mut 1000)).collect();
        assert_eq!(forever, [4, 14]);
    }

    #[test]
    fn the_delay_doubles_to_its_limit_and_a_success_ends_it() {
        let delay = |failures, random| {
            let mut backoff = Backoff { failures, until: 0 };
            backoff.fail(1_000, random);
            Duration::from_nanos(backoff.until - 1_000)
        };
        assert_eq!(delay(0, 0), INITIAL / 2);
        assert_eq!(delay(0, u64::MAX / 2 + 1), INITIAL);
        assert_eq!(delay(3, u64::MAX / 2 + 1), INITIAL * 8);
        assert_eq!(delay(60, u64::MAX / 2 + 1), MAX);
        let mut backoff = Backoff::default();
        backoff.fail(1_000, 0);
        assert!(backoff.is_failing() && !backoff.allows(1_000));
        backoff.succeed();
        assert!(!backoff.is_failing() && backoff.allows(0));
    }
}
