//! A request as an OTLP log record: its access log line.
//!
//! Source: opentelemetry-proto 1.11, `logs/v1/logs.proto`. The conventions have no access log, so
//! the record has the span's attributes, sizes and durations beside them, an event name of our own,
//! and as its body a line in the combined log format of Apache's httpd, with the duration in
//! milliseconds in place of the referer's column.
//!
//! `time_unix_nano` is when the request began, as in a classic access log; `observed_time_unix_nano`
//! is when it ended.

use spanmesh_otlp::encode::{
    begin_message, end_message, put_bytes, put_fields_as, put_fixed32, put_fixed64, put_uint,
};

use super::writer::{AttributeWriter, STRING_VALUE, put_value};
use super::{Common, Identity, Record, Side, line};
use crate::access_log::Added;
use crate::semconv;
use crate::stream::Attributes;

/// Field numbers of `LogRecord`.
mod field {
    pub(super) const TIME_UNIX_NANO: u32 = 1;
    pub(super) const SEVERITY_NUMBER: u32 = 2;
    pub(super) const SEVERITY_TEXT: u32 = 3;
    pub(super) const BODY: u32 = 5;
    pub(super) const ATTRIBUTES: u32 = 6;
    pub(super) const FLAGS: u32 = 8;
    pub(super) const TRACE_ID: u32 = 9;
    pub(super) const SPAN_ID: u32 = 10;
    pub(super) const OBSERVED_TIME_UNIX_NANO: u32 = 11;
    pub(super) const EVENT_NAME: u32 = 12;
}

/// Appends the fields of the log record; `identity` is what it is linked to, if anything, and
/// `added` what the user puts there.
pub(crate) fn encode(
    record: &Record<'_>,
    identity: Option<&Identity>,
    added: &Added<'_>,
    common: &Common,
    out: &mut Vec<u8>,
) {
    put_fixed64(out, field::TIME_UNIX_NANO, record.start);
    put_fixed64(out, field::OBSERVED_TIME_UNIX_NANO, record.end);
    let severity = record.outcome.severity;
    put_uint(out, field::SEVERITY_NUMBER, severity.number());
    put_bytes(out, field::SEVERITY_TEXT, severity.text().as_bytes());
    put_bytes(out, field::EVENT_NAME, semconv::ACCESS_LOG_EVENT.as_bytes());
    match &added.body {
        Some(value) => put_value(out, field::BODY, value, record.value_limit),
        None => {
            let body = begin_message(out, field::BODY);
            let text = begin_message(out, STRING_VALUE);
            line::put_line(out, record);
            end_message(out, text);
            end_message(out, body);
        }
    }
    if added.attributes.is_empty() {
        put_fields_as(out, field::ATTRIBUTES, &common.fields);
    }
    let mut writer = AttributeWriter {
        out,
        field: field::ATTRIBUTES,
        value_limit: record.value_limit,
        added,
    };
    if !added.attributes.is_empty() {
        // Without what the user puts in its place.
        record.write_attributes(&mut writer);
    }
    if record.side == Side::Client {
        // Opt-in on CLIENT spans; an access log without it would be a poor one.
        writer.text_if(semconv::USER_AGENT_ORIGINAL, record.request.user_agent);
    }
    writer.int(
        semconv::HTTP_REQUEST_BODY_SIZE,
        record.attributes.request_size,
    );
    writer.int(
        semconv::HTTP_RESPONSE_BODY_SIZE,
        record.attributes.response_size,
    );
    write_timing(record.attributes, &mut writer);
    record.write_other_peer(&mut writer);
    writer.put_added();
    if let Some(identity) = identity {
        put_bytes(out, field::TRACE_ID, identity.trace_id.as_bytes());
        put_bytes(out, field::SPAN_ID, identity.span_id.as_bytes());
        put_fixed32(out, field::FLAGS, u32::from(identity.flags));
    }
}

/// How long the request and its parts took.
fn write_timing(attributes: &Attributes<'_>, writer: &mut AttributeWriter<'_>) {
    writer.millis(semconv::DURATION_MS, attributes.duration);
    if let Some(first_byte) = attributes.upstream_first_byte {
        writer.int(semconv::UPSTREAM_FIRST_BYTE_MS, first_byte);
    }
    if let Some(duration) = attributes.upstream_duration {
        writer.millis(semconv::UPSTREAM_DURATION_MS, duration);
    }
    if attributes.upstream_attempts > 0 {
        writer.int(semconv::UPSTREAM_ATTEMPTS, attributes.upstream_attempts);
    }
}
