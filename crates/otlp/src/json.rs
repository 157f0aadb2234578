//! OTLP JSON from and to protobuf, byte for byte, without message structs between.
//!
//! Source: the JSON Protobuf Encoding of the OTLP 1.11 specification, which is the JSON mapping of
//! proto3 (<https://protobuf.dev/programming-guides/json/>) with these differences: trace and span
//! ids are hexadecimal in either case, enums are integers only, names are lowerCamelCase only, and
//! unknown names are ignored.
//!
//! Read leniently where the mapping allows it: 64-bit integers as numbers or strings, base64 in
//! both alphabets with or without padding, `null` as absent. Where JSON itself leaves it open, the
//! last of several equal keys wins, and the last of several members of a `oneof`.
//!
//! Written: default values of plain fields are left out, 64-bit integers are strings.

mod decode;
mod encode;
mod scalar;

use std::fmt;

use crate::Signal;
use crate::check::{self, CheckError};
use crate::schema::Message;

/// Why a body is not OTLP JSON; displays the path, the reason and the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    path: String,
    reason: String,
    line: usize,
    column: usize,
}

/// Translates a request from JSON to protobuf. The result passes [`check`](crate::check()).
///
/// # Errors
/// What is no JSON, and the first value that does not fit its field.
pub fn request_to_protobuf(signal: Signal, json: &[u8]) -> Result<Vec<u8>, JsonError> {
    decode::message_to_protobuf(signal.request(), json)
}

/// Translates a request from protobuf to JSON, on one line.
///
/// # Errors
/// What [`check`](crate::check()) finds.
pub fn request_to_json(signal: Signal, payload: &[u8]) -> Result<Vec<u8>, CheckError> {
    message_to_json(signal.request(), payload)
}

/// [`request_to_protobuf`] for any message.
pub(crate) fn message_to_protobuf(
    message: &'static Message,
    json: &[u8],
) -> Result<Vec<u8>, JsonError> {
    decode::message_to_protobuf(message, json)
}

/// [`request_to_json`] for any message.
pub(crate) fn message_to_json(
    message: &'static Message,
    payload: &[u8],
) -> Result<Vec<u8>, CheckError> {
    check::check_as(message, payload)?;
    // JSON of spans takes about twice the bytes of protobuf.
    let mut out = Vec::with_capacity(2 * payload.len() + 2);
    encode::write_message(&mut out, message, payload);
    Ok(out)
}

// === impl JsonError ===

impl JsonError {
    /// Where in the message: JSON names from the request inwards, as in
    /// `resourceSpans[0].scopeSpans[0].spans[3].traceId`; empty for the request itself.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The line of the body, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The column of the line in bytes, from 1.
    pub fn column(&self) -> usize {
        self.column
    }

    pub(crate) fn new(path: String, error: &serde_json::Error) -> Self {
        let text = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        Self {
            path,
            reason: text.strip_suffix(&place).unwrap_or(&text).to_owned(),
            line: error.line(),
            column: error.column(),
        }
    }

    /// The bytes from `at` on are not UTF-8.
    fn not_utf8(json: &[u8], at: usize) -> Self {
        let before = json.get(..at).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let start = before.iter().rposition(|byte| *byte == b'\n');
        Self {
            path: String::new(),
            reason: "expected UTF-8, but found other bytes".to_owned(),
            line,
            column: at - start.map_or(0, |newline| newline + 1) + 1,
        }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(
            f,
            "{} at line {} column {}",
            self.reason, self.line, self.column
        )
    }
}

impl std::error::Error for JsonError {}

#[cfg(test)]
mod tests;
