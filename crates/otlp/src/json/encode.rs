//! Protobuf to OTLP JSON, in the order of the schema. The protobuf has passed the check.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::schema::{Field, Kind, Label, Message};
use crate::wire::{self, Fields, Value, WireType};

/// What stands in a message.
struct Present<'a> {
    /// One bit for each field number.
    numbers: u32,
    /// The member of the `oneof` that counts, and the message from its first occurrence on.
    one_of: Option<(u32, &'a [u8])>,
}

pub(super) fn write_message(out: &mut Vec<u8>, message: &'static Message, payload: &[u8]) {
    let present = Present::of(message, payload);
    out.push(b'{');
    let start = out.len();
    for field in message.fields {
        if let Some(payload) = present.scope(field, payload) {
            write_field(out, field, payload, start);
        }
    }
    out.push(b'}');
}

pub(super) fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| must_be_escaped(*byte)) {
        let (plain, escaped) = rest.split_at(at);
        out.extend_from_slice(plain);
        let [byte, tail @ ..] = escaped else { break };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => put(out, format_args!("\\u{byte:04x}")),
        }
        rest = tail;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

// === impl Present ===

impl<'a> Present<'a> {
    fn of(message: &'static Message, payload: &'a [u8]) -> Self {
        let mut present = Self {
            numbers: 0,
            one_of: None,
        };
        let mut fields = Fields::new(payload);
        let mut from = payload;
        while let Some(Ok(wire::Field { number, .. })) = fields.next() {
            if let Some(field) = message.field(number) {
                present.numbers |= bit(number);
                let chosen = present.one_of.map(|(chosen, _)| chosen);
                if field.label == Label::OneOf && chosen != Some(number) {
                    present.one_of = Some((number, from));
                }
            }
            from = fields.rest();
        }
        present
    }

    /// The part of the message in which a field has to be looked for, if it is there.
    fn scope(&self, field: &Field, payload: &'a [u8]) -> Option<&'a [u8]> {
        match self.one_of {
            Some((chosen, from)) if field.label == Label::OneOf => {
                (chosen == field.number).then_some(from)
            }
            _ => (self.numbers & bit(field.number) != 0).then_some(payload),
        }
    }
}

fn bit(number: u32) -> u32 {
    1u32.checked_shl(number).unwrap_or_default()
}

fn write_field(out: &mut Vec<u8>, field: &'static Field, payload: &[u8], start: usize) {
    let mut values = Fields::new(payload)
        .map_while(Result::ok)
        .filter(|other| other.number == field.number)
        .map(|other| other.value);
    if field.repeats() {
        let from = out.len();
        write_name(out, field, start);
        out.push(b'[');
        let first = out.len();
        values.for_each(|value| write_elements(out, field, value, first));
        // A packed run can be empty.
        if out.len() == first {
            return out.truncate(from);
        }
        return out.push(b']');
    }
    let Some(first) = values.next() else {
        return;
    };
    if let Kind::Message(message) = field.kind {
        write_name(out, field, start);
        return match values.next() {
            None => write_message(out, message, first.as_bytes().unwrap_or_default()),
            // Several occurrences of a message are one message: their contents concatenate.
            Some(second) => {
                let all = [first, second].into_iter().chain(values);
                let merged: Vec<u8> = all.filter_map(Value::as_bytes).flatten().copied().collect();
                write_message(out, message, &merged);
            }
        };
    }
    let value = values.last().unwrap_or(first);
    if field.label != Label::Singular || !is_default(value) {
        write_name(out, field, start);
        write_value(out, field.kind, value);
    }
}

fn write_name(out: &mut Vec<u8>, field: &Field, start: usize) {
    separate(out, start);
    out.push(b'"');
    out.extend_from_slice(field.json.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Puts a comma before everything but the first.
fn separate(out: &mut Vec<u8>, start: usize) {
    if out.len() > start {
        out.push(b',');
    }
}

/// Writes the element, or the elements of the packed run, that one field holds.
fn write_elements(out: &mut Vec<u8>, field: &'static Field, value: Value<'_>, start: usize) {
    let mut run = match value {
        Value::Bytes(run) if field.packs() => run,
        value => {
            separate(out, start);
            return write_value(out, field.kind, value);
        }
    };
    while !run.is_empty() {
        let element = match field.wire_type {
            WireType::Varint => wire::take_varint(run).map(|(v, rest)| (Value::Varint(v), rest)),
            WireType::Fixed64 => wire::take_fixed64(run).map(|(v, rest)| (Value::Fixed64(v), rest)),
            WireType::Fixed32 => wire::take_fixed32(run).map(|(v, rest)| (Value::Fixed32(v), rest)),
            WireType::Bytes => return,
        };
        let Ok((value, rest)) = element else { return };
        separate(out, start);
        write_value(out, field.kind, value);
        run = rest;
    }
}

fn is_default(value: Value<'_>) -> bool {
    match value {
        Value::Bytes(bytes) => bytes.is_empty(),
        value => value.as_u64() == Some(0),
    }
}

fn write_value(out: &mut Vec<u8>, kind: Kind, value: Value<'_>) {
    let bytes = value.as_bytes().unwrap_or_default();
    let number = value.as_u64().unwrap_or_default();
    match kind {
        Kind::Message(message) => write_message(out, message, bytes),
        Kind::Text => write_text(out, bytes),
        Kind::Bytes => write_text(out, STANDARD.encode(bytes).as_bytes()),
        Kind::TraceId | Kind::SpanId => write_hex(out, bytes),
        Kind::Bool => put(out, format_args!("{}", number != 0)),
        Kind::Double => write_double(out, f64::from_bits(number)),
        Kind::Int64 | Kind::Sfixed64 => put(out, format_args!("\"{}\"", number as i64)),
        Kind::Uint64 | Kind::Fixed64 => put(out, format_args!("\"{number}\"")),
        Kind::Int32 | Kind::Enum => put(out, format_args!("{}", number as i32)),
        Kind::Uint32 | Kind::Fixed32 => put(out, format_args!("{}", number as u32)),
        Kind::Sint32 => {
            let zigzag = number as u32;
            let value = (zigzag >> 1) as i32 ^ -((zigzag & 1) as i32);
            put(out, format_args!("{value}"));
        }
    }
}

fn write_hex(out: &mut Vec<u8>, id: &[u8]) {
    out.push(b'"');
    for byte in id {
        for nibble in [byte >> 4, byte & 0xf] {
            out.push(nibble + if nibble < 10 { b'0' } else { b'a' - 10 });
        }
    }
    out.push(b'"');
}

fn write_double(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        // The shortest form that reads back as the same double, `1.0` and `1e300`.
        put(out, format_args!("{value:?}"));
    } else if value.is_nan() {
        out.extend_from_slice(b"\"NaN\"");
    } else if value > 0.0 {
        out.extend_from_slice(b"\"Infinity\"");
    } else {
        out.extend_from_slice(b"\"-Infinity\"");
    }
}

fn must_be_escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a Vec does not fail.
    let _ = out.write_fmt(text);
}
