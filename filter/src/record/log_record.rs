//! A request as an OTLP log record: its access log line.
//!
//! Source: opentelemetry-proto 1.11, `logs/v1/logs.proto`. The conventions have no access log, so
//! the record has the span's attributes, sizes and durations beside them, an event name of our own,
//! and as its body a line in the combined log format of Apache's httpd, with the duration in
//! milliseconds in place of the referer's column.
//!
//! `time_unix_nano` is when the request began, as in a classic access log; `observed_time_unix_nano`
//! is when it ended.

use std::fmt::Write;

use spanmesh_otlp::encode::{
    begin_message, end_message, put_bytes, put_fixed32, put_fixed64, put_uint,
};

use super::{AttributeWriter, Identity, Record, Side, address, text};
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

/// `AnyValue.string_value`.
const STRING_VALUE: u32 = 1;
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Appends the fields of the log record; `identity` is what it is linked to, if anything.
pub(crate) fn encode(record: &Record<'_>, identity: Option<&Identity>, out: &mut Vec<u8>) {
    put_fixed64(out, field::TIME_UNIX_NANO, record.start);
    put_fixed64(out, field::OBSERVED_TIME_UNIX_NANO, record.end);
    let severity = record.outcome.severity;
    put_uint(out, field::SEVERITY_NUMBER, severity.number());
    put_bytes(out, field::SEVERITY_TEXT, severity.text().as_bytes());
    put_bytes(out, field::EVENT_NAME, semconv::ACCESS_LOG_EVENT.as_bytes());
    let body = begin_message(out, field::BODY);
    put_bytes(out, STRING_VALUE, line(record).as_bytes());
    end_message(out, body);
    let mut writer = AttributeWriter {
        out,
        field: field::ATTRIBUTES,
        value_limit: record.value_limit,
    };
    record.write_attributes(&mut writer);
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
    if let Some(identity) = identity {
        put_bytes(out, field::TRACE_ID, identity.trace_id.as_bytes());
        put_bytes(out, field::SPAN_ID, identity.span_id.as_bytes());
        put_fixed32(out, field::FLAGS, u32::from(identity.flags));
    }
}

/// How long the request and its parts took, and over what.
fn write_timing(attributes: &Attributes<'_>, writer: &mut AttributeWriter<'_>) {
    writer.millis(semconv::DURATION_MS, attributes.duration);
    if let Some(wait) = attributes.upstream_connection_wait {
        writer.millis(semconv::UPSTREAM_CONNECTION_WAIT_MS, wait);
    }
    if let Some(first_byte) = attributes.upstream_first_byte {
        writer.int(semconv::UPSTREAM_FIRST_BYTE_MS, first_byte);
    }
    if let Some(duration) = attributes.upstream_duration {
        writer.millis(semconv::UPSTREAM_DURATION_MS, duration);
    }
    if attributes.upstream_attempts > 0 {
        writer.int(semconv::UPSTREAM_ATTEMPTS, attributes.upstream_attempts);
    }
    if let Some(id) = attributes.connection_id {
        writer.int(semconv::CONNECTION_ID, id);
    }
}

/// `client - - [date] "method target protocol" status bytes duration "user agent"`.
fn line(record: &Record<'_>) -> String {
    let attributes = record.attributes;
    let mut line = String::with_capacity(160);
    // An address, or a name of letters and digits: nothing that could forge a column.
    let client = address::client(record.request, attributes.source_address);
    put_escaped(&mut line, client, record.value_limit);
    line.push_str(" - - [");
    put_date(&mut line, record.start / 1_000_000_000);
    line.push_str("] \"");
    put_escaped(&mut line, record.request.method, record.value_limit);
    line.push(' ');
    put_escaped(&mut line, record.request.path(), record.value_limit);
    if !record.query.is_empty() {
        line.push('?');
        put_escaped(&mut line, &record.query, record.value_limit);
    }
    line.push(' ');
    put_escaped(&mut line, attributes.protocol, record.value_limit);
    // Writing to a string cannot fail.
    let _ = write!(
        line,
        "\" {} {} {} \"",
        attributes.response_code,
        attributes.response_size,
        attributes.duration / 1_000_000
    );
    put_escaped(&mut line, record.request.user_agent, record.value_limit);
    line.push('"');
    line
}

/// Appends text so that nobody can forge a line or a column: quotes, backslashes and control
/// characters are escaped as httpd does; what is empty is `-`.
fn put_escaped(line: &mut String, value: &[u8], limit: usize) {
    if value.is_empty() {
        line.push('-');
    }
    for character in text(value, limit).chars() {
        match character {
            '"' | '\\' => {
                line.push('\\');
                line.push(character);
            }
            _ if character.is_control() => {
                let _ = write!(line, "\\x{:02x}", u32::from(character));
            }
            _ => line.push(character),
        }
    }
}

/// Appends `21/Nov/2026:09:41:00 +0000` for seconds since the Unix epoch.
fn put_date(line: &mut String, seconds: u64) {
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let month = MONTHS.get(month).copied().unwrap_or_default();
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    let _ = write!(
        line,
        "{day:02}/{month}/{year}:{hour:02}:{minute:02}:{second:02} +0000"
    );
}

/// Year, month (0 to 11) and day of the month of a day since the Unix epoch, in the proleptic
/// Gregorian calendar, counted in eras of 400 years that begin on the first of March.
fn civil(days: u64) -> (u64, usize, u64) {
    const DAYS_TO_EPOCH: u64 = 719_468;
    const DAYS_PER_ERA: u64 = 146_097;
    let days = days + DAYS_TO_EPOCH;
    let (era, day) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let march_month = (5 * day + 2) / 153;
    let month = if march_month < 10 {
        march_month + 2
    } else {
        march_month - 10
    };
    let year = era * 400 + year + u64::from(month < 2);
    (year, month as usize, day - (153 * march_month + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let date = |seconds| {
            let mut line = String::new();
            put_date(&mut line, seconds);
            line
        };
        assert_eq!(date(0), "01/Jan/1970:00:00:00 +0000");
        assert_eq!(date(951_827_696), "29/Feb/2000:12:34:56 +0000");
        assert_eq!(date(1_709_251_199), "29/Feb/2024:23:59:59 +0000");
        assert_eq!(date(1_795_253_400), "21/Nov/2026:09:30:00 +0000");
        assert_eq!(date(4_107_542_400), "01/Mar/2100:00:00:00 +0000");
    }

    #[test]
    fn nobody_can_forge_a_line() {
        let mut line = String::new();
        put_escaped(&mut line, b"a\"b\\c\nd\x7f", 100);
        assert_eq!(line, "a\\\"b\\\\c\\x0ad\\x7f");
    }
}
