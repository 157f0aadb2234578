//! What a collector says of a batch: `partial_success` if it took it, and `google.rpc.Status` in the
//! body of an HTTP response if it did not.
//!
//! Source: opentelemetry-proto 1.11, `collector/{trace,logs}/v1/*_service.proto` (both responses
//! have the same shape) and OTLP 1.11. A response that does not decode is a success all the same,
//! since its status was OK.

use prost::Message;

/// `ExportTraceServiceResponse` and `ExportLogsServiceResponse`.
#[derive(Clone, PartialEq, Message)]
struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
    /// As bytes: a message that is not UTF-8 must not hide the number beside it.
    #[prost(bytes = "vec", tag = "2")]
    error_message: Vec<u8>,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(bytes = "vec", tag = "2")]
    message: Vec<u8>,
}

/// How many records were rejected, and why; zero and empty on a full success.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Partial {
    pub(crate) rejected: usize,
    pub(crate) error_message: Vec<u8>,
}

/// Reads the `partial_success` of a response.
pub(crate) fn partial_success(message: &[u8]) -> Partial {
    let Some(partial) = ExportResponse::decode(message)
        .ok()
        .and_then(|it| it.partial_success)
    else {
        return Partial::default();
    };
    Partial {
        rejected: usize::try_from(partial.rejected).unwrap_or(0),
        error_message: partial.error_message,
    }
}

/// Reads the message of a `Status`; the body as it is, if it is none.
pub(super) fn status_message(body: &[u8]) -> Vec<u8> {
    match Status::decode(body) {
        Ok(status) => status.message,
        Err(_) => body.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::{
        ExportLogsPartialSuccess, ExportLogsServiceResponse,
    };

    use super::*;

    #[test]
    fn a_partial_success_says_how_many_and_why() {
        let response = ExportLogsServiceResponse {
            partial_success: Some(ExportLogsPartialSuccess {
                rejected_log_records: 3,
                error_message: "too old".to_owned(),
            }),
        };
        let partial = partial_success(&response.encode_to_vec());
        assert_eq!(
            partial,
            Partial {
                rejected: 3,
                error_message: b"too old".to_vec()
            }
        );
    }

    #[test]
    fn the_number_counts_whatever_the_message_is() {
        let response = [0x0a, 5, 0x08, 2, 0x12, 1, 0xff];
        assert_eq!(partial_success(&response).rejected, 2);
    }

    #[test]
    fn a_status_says_why_and_so_does_a_text() {
        assert_eq!(status_message(&[0x08, 3, 0x12, 2, b'n', b'o']), b"no");
        assert_eq!(status_message(b"<html>no</html>"), b"<html>no</html>");
        assert_eq!(status_message(&[]), b"");
    }

    #[test]
    fn anything_else_is_a_full_success() {
        assert_eq!(partial_success(&[]), Partial::default());
        assert_eq!(partial_success(&[0xff, 0xff]), Partial::default());
    }
}
