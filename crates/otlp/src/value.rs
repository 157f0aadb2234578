//! Values of attributes to be written.

use crate::encode::{put_bytes, put_fixed64, put_uint};
use crate::view::AnyValue;

/// An encoded `AnyValue`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodedValue(Vec<u8>);

// === impl EncodedValue ===

impl EncodedValue {
    /// `string_value`.
    pub fn string(value: &str) -> Self {
        Self::bytes_field(1, value.as_bytes())
    }

    /// `bool_value`.
    pub fn bool(value: bool) -> Self {
        let mut out = Vec::with_capacity(2);
        put_uint(&mut out, 2, u64::from(value));
        Self(out)
    }

    /// `int_value`.
    pub fn int(value: i64) -> Self {
        let mut out = Vec::new();
        put_uint(&mut out, 3, value as u64);
        Self(out)
    }

    /// `double_value`.
    pub fn double(value: f64) -> Self {
        let mut out = Vec::with_capacity(9);
        put_fixed64(&mut out, 4, value.to_bits());
        Self(out)
    }

    /// `array_value`.
    pub fn array(elements: impl IntoIterator<Item = Self>) -> Self {
        let mut array = Vec::new();
        for Self(element) in elements {
            put_bytes(&mut array, 1, &element);
        }
        Self::bytes_field(5, &array)
    }

    /// `kvlist_value`.
    pub fn map<'a>(entries: impl IntoIterator<Item = (&'a str, Self)>) -> Self {
        let mut list = Vec::new();
        for (key, Self(value)) in entries {
            let mut entry = Vec::new();
            put_bytes(&mut entry, 1, key.as_bytes());
            put_bytes(&mut entry, 2, &value);
            put_bytes(&mut list, 1, &entry);
        }
        Self::bytes_field(6, &list)
    }

    /// A value that is encoded already.
    pub fn copied(value: &[u8]) -> Self {
        Self(value.to_vec())
    }

    /// The encoded message.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The encoded message.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// What it says.
    pub fn view(&self) -> AnyValue<'_> {
        AnyValue::new(&self.0)
    }

    fn bytes_field(number: u32, value: &[u8]) -> Self {
        let mut out = Vec::with_capacity(value.len() + 6);
        put_bytes(&mut out, number, value);
        Self(out)
    }
}
