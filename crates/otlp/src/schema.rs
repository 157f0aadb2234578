//! What OTLP consists of: every message of its requests and responses, as tables.
//!
//! Source: opentelemetry-proto 1.11.0. The check and the JSON codec are both driven by these
//! tables, so a new field of OTLP is one new line in `tables.rs`. Names are the ones of the
//! `.proto` files; `json` is their lowerCamelCase form.
//!
//! Left out: `TracesData` and its siblings (the same layout as the requests) and profiles.

mod tables;

use std::fmt;

use crate::wire::WireType;

pub use self::tables::*;

/// No field number of OTLP reaches this; a larger one is unknown.
const NUMBERS: usize = 32;

/// One message type.
pub struct Message {
    /// As in the `.proto` file.
    pub name: &'static str,
    /// In the order of the `.proto` file, which is the order that JSON is written in.
    pub fields: &'static [Field],
    /// Which entry of `fields` has the number of the index.
    by_number: [Option<&'static Field>; NUMBERS],
}

/// One field of a message type.
#[derive(Debug)]
pub struct Field {
    /// The number on the wire.
    pub number: u32,
    /// As in the `.proto` file.
    pub name: &'static str,
    /// As in OTLP JSON.
    pub json: &'static str,
    /// What the value is.
    pub kind: Kind,
    /// How often the field can stand in one message, and whether absence differs from zero.
    pub label: Label,
    /// The wire type of `kind`; of one element if the field repeats.
    pub wire_type: WireType,
}

/// What a value is.
#[derive(Clone, Copy)]
pub enum Kind {
    /// `double`.
    Double,
    /// `fixed64`.
    Fixed64,
    /// `sfixed64`.
    Sfixed64,
    /// `fixed32`.
    Fixed32,
    /// `int64`.
    Int64,
    /// `uint64`.
    Uint64,
    /// `int32`.
    Int32,
    /// `uint32`.
    Uint32,
    /// `sint32`, zigzag encoded.
    Sint32,
    /// `bool`.
    Bool,
    /// Any enum; open, as in proto3: numbers that have no name are valid.
    Enum,
    /// `string`, UTF-8.
    Text,
    /// `bytes`; base64 in JSON.
    Bytes,
    /// `bytes` of a trace id, 16 or none; hexadecimal in JSON.
    TraceId,
    /// `bytes` of a span id, 8 or none; hexadecimal in JSON.
    SpanId,
    /// A nested message.
    Message(&'static Message),
}

/// How often a field can stand in one message, and whether absence differs from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// At most once; a scalar that is absent is zero.
    Singular,
    /// At most once; absent differs from zero.
    Optional,
    /// At most one of all fields with this label; absent differs from zero. No message of OTLP has
    /// more than one `oneof`.
    OneOf,
    /// Any number of times; numbers may be packed.
    Repeated,
    /// [`Repeated`](Self::Repeated), and each one is an item of the signal.
    Items,
}

// === impl Message ===

impl Message {
    const fn new(name: &'static str, fields: &'static [Field]) -> Self {
        let mut by_number = [None; NUMBERS];
        let mut rest = fields;
        while let [field, tail @ ..] = rest {
            let (_, from) = by_number.split_at_mut(field.number as usize);
            if let [slot, ..] = from {
                *slot = Some(field);
            }
            rest = tail;
        }
        Self {
            name,
            fields,
            by_number,
        }
    }

    /// The field with a number, if OTLP 1.11 has one.
    #[inline]
    pub fn field(&self, number: u32) -> Option<&'static Field> {
        *self.by_number.get(number as usize)?
    }

    /// The field with a lowerCamelCase name, if OTLP 1.11 has one.
    #[inline]
    pub fn field_by_json_name(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.json == name)
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Messages contain each other in circles: the name has to do.
        f.debug_tuple("Message").field(&self.name).finish()
    }
}

// === impl Field ===

impl Field {
    const fn new(
        number: u32,
        name: &'static str,
        json: &'static str,
        label: Label,
        kind: Kind,
    ) -> Self {
        Self {
            number,
            name,
            json,
            kind,
            label,
            wire_type: kind.wire_type(),
        }
    }

    /// Whether the field can stand in a message more than once.
    pub const fn repeats(&self) -> bool {
        matches!(self.label, Label::Repeated | Label::Items)
    }

    /// Whether a repeated field can be one length-delimited run of values.
    pub const fn packs(&self) -> bool {
        self.repeats() && !matches!(self.wire_type, WireType::Bytes)
    }
}

// === impl Kind ===

impl Kind {
    const fn wire_type(self) -> WireType {
        match self {
            Self::Int64
            | Self::Uint64
            | Self::Int32
            | Self::Uint32
            | Self::Sint32
            | Self::Bool
            | Self::Enum => WireType::Varint,
            Self::Double | Self::Fixed64 | Self::Sfixed64 => WireType::Fixed64,
            Self::Fixed32 => WireType::Fixed32,
            Self::Text | Self::Bytes | Self::TraceId | Self::SpanId | Self::Message(_) => {
                WireType::Bytes
            }
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Double => "double",
            Self::Fixed64 => "fixed64",
            Self::Sfixed64 => "sfixed64",
            Self::Fixed32 => "fixed32",
            Self::Int64 => "int64",
            Self::Uint64 => "uint64",
            Self::Int32 => "int32",
            Self::Uint32 => "uint32",
            Self::Sint32 => "sint32",
            Self::Bool => "bool",
            Self::Enum => "enum",
            Self::Text => "string",
            Self::Bytes => "bytes",
            Self::TraceId => "trace id",
            Self::SpanId => "span id",
            Self::Message(message) => message.name,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::Signal;

    fn reachable() -> BTreeMap<&'static str, &'static Message> {
        let mut found = BTreeMap::new();
        let mut todo: Vec<_> = Signal::all()
            .iter()
            .flat_map(|signal| [signal.request(), signal.response()])
            .collect();
        while let Some(message) = todo.pop() {
            if found.insert(message.name, message).is_none() {
                todo.extend(message.fields.iter().filter_map(|field| match field.kind {
                    Kind::Message(child) => Some(child),
                    _ => None,
                }));
            }
        }
        found
    }

    fn lower_camel_case(name: &str) -> String {
        let mut words = name.split('_');
        let mut out = words.next().unwrap().to_owned();
        for word in words {
            out.push_str(&word[..1].to_uppercase());
            out.push_str(&word[1..]);
        }
        out
    }

    #[test]
    fn every_message_of_the_three_signals_is_there() {
        // 3 requests, 3 responses with their partial success, 3 resource levels, 3 scope levels, Resource, EntityRef, InstrumentationScope,
        // the 4 of attributes, the 4 of spans, LogRecord, and the 13 of metrics.
        assert_eq!(reachable().len(), 3 + 6 + 3 + 3 + 3 + 4 + 4 + 1 + 13);
    }

    #[test]
    fn json_names_are_the_lower_camel_case_of_the_names() {
        for (message, table) in reachable() {
            for field in table.fields {
                assert_eq!(field.json, lower_camel_case(field.name), "{message}");
            }
        }
    }

    #[test]
    fn every_field_is_found_by_number_and_by_name() {
        for (message, table) in reachable() {
            for field in table.fields {
                let by_number = table.field(field.number).unwrap();
                assert!(std::ptr::eq(by_number, field), "{message}.{}", field.name);
                let by_name = table.field_by_json_name(field.json).unwrap();
                assert!(std::ptr::eq(by_name, field), "{message}.{}", field.name);
            }
            assert!(table.field(0).is_none());
            assert!(table.field(NUMBERS as u32).is_none());
            assert!(table.field(u32::MAX).is_none());
        }
    }
}
