//! `google.rpc.Status` as JSON, by the JSON mapping of proto3: details are objects with `@type`, a
//! duration is a string of seconds.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::protobuf::{BAD_REQUEST, MAX_SECONDS, RETRY_INFO, duration};
use super::{Code, FieldViolation, Status};
use crate::json::JsonError;

// === impl Status ===

impl Status {
    /// Encodes the status as the body of an OTLP/HTTP answer in JSON.
    pub fn to_json(&self) -> Vec<u8> {
        let mut details = Vec::new();
        if let Some(delay) = self.retry_delay {
            details.push(json!({"@type": RETRY_INFO, "retryDelay": seconds(delay)}));
        }
        if !self.violations.is_empty() {
            let violations: Vec<_> = self
                .violations
                .iter()
                .map(|of| json!({"field": of.field, "description": of.description}))
                .collect();
            details.push(json!({"@type": BAD_REQUEST, "fieldViolations": violations}));
        }
        let mut status = Map::new();
        status.insert("code".to_owned(), self.code.number().into());
        status.insert("message".to_owned(), self.message.as_str().into());
        if !details.is_empty() {
            status.insert("details".to_owned(), details.into());
        }
        Value::Object(status).to_string().into_bytes()
    }

    /// Decodes a status that a peer sent. Fields of other types than expected, and details that
    /// cannot be read, are passed over.
    ///
    /// # Errors
    /// What is no JSON object.
    pub fn from_json(status: &[u8]) -> Result<Self, JsonError> {
        let status: Map<String, Value> = serde_json::from_slice(status)
            .map_err(|error| JsonError::new(String::new(), &error))?;
        let code = status.get("code").and_then(Value::as_i64).unwrap_or(0);
        let mut decoded = Self::new(Code::from_number(code), text(status.get("message")));
        let details = status.get("details").and_then(Value::as_array);
        for detail in details.into_iter().flatten() {
            decoded.take_json_detail(detail);
        }
        Ok(decoded)
    }

    fn take_json_detail(&mut self, detail: &Value) {
        let name = detail.get("@type").and_then(Value::as_str);
        match name.and_then(|name| name.rsplit('/').next()) {
            Some("google.rpc.RetryInfo") => {
                let delay = detail.get("retryDelay").and_then(Value::as_str);
                self.retry_delay = Some(delay.and_then(parse_seconds).unwrap_or_default());
            }
            Some("google.rpc.BadRequest") => {
                let violations = detail.get("fieldViolations").and_then(Value::as_array);
                self.violations
                    .extend(violations.into_iter().flatten().map(|of| FieldViolation {
                        field: text(of.get("field")),
                        description: text(of.get("description")),
                    }));
            }
            _ => {}
        }
    }
}

fn text(value: Option<&Value>) -> String {
    let text = value.and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// A duration as `3s` or `3.500000000s`.
fn seconds(duration: Duration) -> String {
    match (duration.as_secs().min(MAX_SECONDS), duration.subsec_nanos()) {
        (seconds, 0) => format!("{seconds}s"),
        (seconds, nanos) => format!("{seconds}.{nanos:09}s"),
    }
}

/// Reads `3s`, `3.5s`, and negative durations, which are no delay.
fn parse_seconds(text: &str) -> Option<Duration> {
    let text = text.strip_suffix('s')?;
    let (text, sign) = match text.strip_prefix('-') {
        Some(text) => (text, -1),
        None => (text, 1),
    };
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if fraction.len() > 9 || !digits(seconds) || !digits(fraction) {
        return None;
    }
    let seconds: i64 = seconds.parse().ok()?;
    let nanos: i32 = format!("{fraction:0<9}").parse().ok()?;
    Some(duration(sign * seconds, sign as i32 * nanos))
}
