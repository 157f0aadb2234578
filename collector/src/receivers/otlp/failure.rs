//! Why a request over HTTP fails, and what is answered.

use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use spanmesh_otlp::status::{Code, Status};

use crate::pipeline::Refusal;
use crate::transport::DecompressError;

/// A request that fails.
pub(super) struct Failure {
    pub(super) http_status: StatusCode,
    pub(super) status: Status,
    pub(super) header: Option<(header::HeaderName, HeaderValue)>,
    /// The client does not go on with its body in time: nobody waits for the rest.
    pub(super) is_slow: bool,
}

/// Why a body was not decompressed.
pub(super) enum Unreadable {
    Body(DecompressError),
    Refused(Refusal),
}

// === impl Failure ===

impl Failure {
    pub(super) fn new(http_status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self {
            http_status,
            status: Status::new(code, message),
            header: None,
            is_slow: false,
        }
    }

    pub(super) fn unsupported(message: String) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Code::InvalidArgument,
            message,
        )
    }

    pub(super) fn too_large(limit: usize) -> Self {
        let message = format!("expected at most {limit} bytes, but found more");
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            Code::ResourceExhausted,
            message,
        )
    }

    pub(super) fn malformed(path: &str, error: &dyn std::error::Error) -> Self {
        let description = error.to_string();
        let message = format!("the request is not well formed: {description}");
        let mut failure = Self::new(StatusCode::BAD_REQUEST, Code::InvalidArgument, message);
        failure.status = failure.status.with_violation(path, description);
        failure
    }

    pub(super) fn unavailable(message: String, delay: Duration) -> Self {
        let mut failure = Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, message);
        failure.status = failure.status.with_retry_delay(delay);
        let seconds = delay.as_secs().max(1);
        failure.with(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// For a body that does not come in time.
    pub(super) fn slow(message: String, delay: Duration) -> Self {
        Self {
            is_slow: true,
            ..Self::unavailable(message, delay)
        }
    }

    pub(super) fn with(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }
}

impl From<DecompressError> for Unreadable {
    fn from(error: DecompressError) -> Self {
        Self::Body(error)
    }
}

impl From<Unreadable> for Failure {
    fn from(error: Unreadable) -> Self {
        match error {
            Unreadable::Body(DecompressError::TooLarge(limit)) => Self::too_large(limit),
            Unreadable::Body(error @ DecompressError::Malformed(_)) => Self::malformed("", &error),
            Unreadable::Refused(refusal) => refusal.into(),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        let delay = match (refusal, refusal.retry_after()) {
            (_, Some(delay)) => delay,
            (Refusal::TooLarge, None) => {
                let status = StatusCode::PAYLOAD_TOO_LARGE;
                return Self::new(status, Code::ResourceExhausted, message);
            }
            (_, None) => {
                return Self::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, message);
            }
        };
        Self::unavailable(message, delay)
    }
}
