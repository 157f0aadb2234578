//! How a request fails: `google.rpc.Status`, the gRPC codes, and what they mean over HTTP.
//!
//! Source: OTLP 1.11, "Failures" of OTLP/gRPC and OTLP/HTTP, and `google/rpc/{status,
//! error_details}.proto`. Of the details that a status can carry, the two that OTLP speaks of are
//! read and written: `RetryInfo` and `BadRequest`. Others are passed over.

mod code;
#[cfg(feature = "json")]
mod json;
mod protobuf;
mod retry_after;

use std::fmt;
use std::time::Duration;

pub use self::code::{Code, http_is_retryable};
pub use self::retry_after::retry_after;

/// The longest delay that is believed when a peer asks for one, in `RetryInfo` or `Retry-After`. What
/// says more is broken, or means "never", which it may say again an hour later.
pub const MAX_RETRY_DELAY: Duration = Duration::from_secs(3600);

/// Why a request failed; the body of every OTLP/HTTP error and the details of every gRPC error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The kind of failure.
    pub code: Code,
    /// The reason, for developers.
    pub message: String,
    /// `RetryInfo`: the client may try again, and not before this has passed. Of a status that was
    /// read, at most [`MAX_RETRY_DELAY`].
    pub retry_delay: Option<Duration>,
    /// `BadRequest`: which fields are wrong.
    pub violations: Vec<FieldViolation>,
}

/// What is wrong with one field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// The path of the field.
    pub field: String,
    /// What was expected, and what was found.
    pub description: String,
}

// === impl Status ===

impl Status {
    /// A status without details.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_delay: None,
            violations: Vec::new(),
        }
    }

    /// Adds `RetryInfo`.
    #[must_use]
    pub fn with_retry_delay(mut self, delay: Duration) -> Self {
        self.retry_delay = Some(delay);
        self
    }

    /// Adds a field to `BadRequest`.
    #[must_use]
    pub fn with_violation(
        mut self,
        field: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        self.violations.push(FieldViolation {
            field: field.into(),
            description: description.into(),
        });
        self
    }

    /// Whether a client may send the same request again.
    pub fn is_retryable(&self) -> bool {
        self.code.is_retryable(self.retry_delay.is_some())
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Status {}

#[cfg(test)]
mod tests;
