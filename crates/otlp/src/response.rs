//! What a server answers: `ExportTraceServiceResponse` and its siblings.
//!
//! Source: OTLP 1.11, "Full Success" and "Partial Success". All three signals number the fields
//! alike; only the JSON names differ.

#[cfg(feature = "json")]
use crate::Signal;
use crate::encode::{begin_message, end_message, put_bytes, put_uint};
#[cfg(feature = "json")]
use crate::json::{self, JsonError};
use crate::wire::{self, Fields, Value};

/// The server took the request, but not all of it; or took all of it and has something to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartialSuccess {
    /// How many spans, log records or data points the server refused. With 0, the message is a
    /// warning.
    pub rejected: u64,
    /// Why, for people.
    pub message: String,
}

/// Encodes a response; `None` is full success, for which `partial_success` must be absent.
pub fn encode(partial_success: Option<&PartialSuccess>) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(partial) = partial_success {
        let open = begin_message(&mut out, 1);
        if partial.rejected > 0 {
            put_uint(&mut out, 1, partial.rejected.min(i64::MAX as u64));
        }
        if !partial.message.is_empty() {
            put_bytes(&mut out, 2, partial.message.as_bytes());
        }
        end_message(&mut out, open);
    }
    out
}

/// Decodes a response; `None` is full success, also when `partial_success` is there but empty.
///
/// Forgiving where nothing depends on it: a message that is not UTF-8 is repaired, a negative
/// number of rejected items counts as 0.
///
/// # Errors
/// What is no protobuf.
pub fn decode(response: &[u8]) -> Result<Option<PartialSuccess>, wire::Error> {
    let mut partial = PartialSuccess::default();
    for field in Fields::new(response) {
        let field = field?;
        if let (1, Value::Bytes(content)) = (field.number, field.value) {
            partial.merge(content)?;
        }
    }
    Ok((partial != PartialSuccess::default()).then_some(partial))
}

/// Encodes a response as OTLP JSON; see [`encode`].
#[cfg(feature = "json")]
pub fn to_json(signal: Signal, partial_success: Option<&PartialSuccess>) -> Vec<u8> {
    let response = encode(partial_success);
    // What was just encoded from a `String` and a number passes every check.
    json::message_to_json(signal.response(), &response).unwrap_or_else(|_| b"{}".to_vec())
}

/// Decodes a response from OTLP JSON; see [`decode`].
///
/// # Errors
/// What is no JSON or does not fit.
#[cfg(feature = "json")]
pub fn from_json(signal: Signal, response: &[u8]) -> Result<Option<PartialSuccess>, JsonError> {
    let response = json::message_to_protobuf(signal.response(), response)?;
    Ok(decode(&response).unwrap_or_default())
}

// === impl PartialSuccess ===

impl PartialSuccess {
    fn merge(&mut self, content: &[u8]) -> Result<(), wire::Error> {
        for field in Fields::new(content) {
            let field = field?;
            match (field.number, field.value) {
                (1, Value::Varint(rejected)) => {
                    self.rejected = u64::try_from(rejected as i64).unwrap_or_default();
                }
                (2, Value::Bytes(message)) => {
                    self.message = String::from_utf8_lossy(message).into_owned();
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceResponse,
    };
    use prost::Message as _;

    use super::*;

    fn partial(rejected: u64, message: &str) -> Option<PartialSuccess> {
        let message = message.to_owned();
        Some(PartialSuccess { rejected, message })
    }

    #[test]
    fn full_success_is_no_bytes() {
        assert_eq!(encode(None), b"");
        assert_eq!(decode(b""), Ok(None));
    }

    #[test]
    fn an_empty_partial_success_is_full_success() {
        assert_eq!(decode(&[0x0a, 0]), Ok(None));
    }

    #[test]
    fn partial_success_is_what_the_oracle_reads_and_writes() {
        for (rejected, message) in [(0, "slow down"), (7, ""), (300, "bad ids")] {
            let ours = encode(partial(rejected, message).as_ref());
            let theirs = ExportTraceServiceResponse {
                partial_success: Some(ExportTracePartialSuccess {
                    rejected_spans: rejected as i64,
                    error_message: message.to_owned(),
                }),
            };
            assert_eq!(ours, theirs.encode_to_vec());
            assert_eq!(decode(&ours), Ok(partial(rejected, message)));
        }
    }

    #[test]
    fn odd_values_of_a_peer_are_repaired() {
        let mut response = Vec::new();
        let open = begin_message(&mut response, 1);
        put_uint(&mut response, 1, -1i64 as u64);
        put_bytes(&mut response, 2, b"caf\xe9");
        end_message(&mut response, open);
        assert_eq!(decode(&response), Ok(partial(0, "caf\u{fffd}")));
        assert!(decode(&[0x0a, 9]).is_err());
        assert_eq!(decode(&[0x0a, 1, 0x08]), Err(wire::Error::Truncated));
    }

    #[cfg(feature = "json")]
    #[test]
    fn each_signal_names_the_rejected_items_its_own_way_in_json() {
        let names = ["rejectedSpans", "rejectedLogRecords", "rejectedDataPoints"];
        for (signal, name) in Signal::all().into_iter().zip(names) {
            let json = format!(r#"{{"partialSuccess":{{"{name}":"5","errorMessage":"no"}}}}"#);
            let ours = to_json(signal, partial(5, "no").as_ref());
            assert_eq!(String::from_utf8(ours).unwrap(), json);
            assert_eq!(from_json(signal, json.as_bytes()), Ok(partial(5, "no")));
            assert_eq!(to_json(signal, None), b"{}");
            assert_eq!(from_json(signal, b"{}"), Ok(None));
            assert_eq!(from_json(signal, br#"{"partialSuccess":null}"#), Ok(None));
            assert!(from_json(signal, b"OK").is_err());
        }
    }
}
