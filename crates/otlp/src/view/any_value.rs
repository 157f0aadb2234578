//! Attributes and their values.

use std::fmt;

use super::{as_text, messages, text};
use crate::wire::{Fields, Value};

/// An attribute.
#[derive(Clone, Copy)]
pub struct KeyValue<'a> {
    message: &'a [u8],
}

/// The value of an attribute, or the body of a log record. Displays strings as they are, and lists
/// and maps about as JSON does.
#[derive(Clone, Copy, PartialEq)]
pub enum AnyValue<'a> {
    /// No value.
    Empty,
    /// `string_value`.
    String(&'a str),
    /// `bool_value`.
    Bool(bool),
    /// `int_value`.
    Int(i64),
    /// `double_value`.
    Double(f64),
    /// `array_value`, the encoded `ArrayValue`; see [`AnyValue::elements`].
    Array(&'a [u8]),
    /// `kvlist_value`, the encoded `KeyValueList`; see [`AnyValue::entries`].
    KeyValues(&'a [u8]),
    /// `bytes_value`.
    Bytes(&'a [u8]),
    /// `string_value_strindex`, which only profiles use.
    StringIndex(i32),
}

// === impl KeyValue ===

impl<'a> KeyValue<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { message }
    }

    /// The name of the attribute.
    pub fn key(&self) -> &'a str {
        text(self.message, 1)
    }

    /// The value of the attribute.
    pub fn value(&self) -> AnyValue<'a> {
        AnyValue::new(self.value_bytes())
    }

    /// The value of the attribute, encoded.
    pub(crate) fn value_bytes(&self) -> &'a [u8] {
        messages(self.message, 2).last().unwrap_or_default()
    }
}

impl fmt::Debug for KeyValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyValue")
            .field(&self.key())
            .field(&self.value())
            .finish()
    }
}

// === impl AnyValue ===

impl<'a> AnyValue<'a> {
    /// Reads an encoded `AnyValue`.
    pub fn new(message: &'a [u8]) -> Self {
        let mut value = Self::Empty;
        for field in Fields::new(message).map_while(Result::ok) {
            value = match (field.number, field.value) {
                (1, Value::Bytes(string)) => Self::String(as_text(string)),
                (2, Value::Varint(number)) => Self::Bool(number != 0),
                (3, Value::Varint(number)) => Self::Int(number as i64),
                (4, Value::Fixed64(bits)) => Self::Double(f64::from_bits(bits)),
                (5, Value::Bytes(array)) => Self::Array(array),
                (6, Value::Bytes(list)) => Self::KeyValues(list),
                (7, Value::Bytes(bytes)) => Self::Bytes(bytes),
                (8, Value::Varint(index)) => Self::StringIndex(index as i32),
                _ => continue,
            };
        }
        value
    }

    /// The elements of a list; none for other values.
    pub fn elements(&self) -> impl Iterator<Item = AnyValue<'a>> + use<'a> {
        let array = match self {
            Self::Array(array) => array,
            _ => &[][..],
        };
        messages(array, 1).map(AnyValue::new)
    }

    /// The entries of a map; none for other values.
    pub fn entries(&self) -> impl Iterator<Item = KeyValue<'a>> + use<'a> {
        let list = match self {
            Self::KeyValues(list) => list,
            _ => &[][..],
        };
        messages(list, 1).map(KeyValue::new)
    }
}

impl fmt::Display for AnyValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => Ok(()),
            Self::String(string) => f.write_str(string),
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Double(value) => value.fmt(f),
            Self::StringIndex(index) => write!(f, "string {index}"),
            Self::Bytes(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            Self::Array(_) => {
                f.write_str("[")?;
                for (index, element) in self.elements().enumerate() {
                    f.write_str(if index > 0 { ", " } else { "" })?;
                    element.fmt_nested(f)?;
                }
                f.write_str("]")
            }
            Self::KeyValues(_) => {
                f.write_str("{")?;
                for (index, entry) in self.entries().enumerate() {
                    f.write_str(if index > 0 { ", " } else { "" })?;
                    write!(f, "{:?}: ", entry.key())?;
                    entry.value().fmt_nested(f)?;
                }
                f.write_str("}")
            }
        }
    }
}

impl AnyValue<'_> {
    fn fmt_nested(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(string) => write!(f, "{string:?}"),
            Self::Empty => f.write_str("null"),
            other => fmt::Display::fmt(other, f),
        }
    }
}

impl fmt::Debug for AnyValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_nested(f)
    }
}
