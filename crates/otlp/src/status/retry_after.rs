//! The `Retry-After` header (RFC 9110, section 10.2.3).

use std::time::{Duration, SystemTime};

use super::MAX_RETRY_DELAY;

/// How long to wait by a `Retry-After` that arrived at `now`: a number of seconds, or a date in one
/// of the three formats of HTTP. A date in the past is no delay, and none is longer than
/// [`MAX_RETRY_DELAY`]; `None` is for what is neither.
pub fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a u64 holds still mean: very long.
        let delay = value.parse().map_or(MAX_RETRY_DELAY, Duration::from_secs);
        return Some(delay.min(MAX_RETRY_DELAY));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let delay = date.duration_since(now).unwrap_or_default();
    Some(delay.min(MAX_RETRY_DELAY))
}
