//! `google.rpc.Status` as protobuf.

use std::time::Duration;

use super::{Code, FieldViolation, MAX_RETRY_DELAY, Status};
use crate::encode::{begin_message, end_message, put_bytes, put_uint};
use crate::wire::{Error, Fields, Value};

pub(super) const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";
pub(super) const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";

/// The largest `google.protobuf.Duration`, 10,000 years.
pub(super) const MAX_SECONDS: u64 = 315_576_000_000;

// === impl Status ===

impl Status {
    /// Encodes the status, for an OTLP/HTTP body or for `grpc-status-details-bin`.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.code != Code::Ok {
            put_uint(&mut out, 1, self.code.number().into());
        }
        put_text(&mut out, 2, &self.message);
        if let Some(delay) = self.retry_delay {
            put_detail(&mut out, RETRY_INFO, |out| put_retry_info(out, delay));
        }
        if !self.violations.is_empty() {
            put_detail(&mut out, BAD_REQUEST, |out| {
                for violation in &self.violations {
                    let open = begin_message(out, 1);
                    put_text(out, 1, &violation.field);
                    put_text(out, 2, &violation.description);
                    end_message(out, open);
                }
            });
        }
        out
    }

    /// Decodes a status that a peer sent. Text that is not UTF-8 is repaired; details of other
    /// types, and details that cannot be read, are passed over.
    ///
    /// # Errors
    /// What is no protobuf.
    pub fn decode(status: &[u8]) -> Result<Self, Error> {
        let mut decoded = Self::new(Code::Ok, "");
        for field in Fields::new(status) {
            let field = field?;
            match (field.number, field.value) {
                (1, Value::Varint(code)) => {
                    decoded.code = Code::from_number(i64::from(code as i32));
                }
                (2, Value::Bytes(message)) => decoded.message = text(message),
                (3, Value::Bytes(detail)) => decoded.take_detail(detail),
                _ => {}
            }
        }
        Ok(decoded)
    }

    fn take_detail(&mut self, detail: &[u8]) {
        let mut name = "";
        let mut content: &[u8] = &[];
        for (number, bytes) in byte_fields(detail) {
            match number {
                1 => name = std::str::from_utf8(bytes).unwrap_or_default(),
                2 => content = bytes,
                _ => {}
            }
        }
        // Only what follows the last slash names the type.
        match name.rsplit('/').next() {
            Some("google.rpc.RetryInfo") => self.retry_delay = Some(retry_delay(content)),
            Some("google.rpc.BadRequest") => self.violations.extend(violations(content)),
            _ => {}
        }
    }
}

fn put_detail(out: &mut Vec<u8>, type_url: &str, content: impl FnOnce(&mut Vec<u8>)) {
    let any = begin_message(out, 3);
    put_bytes(out, 1, type_url.as_bytes());
    let value = begin_message(out, 2);
    content(out);
    end_message(out, value);
    end_message(out, any);
}

fn put_retry_info(out: &mut Vec<u8>, delay: Duration) {
    let duration = begin_message(out, 1);
    let seconds = delay.as_secs().min(MAX_SECONDS);
    if seconds > 0 {
        put_uint(out, 1, seconds);
    }
    if delay.subsec_nanos() > 0 {
        put_uint(out, 2, delay.subsec_nanos().into());
    }
    end_message(out, duration);
}

fn put_text(out: &mut Vec<u8>, field: u32, text: &str) {
    if !text.is_empty() {
        put_bytes(out, field, text.as_bytes());
    }
}

/// The delay of a `RetryInfo`; none, or a negative one, is no delay.
fn retry_delay(retry_info: &[u8]) -> Duration {
    let mut seconds = 0;
    let mut nanos = 0;
    for (_, duration) in byte_fields(retry_info).filter(|(number, _)| *number == 1) {
        for field in Fields::new(duration).map_while(Result::ok) {
            match (field.number, field.value) {
                (1, Value::Varint(value)) => seconds = value as i64,
                (2, Value::Varint(value)) => nanos = value as i32,
                _ => {}
            }
        }
    }
    duration(seconds, nanos)
}

/// A `google.protobuf.Duration` that a peer asks for; a negative one is zero, and none is longer than
/// [`MAX_RETRY_DELAY`].
pub(super) fn duration(seconds: i64, nanos: i32) -> Duration {
    match (u64::try_from(seconds), u32::try_from(nanos)) {
        // Nanoseconds above a second are not valid and must not overflow the seconds.
        (Ok(seconds), Ok(nanos)) => {
            Duration::new(seconds, nanos.min(999_999_999)).min(MAX_RETRY_DELAY)
        }
        _ => Duration::ZERO,
    }
}

fn violations(bad_request: &[u8]) -> impl Iterator<Item = FieldViolation> {
    byte_fields(bad_request)
        .filter(|(number, _)| *number == 1)
        .map(|(_, violation)| {
            let find = |wanted| {
                byte_fields(violation)
                    .filter(|(number, _)| *number == wanted)
                    .last()
                    .map(|(_, bytes)| text(bytes))
                    .unwrap_or_default()
            };
            FieldViolation {
                field: find(1),
                description: find(2),
            }
        })
}

fn byte_fields(message: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    Fields::new(message)
        .map_while(Result::ok)
        .filter_map(|field| Some((field.number, field.value.as_bytes()?)))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
