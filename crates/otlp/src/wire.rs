//! Reading protobuf, field by field, without copying.
//!
//! Source: the protobuf encoding guide (<https://protobuf.dev/programming-guides/encoding/>). This
//! module knows no message: it tells numbers, wire types and values apart and refuses what no
//! message can contain. Groups (wire types 3 and 4) are refused: OTLP never had one, and no version
//! of it can get one in proto3.

use std::fmt;

/// The largest number that a field can have.
pub const MAX_FIELD_NUMBER: u32 = (1 << 29) - 1;

/// How a value is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum WireType {
    /// Integers, booleans and enums.
    Varint = 0,
    /// Eight bytes, little endian.
    Fixed64 = 1,
    /// A length and as many bytes: strings, bytes, messages, packed repeated fields.
    Bytes = 2,
    /// Four bytes, little endian.
    Fixed32 = 5,
}

/// One field as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The field number, 1 to [`MAX_FIELD_NUMBER`].
    pub number: u32,
    /// The value, not interpreted.
    pub value: Value<'a>,
}

/// A value of each wire type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2, without its length.
    Bytes(&'a [u8]),
    /// Wire type 5.
    Fixed32(u32),
}

/// The fields of one message in the order of the wire.
///
/// Ends after the first error.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

/// Why bytes are no protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The bytes end within a tag, a varint or a fixed-size value. Typical of a cut-off body.
    Truncated,
    /// A length goes past the end of what contains it. Typical of a cut-off body.
    LengthPastEnd {
        /// What the length says.
        length: u64,
        /// How many bytes there are.
        left: usize,
    },
    /// Field number 0. Typical of bytes that are no protobuf at all.
    FieldNumberZero,
    /// A tag above the largest field number.
    FieldNumberTooLarge,
    /// Wire types 3 and 4.
    Group,
    /// Wire types 6 and 7, which do not exist.
    UnknownWireType(u8),
    /// A varint above 64 bits.
    VarintOverflow,
}

// === impl WireType ===

impl WireType {
    /// Which wire type a tag announces.
    ///
    /// # Errors
    /// [`Error::Group`] and [`Error::UnknownWireType`].
    #[inline]
    pub const fn of_tag(tag: u32) -> Result<Self, Error> {
        match tag & 7 {
            0 => Ok(Self::Varint),
            1 => Ok(Self::Fixed64),
            2 => Ok(Self::Bytes),
            5 => Ok(Self::Fixed32),
            3 | 4 => Err(Error::Group),
            other => Err(Error::UnknownWireType(other as u8)),
        }
    }
}

impl fmt::Display for WireType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Varint => "wire type 0 (varint)",
            Self::Fixed64 => "wire type 1 (64 bit)",
            Self::Bytes => "wire type 2 (length-delimited)",
            Self::Fixed32 => "wire type 5 (32 bit)",
        })
    }
}

// === impl Value ===

impl<'a> Value<'a> {
    /// The wire type of the value.
    pub const fn wire_type(self) -> WireType {
        match self {
            Self::Varint(_) => WireType::Varint,
            Self::Fixed64(_) => WireType::Fixed64,
            Self::Bytes(_) => WireType::Bytes,
            Self::Fixed32(_) => WireType::Fixed32,
        }
    }

    /// The bytes of a length-delimited value.
    pub const fn as_bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The number in a varint or a fixed-size value.
    pub const fn as_u64(self) -> Option<u64> {
        match self {
            Self::Varint(value) | Self::Fixed64(value) => Some(value),
            Self::Fixed32(value) => Some(value as u64),
            Self::Bytes(_) => None,
        }
    }
}

// === impl Fields ===

impl<'a> Fields<'a> {
    /// Reads the content of one message.
    #[inline]
    pub const fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// What has not been read yet.
    #[inline]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match take_field(self.rest) {
            Ok((field, rest)) => {
                self.rest = rest;
                Some(Ok(field))
            }
            Err(error) => {
                self.rest = &[];
                Some(Err(error))
            }
        }
    }
}

// === impl Error ===

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("expected more bytes, but found the end"),
            Self::LengthPastEnd { length, left } => {
                write!(f, "expected {length} bytes, but found {left}")
            }
            Self::FieldNumberZero => {
                f.write_str("expected a field number of at least 1, but found 0")
            }
            Self::FieldNumberTooLarge => write!(
                f,
                "expected a field number of at most {MAX_FIELD_NUMBER}, but found a larger one"
            ),
            Self::Group => f.write_str("expected no group, but found wire type 3 or 4"),
            Self::UnknownWireType(found) => {
                write!(f, "expected a wire type of 0, 1, 2 or 5, but found {found}")
            }
            Self::VarintOverflow => {
                f.write_str("expected a varint of at most 64 bits, but found a longer one")
            }
        }
    }
}

impl std::error::Error for Error {}

/// Takes one field off the front of `from`.
#[inline]
pub(crate) fn take_field(from: &[u8]) -> Result<(Field<'_>, &[u8]), Error> {
    let (tag, rest) = take_tag(from)?;
    let (value, rest) = match WireType::of_tag(tag)? {
        WireType::Varint => {
            let (value, rest) = take_varint(rest)?;
            (Value::Varint(value), rest)
        }
        WireType::Fixed64 => {
            let (value, rest) = take_fixed64(rest)?;
            (Value::Fixed64(value), rest)
        }
        WireType::Bytes => {
            let (value, rest) = take_bytes(rest)?;
            (Value::Bytes(value), rest)
        }
        WireType::Fixed32 => {
            let (value, rest) = take_fixed32(rest)?;
            (Value::Fixed32(value), rest)
        }
    };
    let number = tag >> 3;
    Ok((Field { number, value }, rest))
}

/// Takes a tag; its field number is at least 1, its wire type is not looked at.
#[inline]
pub(crate) fn take_tag(from: &[u8]) -> Result<(u32, &[u8]), Error> {
    let (tag, rest) = take_varint(from)?;
    let tag = u32::try_from(tag).map_err(|_| Error::FieldNumberTooLarge)?;
    if tag < 8 {
        return Err(Error::FieldNumberZero);
    }
    Ok((tag, rest))
}

/// Takes a varint.
#[inline]
pub(crate) fn take_varint(from: &[u8]) -> Result<(u64, &[u8]), Error> {
    match from {
        [low, rest @ ..] if *low < 0x80 => Ok((u64::from(*low), rest)),
        [low, high, rest @ ..] if *high < 0x80 => {
            Ok((u64::from(*low & 0x7f) | u64::from(*high) << 7, rest))
        }
        _ => take_long_varint(from),
    }
}

/// Takes a length and as many bytes.
#[inline]
pub(crate) fn take_bytes(from: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let (length, rest) = take_varint(from)?;
    usize::try_from(length)
        .ok()
        .and_then(|length| rest.split_at_checked(length))
        .ok_or(Error::LengthPastEnd {
            length,
            left: rest.len(),
        })
}

/// Takes eight bytes.
#[inline]
pub(crate) fn take_fixed64(from: &[u8]) -> Result<(u64, &[u8]), Error> {
    let (bytes, rest) = from.split_first_chunk().ok_or(Error::Truncated)?;
    Ok((u64::from_le_bytes(*bytes), rest))
}

/// Takes four bytes.
#[inline]
pub(crate) fn take_fixed32(from: &[u8]) -> Result<(u32, &[u8]), Error> {
    let (bytes, rest) = from.split_first_chunk().ok_or(Error::Truncated)?;
    Ok((u32::from_le_bytes(*bytes), rest))
}

#[inline(never)]
fn take_long_varint(from: &[u8]) -> Result<(u64, &[u8]), Error> {
    let mut value = 0;
    let mut rest = from;
    for shift in (0..64).step_by(7) {
        let Some((byte, tail)) = rest.split_first() else {
            return Err(Error::Truncated);
        };
        rest = tail;
        // The tenth byte holds the last bit.
        if shift == 63 && *byte > 1 {
            return Err(Error::VarintOverflow);
        }
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Ok((value, rest));
        }
    }
    Err(Error::VarintOverflow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode;

    fn all(bytes: &[u8]) -> Result<Vec<Field<'_>>, Error> {
        Fields::new(bytes).collect()
    }

    #[test]
    fn every_wire_type_is_read() {
        let mut bytes = Vec::new();
        encode::put_uint(&mut bytes, 1, u64::MAX);
        encode::put_fixed64(&mut bytes, 2, 7);
        encode::put_bytes(&mut bytes, MAX_FIELD_NUMBER, b"abc");
        encode::put_fixed32(&mut bytes, 16, 9);
        let field = |number, value| Field { number, value };
        assert_eq!(
            all(&bytes).unwrap(),
            [
                field(1, Value::Varint(u64::MAX)),
                field(2, Value::Fixed64(7)),
                field(MAX_FIELD_NUMBER, Value::Bytes(b"abc")),
                field(16, Value::Fixed32(9)),
            ]
        );
    }

    #[test]
    fn varints_of_every_length_are_read_back() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1u64 << shift) - 1, u64::MAX >> shift] {
                let mut bytes = Vec::new();
                encode::put_varint(&mut bytes, value);
                bytes.push(0xff);
                assert_eq!(take_varint(&bytes), Ok((value, &[0xff][..])));
            }
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let cases: &[(&[u8], Error)] = &[
            (&[0x80], Error::Truncated),
            (&[0x08], Error::Truncated),
            (&[0x08, 0x80], Error::Truncated),
            (&[0x09, 1, 2, 3], Error::Truncated),
            (&[0x0d, 1, 2, 3], Error::Truncated),
            (&[0x0a], Error::Truncated),
            (&[0x0a, 3, 1], Error::LengthPastEnd { length: 3, left: 1 }),
            (&[0x00, 1], Error::FieldNumberZero),
            (&[0x80, 0x00, 1], Error::FieldNumberZero),
            (&[0x0b], Error::Group),
            (&[0x0c], Error::Group),
            (&[0x0e], Error::UnknownWireType(6)),
            (&[0x0f], Error::UnknownWireType(7)),
            (&[0x80, 0x80, 0x80, 0x80, 0x10], Error::FieldNumberTooLarge),
            (
                &[
                    0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,
                ],
                Error::VarintOverflow,
            ),
            (
                &[
                    0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
                ],
                Error::VarintOverflow,
            ),
        ];
        for (bytes, error) in cases {
            assert_eq!(all(bytes), Err(*error), "{bytes:x?}");
        }
    }

    #[test]
    fn nothing_follows_an_error() {
        let mut fields = Fields::new(&[0x00, 0x08, 0x01]);
        assert_eq!(fields.next(), Some(Err(Error::FieldNumberZero)));
        assert_eq!(fields.next(), None);
    }
}
