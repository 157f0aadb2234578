//! Attributes as OTLP: each encoded as it is written, with its value cut and made valid UTF-8.
//!
//! Source: opentelemetry-proto 1.11, `common/v1/common.proto`.

use spanmesh_otlp::encode::{
    begin_message, bytes_field_len, end_message, put_bytes, put_double_attribute, put_fixed64,
    put_int_attribute, put_length, put_string_attribute, put_uint,
};

use super::{Record, address, text};
use crate::access_log::{Added, Value};
use crate::semconv;

/// `KeyValue.key`.
const KEY: u32 = 1;
/// `KeyValue.value`.
const VALUE: u32 = 2;
/// `AnyValue.string_value`.
pub(super) const STRING_VALUE: u32 = 1;
/// `AnyValue.bool_value`.
const BOOL_VALUE: u32 = 2;
/// `AnyValue.int_value`.
const INT_VALUE: u32 = 3;
/// `AnyValue.double_value`.
const DOUBLE_VALUE: u32 = 4;
/// `AnyValue.array_value`.
const ARRAY_VALUE: u32 = 5;
/// `ArrayValue.values`.
const VALUES: u32 = 1;

/// The attributes that span and access log record of one request have in common, encoded once for
/// both. Its memory serves one request after the other.
#[derive(Debug, Default)]
pub(crate) struct Common {
    /// Fields of one number, which each record replaces by its own.
    pub(super) fields: Vec<u8>,
}

/// Appends attributes to a record.
#[derive(Debug)]
pub(super) struct AttributeWriter<'a> {
    pub(super) out: &'a mut Vec<u8>,
    /// The number of the record's `attributes` field.
    pub(super) field: u32,
    pub(super) value_limit: usize,
    /// What the user has put there: its names are left out of the rest.
    pub(super) added: &'a Added<'a>,
}

impl Common {
    /// Takes the attributes of another record.
    pub(crate) fn fill(&mut self, record: &Record<'_>) {
        self.fields.clear();
        record.write_attributes(&mut AttributeWriter {
            out: &mut self.fields,
            field: 1,
            value_limit: record.value_limit,
            added: &Added::default(),
        });
    }
}

impl AttributeWriter<'_> {
    pub(super) fn text(&mut self, key: &str, value: &[u8]) {
        if self.added.has(key) {
            return;
        }
        if value.len() <= self.value_limit && value.is_ascii() {
            // As nearly all values are; to see that is quicker than to check UTF-8.
            return put_string_attribute(self.out, self.field, key, value);
        }
        let value = text(value, self.value_limit);
        put_string_attribute(self.out, self.field, key, value.as_bytes());
    }

    /// Leaves out what is empty: Envoy does not tell empty from missing.
    pub(super) fn text_if(&mut self, key: &str, value: &[u8]) {
        if !value.is_empty() {
            self.text(key, value);
        }
    }

    pub(super) fn int(&mut self, key: &str, value: u64) {
        if self.added.has(key) {
            return;
        }
        put_int_attribute(
            self.out,
            self.field,
            key,
            i64::try_from(value).unwrap_or(i64::MAX),
        );
    }

    /// Nanoseconds as milliseconds.
    pub(super) fn millis(&mut self, key: &str, nanos: u64) {
        if self.added.has(key) {
            return;
        }
        put_double_attribute(self.out, self.field, key, nanos as f64 / 1e6);
    }

    /// A list of texts; the key is in two parts, of which the second may be any bytes.
    pub(super) fn texts(
        &mut self,
        prefix: &str,
        name: &[u8],
        values: &mut dyn Iterator<Item = &[u8]>,
    ) {
        let key = format!("{prefix}{}", String::from_utf8_lossy(name));
        if self.added.has(&key) {
            return;
        }
        let attribute = begin_message(self.out, self.field);
        put_bytes(self.out, KEY, key.as_bytes());
        let value = begin_message(self.out, VALUE);
        put_texts(self.out, values, self.value_limit);
        end_message(self.out, value);
        end_message(self.out, attribute);
    }

    /// What the user has put there.
    pub(super) fn put_added(&mut self) {
        for (key, value) in &self.added.attributes {
            let attribute = begin_message(self.out, self.field);
            put_bytes(self.out, KEY, key.as_bytes());
            put_value(self.out, VALUE, value, self.value_limit);
            end_message(self.out, attribute);
        }
    }

    pub(super) fn host_port(
        &mut self,
        host_key: &str,
        port_key: &str,
        value: address::HostPort<'_>,
    ) {
        let (host, port) = value;
        if host.is_empty() {
            return;
        }
        self.text(host_key, host);
        if let Some(port) = port {
            self.int(port_key, u64::from(port));
        }
    }

    pub(super) fn peer(&mut self, address: &[u8]) {
        self.host_port(
            semconv::NETWORK_PEER_ADDRESS,
            semconv::NETWORK_PEER_PORT,
            address::host_port(address),
        );
    }
}

/// Appends an `AnyValue`.
pub(super) fn put_value(out: &mut Vec<u8>, field: u32, value: &Value<'_>, value_limit: usize) {
    let message = begin_message(out, field);
    match value {
        Value::Text(value) => put_bytes(out, STRING_VALUE, text(value, value_limit).as_bytes()),
        Value::Bool(value) => put_uint(out, BOOL_VALUE, u64::from(*value)),
        Value::Int(value) => put_uint(out, INT_VALUE, *value as u64),
        Value::Double(value) => put_fixed64(out, DOUBLE_VALUE, value.to_bits()),
        Value::Texts(values) => put_texts(out, &mut values.iter().copied(), value_limit),
    }
    end_message(out, message);
}

/// Appends a list of texts to an `AnyValue`.
fn put_texts(out: &mut Vec<u8>, values: &mut dyn Iterator<Item = &[u8]>, value_limit: usize) {
    let array = begin_message(out, ARRAY_VALUE);
    for item in values {
        let item = text(item, value_limit);
        put_length(out, VALUES, bytes_field_len(STRING_VALUE, item.len()));
        put_bytes(out, STRING_VALUE, item.as_bytes());
    }
    end_message(out, array);
}
