//! Writing protobuf, field by field, at the end of a buffer.
//!
//! Source: the protobuf encoding guide (<https://protobuf.dev/programming-guides/encoding/>) and
//! opentelemetry-proto 1.11 for the attribute messages. The filter encodes every record with this,
//! once, straight into the batch that will be sent; so nothing here allocates beyond the buffer.
//!
//! Left out: reading (see `wire`), packed repeated fields and groups, which OTLP does not need here.

/// Wire type 0.
const VARINT: u64 = 0;
/// Wire type 1.
const FIXED64: u64 = 1;
/// Wire type 2.
const LENGTH_DELIMITED: u64 = 2;
/// Wire type 5.
const FIXED32: u64 = 5;

/// How many bytes [`begin_message`] keeps for a length; enough for messages under 16 KiB.
const RESERVED_LENGTH: usize = 2;

/// Of a length below 256 MiB, far beyond any message that is encoded here.
const MAX_LENGTH_BYTES: usize = 4;
/// The greatest field number whose tag has one byte.
const MAX_SHORT_FIELD: u32 = 15;
/// The tags of `KeyValue.key`, `KeyValue.value` and `AnyValue.string_value`.
const KEY_TAG: u8 = 0x0a;
const VALUE_TAG: u8 = 0x12;
const STRING_TAG: u8 = 0x0a;

/// A message under construction, from [`begin_message`] to [`end_message`].
///
/// Messages nest: the one begun last is ended first.
#[must_use = "a message that is begun has no valid length before it is ended"]
#[derive(Debug)]
pub struct OpenMessage {
    /// Where the content starts in the buffer.
    content: usize,
}

/// Appends `value` as a varint.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// How many bytes [`put_varint`] takes for `value`.
#[inline]
pub const fn varint_len(value: u64) -> usize {
    // Seven bits a byte, and at least one byte.
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// How many bytes a length-delimited field takes, tag and length included.
#[inline]
pub const fn bytes_field_len(field: u32, length: usize) -> usize {
    varint_len((field as u64) << 3) + varint_len(length as u64) + length
}

/// Appends the tag and the length of a length-delimited field; the content is for the caller.
#[inline]
pub fn put_length(out: &mut Vec<u8>, field: u32, length: usize) {
    put_tag(out, field, LENGTH_DELIMITED);
    put_varint(out, length as u64);
}

/// Appends a `string`, `bytes` or already encoded message field, also when it is empty.
#[inline]
pub fn put_bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    put_length(out, field, value.len());
    out.extend_from_slice(value);
}

/// Appends an integer, enum or bool field of wire type 0.
#[inline]
pub fn put_uint(out: &mut Vec<u8>, field: u32, value: u64) {
    put_tag(out, field, VARINT);
    put_varint(out, value);
}

/// Appends length-delimited fields that were encoded as fields of numbers up to 15, as fields of the
/// number `field`, up to 15 as well. What does not follow that is copied as it is.
pub fn put_fields_as(out: &mut Vec<u8>, field: u32, fields: &[u8]) {
    let tag = (field << 3) as u8 | LENGTH_DELIMITED as u8;
    let mut at = out.len();
    out.extend_from_slice(fields);
    while let Some([place, rest @ ..]) = out.get_mut(at..) {
        *place = tag;
        let (mut length, mut size) = (0usize, 0u32);
        for byte in rest.iter().take(MAX_LENGTH_BYTES) {
            length |= usize::from(byte & 0x7f) << (7 * size);
            size += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        at = at.saturating_add(1 + size as usize).saturating_add(length);
    }
}

/// Appends a `fixed64` field.
#[inline]
pub fn put_fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
    put_tag(out, field, FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a `fixed32` field.
#[inline]
pub fn put_fixed32(out: &mut Vec<u8>, field: u32, value: u32) {
    put_tag(out, field, FIXED32);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Begins a nested message whose length is not known beforehand.
#[inline]
pub fn begin_message(out: &mut Vec<u8>, field: u32) -> OpenMessage {
    put_tag(out, field, LENGTH_DELIMITED);
    out.extend_from_slice(&[0; RESERVED_LENGTH]);
    OpenMessage { content: out.len() }
}

/// Ends a message: writes its length, and moves the content where the length needs other than the
/// reserved bytes, so that the encoding is always the shortest one.
#[inline]
#[allow(clippy::needless_pass_by_value, reason = "a message ends once")]
pub fn end_message(out: &mut Vec<u8>, message: OpenMessage) {
    let length = out.len().saturating_sub(message.content);
    let at = message.content.saturating_sub(RESERVED_LENGTH);
    let (encoded, size) = length_bytes(length as u64);
    let encoded = encoded.get(..size).unwrap_or_default();
    if size == RESERVED_LENGTH {
        if let Some(place) = out.get_mut(at..message.content) {
            place.copy_from_slice(encoded);
        }
        return;
    }
    out.splice(at..message.content, encoded.iter().copied());
}

/// Appends `KeyValue{key, AnyValue{string_value}}` as `field`. `value` has to be UTF-8 for the
/// message to be valid.
pub fn put_string_attribute(out: &mut Vec<u8>, field: u32, key: &str, value: &[u8]) {
    // The tag and length of the key, and those of the `AnyValue` and of the string in it.
    const INNER_HEADS: usize = 2 + 4;
    /// The greatest length of one byte.
    const SHORT: usize = 0x7f;
    let length = key.len() + value.len() + INNER_HEADS;
    if length <= SHORT && field <= MAX_SHORT_FIELD {
        // As nearly all attributes are: each tag and each length has one byte, so that they can be
        // written four at a time.
        let tag = (field << 3) as u8 | LENGTH_DELIMITED as u8;
        out.reserve(length + 2);
        out.extend_from_slice(&[tag, length as u8, KEY_TAG, key.len() as u8]);
        out.extend_from_slice(key.as_bytes());
        let value_length = value.len() as u8;
        out.extend_from_slice(&[VALUE_TAG, value_length + 2, STRING_TAG, value_length]);
        out.extend_from_slice(value);
        return;
    }
    put_attribute_head(out, field, key, bytes_field_len(1, value.len()));
    put_bytes(out, 1, value);
}

/// Appends `KeyValue{key, AnyValue{bool_value}}` as `field`.
#[inline]
pub fn put_bool_attribute(out: &mut Vec<u8>, field: u32, key: &str, value: bool) {
    put_attribute_head(out, field, key, 2);
    put_uint(out, 2, u64::from(value));
}

/// Appends `KeyValue{key, AnyValue{int_value}}` as `field`.
#[inline]
pub fn put_int_attribute(out: &mut Vec<u8>, field: u32, key: &str, value: i64) {
    put_attribute_head(out, field, key, 1 + varint_len(value as u64));
    put_uint(out, 3, value as u64);
}

/// Appends `KeyValue{key, AnyValue{double_value}}` as `field`.
#[inline]
pub fn put_double_attribute(out: &mut Vec<u8>, field: u32, key: &str, value: f64) {
    put_attribute_head(out, field, key, 9);
    put_fixed64(out, 4, value.to_bits());
}

#[inline]
fn put_tag(out: &mut Vec<u8>, field: u32, wire_type: u64) {
    put_varint(out, u64::from(field) << 3 | wire_type);
}

/// Everything of a `KeyValue` field before the content of its `AnyValue` of `any_value` bytes.
#[inline]
fn put_attribute_head(out: &mut Vec<u8>, field: u32, key: &str, any_value: usize) {
    put_length(
        out,
        field,
        bytes_field_len(1, key.len()) + bytes_field_len(2, any_value),
    );
    put_bytes(out, 1, key.as_bytes());
    put_length(out, 2, any_value);
}

fn length_bytes(mut value: u64) -> ([u8; 10], usize) {
    let mut bytes = [0; 10];
    let mut size = 0;
    for byte in &mut bytes {
        size += 1;
        if value < 0x80 {
            *byte = value as u8;
            break;
        }
        *byte = value as u8 | 0x80;
        value >>= 7;
    }
    (bytes, size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_have_the_length_that_is_foretold() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1u64 << shift) - 1, u64::MAX >> shift] {
                let mut out = Vec::new();
                put_varint(&mut out, value);
                assert_eq!(out.len(), varint_len(value), "{value}");
            }
        }
    }

    #[test]
    fn a_message_has_the_shortest_length_whatever_its_size() {
        for size in [0usize, 1, 127, 128, 16_383, 16_384, 70_000] {
            let mut nested = vec![0xff];
            let message = begin_message(&mut nested, 3);
            nested.extend(std::iter::repeat_n(7, size));
            end_message(&mut nested, message);
            let mut flat = vec![0xff];
            put_bytes(&mut flat, 3, &vec![7; size]);
            assert_eq!(nested, flat, "{size}");
        }
    }

    #[test]
    fn a_string_attribute_is_the_same_however_long() {
        for field in [1, 6, 9, 15, 16, 300] {
            for size in [0usize, 1, 100, 119, 120, 121, 122, 127, 128, 300, 20_000] {
                let value = vec![b'v'; size];
                let mut any_value = Vec::new();
                put_bytes(&mut any_value, 1, &value);
                let mut key_value = Vec::new();
                put_bytes(&mut key_value, 1, b"k");
                put_bytes(&mut key_value, 2, &any_value);
                let mut expected = Vec::new();
                put_bytes(&mut expected, field, &key_value);
                let mut out = Vec::new();
                put_string_attribute(&mut out, field, "k", &value);
                assert_eq!(out, expected, "field {field}, {size} bytes");
            }
        }
    }

    #[test]
    fn fields_take_another_number() {
        let (mut fields, mut expected) = (Vec::new(), vec![7]);
        for size in [0usize, 1, 127, 128, 20_000, 3_000_000] {
            put_bytes(&mut fields, 9, &vec![b'v'; size]);
            put_bytes(&mut expected, 6, &vec![b'v'; size]);
        }
        let mut out = vec![7];
        put_fields_as(&mut out, 6, &fields);
        assert_eq!(out, expected);
        // Nothing to rely on, but nothing that panics, either.
        put_fields_as(&mut out, 6, &[0x4a]);
        put_fields_as(&mut out, 6, &[0x4a, 0xff, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(out.len(), expected.len() + 7);
    }

    #[test]
    fn attributes_are_key_values() {
        let mut out = Vec::new();
        put_string_attribute(&mut out, 9, "k", b"v");
        put_int_attribute(&mut out, 9, "k", 200);
        put_bool_attribute(&mut out, 6, "k", true);
        put_double_attribute(&mut out, 6, "k", 1.0);
        let expected: &[&[u8]] = &[
            &[0x4a, 8, 0x0a, 1, b'k', 0x12, 3, 0x0a, 1, b'v'],
            &[0x4a, 8, 0x0a, 1, b'k', 0x12, 3, 0x18, 0xc8, 1],
            &[0x32, 7, 0x0a, 1, b'k', 0x12, 2, 0x10, 1],
            &[
                0x32, 14, 0x0a, 1, b'k', 0x12, 9, 0x21, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f,
            ],
        ];
        assert_eq!(out, expected.concat());
    }
}
