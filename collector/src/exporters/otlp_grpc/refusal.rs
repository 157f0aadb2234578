//! Why a call failed, and what that means for its batch.

use std::error::Error;

use spanmesh_otlp::status;
use tonic::Code;

use crate::pipeline::ExportError;
use crate::transport::{describe, is_unconnected};

/// What a failed call means for its batch.
pub(super) fn classify(status: &tonic::Status) -> ExportError {
    if is_unconnected(status) {
        let message = describe(status);
        return ExportError::Unreachable { message };
    }
    if status.source().is_some() {
        // It did not come from the server: the connection broke.
        return ExportError::Retryable {
            message: describe(status),
            after: None,
        };
    }
    let code = status::Code::from_number(i64::from(i32::from(status.code())));
    let message = format!("{}: {}", code.name(), status.message());
    let after = status::Status::decode(status.details())
        .ok()
        .and_then(|details| details.retry_delay);
    if is_too_large(status, after.is_some()) {
        ExportError::TooLarge { message }
    } else if code.is_retryable(after.is_some()) {
        ExportError::Retryable { message, after }
    } else {
        ExportError::Permanent { message }
    }
}

/// Servers in Go, C++, Java, C# and JavaScript say RESOURCE_EXHAUSTED, those on tonic OUT_OF_RANGE.
/// Proxies answer 413 without a gRPC status (nginx), or UNKNOWN with its reason (Envoy).
fn is_too_large(status: &tonic::Status, has_retry_info: bool) -> bool {
    let message = status.message().to_ascii_lowercase();
    let speaks_of_any = |words: &[&str]| words.iter().any(|word| message.contains(word));
    match status.code() {
        Code::ResourceExhausted => {
            !has_retry_info && speaks_of_any(&["larger", "too large", "exceed", "size"])
        }
        Code::OutOfRange => speaks_of_any(&["larger", "too large", "exceed", "size"]),
        Code::Unknown => speaks_of_any(&[
            "http status code 413",
            "payload too large",
            "content too large",
            "entity too large",
        ]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn codes_decide_what_becomes_of_a_batch() {
        let p = |code, message: &str| classify(&tonic::Status::new(code, message));
        for code in [
            Code::Cancelled,
            Code::DeadlineExceeded,
            Code::Aborted,
            Code::OutOfRange,
            Code::Unavailable,
            Code::DataLoss,
        ] {
            assert!(
                matches!(p(code, "x"), ExportError::Retryable { after: None, .. }),
                "{code:?}"
            );
        }
        for code in [
            Code::Unknown,
            Code::InvalidArgument,
            Code::NotFound,
            Code::AlreadyExists,
            Code::PermissionDenied,
            Code::ResourceExhausted,
            Code::FailedPrecondition,
            Code::Unimplemented,
            Code::Internal,
            Code::Unauthenticated,
        ] {
            assert!(
                matches!(p(code, "x"), ExportError::Permanent { .. }),
                "{code:?}"
            );
        }
    }

    #[test]
    fn every_form_of_too_large_is_known() {
        for (code, message) in [
            (
                Code::ResourceExhausted,
                "grpc: received message larger than max (5000000 vs. 4194304)",
            ),
            (
                Code::ResourceExhausted,
                "gRPC message exceeds maximum size 4194304: 5000000",
            ),
            (
                Code::OutOfRange,
                "Error, decoded message length too large: found 5000000 bytes, the limit is: \
                 4194304 bytes",
            ),
            (
                Code::ResourceExhausted,
                "Received message exceeds the maximum configured message size.",
            ),
            (
                Code::ResourceExhausted,
                "grpc: received message after decompression larger than max 4194304",
            ),
            (
                Code::Unknown,
                "grpc-status header missing, mapped from HTTP status code 413",
            ),
            (Code::Unknown, "Payload Too Large"),
        ] {
            let error = classify(&tonic::Status::new(code, message));
            assert!(matches!(error, ExportError::TooLarge { .. }), "{message}");
        }
    }

    #[test]
    fn exhausted_servers_may_say_when_to_come_back() {
        let delay = Duration::from_millis(1500);
        let details = status::Status::new(status::Code::ResourceExhausted, "quota size")
            .with_retry_delay(delay);
        let status = tonic::Status::with_details(
            Code::ResourceExhausted,
            "quota size",
            details.encode().into(),
        );
        let ExportError::Retryable { after, .. } = classify(&status) else {
            panic!("{status:?}")
        };
        assert_eq!(after, Some(delay));
    }
}
