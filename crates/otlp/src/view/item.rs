//! Spans, log records and metrics.

use super::{AnyValue, KeyValue, as_text, attributes, messages};
use crate::wire::{Fields, Value};

/// A span. The fields that are not there have the default value of their type.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span<'a> {
    message: &'a [u8],
    /// 16 bytes, or none.
    pub trace_id: &'a [u8],
    /// 8 bytes, or none.
    pub span_id: &'a [u8],
    /// 8 bytes, or none for a root.
    pub parent_span_id: &'a [u8],
    /// `tracestate` as in W3C Trace Context.
    pub trace_state: &'a str,
    /// The trace flags in the low 8 bits.
    pub flags: u32,
    /// What the span is called.
    pub name: &'a str,
    /// `SpanKind`, 0 to 5.
    pub kind: i32,
    /// Nanoseconds since 1970.
    pub start_time_unix_nano: u64,
    /// Nanoseconds since 1970.
    pub end_time_unix_nano: u64,
    /// `StatusCode`: 0 unset, 1 ok, 2 error.
    pub status_code: i32,
    /// Why the status is an error.
    pub status_message: &'a str,
}

/// An event of a span.
#[derive(Clone, Copy, Debug, Default)]
pub struct Event<'a> {
    message: &'a [u8],
    /// Nanoseconds since 1970.
    pub time_unix_nano: u64,
    /// What happened.
    pub name: &'a str,
}

/// A log record. The fields that are not there have the default value of their type.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogRecord<'a> {
    message: &'a [u8],
    body: &'a [u8],
    /// Nanoseconds since 1970; 0 if it is not known.
    pub time_unix_nano: u64,
    /// Nanoseconds since 1970.
    pub observed_time_unix_nano: u64,
    /// `SeverityNumber`, 0 to 24.
    pub severity_number: i32,
    /// The severity as its source calls it.
    pub severity_text: &'a str,
    /// The trace flags in the low 8 bits.
    pub flags: u32,
    /// 16 bytes, or none.
    pub trace_id: &'a [u8],
    /// 8 bytes, or none.
    pub span_id: &'a [u8],
    /// The type of the event that the record is.
    pub event_name: &'a str,
}

/// A metric.
#[derive(Clone, Copy, Debug, Default)]
pub struct Metric<'a> {
    data: &'a [u8],
    /// What the metric is called.
    pub name: &'a str,
    /// What it means.
    pub description: &'a str,
    /// The unit, as UCUM writes it.
    pub unit: &'a str,
    /// What its points are, if it has any.
    pub kind: Option<MetricKind>,
}

/// What the points of a metric are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// `Gauge`.
    Gauge,
    /// `Sum`.
    Sum,
    /// `Histogram`.
    Histogram,
    /// `ExponentialHistogram`.
    ExponentialHistogram,
    /// `Summary`.
    Summary,
}

// === impl Span ===

impl<'a> Span<'a> {
    /// Reads an encoded `Span`.
    pub fn new(message: &'a [u8]) -> Self {
        let mut span = Self {
            message,
            ..Self::default()
        };
        for field in Fields::new(message).map_while(Result::ok) {
            match (field.number, field.value) {
                (1, Value::Bytes(id)) => span.trace_id = id,
                (2, Value::Bytes(id)) => span.span_id = id,
                (3, Value::Bytes(text)) => span.trace_state = as_text(text),
                (4, Value::Bytes(id)) => span.parent_span_id = id,
                (5, Value::Bytes(text)) => span.name = as_text(text),
                (6, Value::Varint(kind)) => span.kind = kind as i32,
                (7, Value::Fixed64(time)) => span.start_time_unix_nano = time,
                (8, Value::Fixed64(time)) => span.end_time_unix_nano = time,
                (15, Value::Bytes(status)) => span.read_status(status),
                (16, Value::Fixed32(flags)) => span.flags = flags,
                _ => {}
            }
        }
        span
    }

    /// The encoded message.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.message
    }

    /// The attributes of the span.
    pub fn attributes(&self) -> impl Iterator<Item = KeyValue<'a>> + use<'a> {
        attributes(self.message, 9)
    }

    /// The events of the span.
    pub fn events(&self) -> impl Iterator<Item = Event<'a>> + use<'a> {
        messages(self.message, 11).map(Event::new)
    }

    fn read_status(&mut self, status: &'a [u8]) {
        for field in Fields::new(status).map_while(Result::ok) {
            match (field.number, field.value) {
                (2, Value::Bytes(text)) => self.status_message = as_text(text),
                (3, Value::Varint(code)) => self.status_code = code as i32,
                _ => {}
            }
        }
    }
}

// === impl Event ===

impl<'a> Event<'a> {
    fn new(message: &'a [u8]) -> Self {
        let mut event = Self {
            message,
            ..Self::default()
        };
        for field in Fields::new(message).map_while(Result::ok) {
            match (field.number, field.value) {
                (1, Value::Fixed64(time)) => event.time_unix_nano = time,
                (2, Value::Bytes(text)) => event.name = as_text(text),
                _ => {}
            }
        }
        event
    }

    /// The attributes of the event.
    pub fn attributes(&self) -> impl Iterator<Item = KeyValue<'a>> + use<'a> {
        attributes(self.message, 3)
    }
}

// === impl LogRecord ===

impl<'a> LogRecord<'a> {
    /// Reads an encoded `LogRecord`.
    pub fn new(message: &'a [u8]) -> Self {
        let mut log = Self {
            message,
            ..Self::default()
        };
        for field in Fields::new(message).map_while(Result::ok) {
            match (field.number, field.value) {
                (1, Value::Fixed64(time)) => log.time_unix_nano = time,
                (2, Value::Varint(number)) => log.severity_number = number as i32,
                (3, Value::Bytes(text)) => log.severity_text = as_text(text),
                (5, Value::Bytes(body)) => log.body = body,
                (8, Value::Fixed32(flags)) => log.flags = flags,
                (9, Value::Bytes(id)) => log.trace_id = id,
                (10, Value::Bytes(id)) => log.span_id = id,
                (11, Value::Fixed64(time)) => log.observed_time_unix_nano = time,
                (12, Value::Bytes(text)) => log.event_name = as_text(text),
                _ => {}
            }
        }
        log
    }

    /// The encoded message.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.message
    }

    /// What was logged.
    pub fn body(&self) -> AnyValue<'a> {
        AnyValue::new(self.body)
    }

    /// The attributes of the record.
    pub fn attributes(&self) -> impl Iterator<Item = KeyValue<'a>> + use<'a> {
        attributes(self.message, 6)
    }
}

// === impl Metric ===

impl<'a> Metric<'a> {
    /// Reads an encoded `Metric`.
    pub fn new(message: &'a [u8]) -> Self {
        let mut metric = Self::default();
        for field in Fields::new(message).map_while(Result::ok) {
            let Value::Bytes(value) = field.value else {
                continue;
            };
            match field.number {
                1 => metric.name = as_text(value),
                2 => metric.description = as_text(value),
                3 => metric.unit = as_text(value),
                number => {
                    if let Some(kind) = MetricKind::of_field(number) {
                        metric.kind = Some(kind);
                        metric.data = value;
                    }
                }
            }
        }
        metric
    }

    /// The encoded data points.
    pub fn data_points(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        messages(self.data, 1)
    }
}

// === impl MetricKind ===

impl MetricKind {
    pub(crate) fn of_field(number: u32) -> Option<Self> {
        Some(match number {
            5 => Self::Gauge,
            7 => Self::Sum,
            9 => Self::Histogram,
            10 => Self::ExponentialHistogram,
            11 => Self::Summary,
            _ => return None,
        })
    }

    /// The field of a data point that holds its attributes.
    pub(crate) const fn attributes_field(self) -> u32 {
        match self {
            Self::Gauge | Self::Sum | Self::Summary => 7,
            Self::Histogram => 9,
            Self::ExponentialHistogram => 1,
        }
    }
}
