//! When a failed export is tried again.
//!
//! Source: OTLP 1.11, "Failures" of both transports: which codes are retryable, exponential backoff
//! with jitter, and a collector's own hint. Over gRPC, RESOURCE_EXHAUSTED would be retryable with
//! RetryInfo, but a Proxy-WASM filter cannot see the trailers of a unary call, so it never is.

use std::time::Duration;

/// The first delay.
const INITIAL: Duration = Duration::from_millis(500);
/// The delay stops growing here.
const MAX: Duration = Duration::from_secs(30);
/// A collector may ask for so much at most, lest a wrong answer silences a proxy.
const MAX_HINT: Duration = Duration::from_secs(120);

/// What a failure says about the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The collector is away or overloaded: the batch is tried until it gets through.
    Unavailable,
    /// The collector refuses the batch for the moment. If it does so again and again, something in
    /// the batch is what it refuses, and that must not block all that come after.
    Postponed,
    /// The collector refuses the batch for good.
    Refused,
}

/// gRPC status codes, as numbers on the wire.
mod code {
    pub(super) const CANCELLED: u32 = 1;
    pub(super) const DEADLINE_EXCEEDED: u32 = 4;
    pub(super) const ABORTED: u32 = 10;
    pub(super) const OUT_OF_RANGE: u32 = 11;
    pub(super) const UNAVAILABLE: u32 = 14;
    pub(super) const DATA_LOSS: u32 = 15;
}

/// HTTP status codes.
mod http_status {
    pub(super) const TOO_MANY_REQUESTS: u16 = 429;
    pub(super) const BAD_GATEWAY: u16 = 502;
    pub(super) const SERVICE_UNAVAILABLE: u16 = 503;
    pub(super) const GATEWAY_TIMEOUT: u16 = 504;
}

impl Failure {
    /// What a gRPC status code that is not OK says.
    pub(crate) fn of_grpc(code: u32) -> Self {
        match code {
            code::UNAVAILABLE | code::DEADLINE_EXCEEDED => Self::Unavailable,
            code::CANCELLED | code::ABORTED | code::OUT_OF_RANGE | code::DATA_LOSS => {
                Self::Postponed
            }
            _ => Self::Refused,
        }
    }

    /// What an HTTP status code that is not a success says.
    pub(crate) fn of_http(code: u16) -> Self {
        match code {
            http_status::TOO_MANY_REQUESTS
            | http_status::BAD_GATEWAY
            | http_status::SERVICE_UNAVAILABLE
            | http_status::GATEWAY_TIMEOUT => Self::Unavailable,
            _ => Self::Refused,
        }
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

    /// A call failed at `now`. `random` is uniform over `u64` and spreads the retries of many
    /// proxies over half to one and a half of the delay.
    pub(crate) fn fail(&mut self, now: u64, random: u64) {
        let delay = INITIAL.saturating_mul(1 << self.failures.min(16)).min(MAX);
        self.failures = self.failures.saturating_add(1);
        self.until = now
            .saturating_add(delay.as_nanos() as u64 / 2)
            .saturating_add(share(delay, random));
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

/// Until when a collector is left alone that asked at `now` for no other call before `hint` is over.
/// `random` is uniform over `u64`: many proxies do not come back at once.
pub(crate) fn end_of_hint(now: u64, hint: Duration, random: u64) -> u64 {
    now.saturating_add(hint.min(MAX_HINT).as_nanos() as u64)
        .saturating_add(share(INITIAL, random))
}

/// A part of a time, in nanoseconds.
fn share(time: Duration, random: u64) -> u64 {
    ((u128::from(random) * time.as_nanos()) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_of_otlp() {
        let grpc = |failure| -> Vec<u32> {
            (1..17)
                .filter(|code| Failure::of_grpc(*code) == failure)
                .collect()
        };
        assert_eq!(grpc(Failure::Unavailable), [4, 14]);
        assert_eq!(grpc(Failure::Postponed), [1, 10, 11, 15]);
        let http: Vec<u16> = (300..600)
            .filter(|code| Failure::of_http(*code) != Failure::Refused)
            .collect();
        assert_eq!(http, [429, 502, 503, 504]);
    }

    #[test]
    fn a_hint_is_heeded_within_reason() {
        let end = |hint, random| end_of_hint(1, Duration::from_secs(hint), random);
        assert_eq!(end(7, 0), 7_000_000_001);
        assert_eq!(end(7, u64::MAX / 2 + 1), 7_250_000_001);
        assert_eq!(end(86_400, 0), 1 + MAX_HINT.as_nanos() as u64);
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
