//! Scalars of OTLP JSON: what a number or a string means for a field of a kind.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::encode::{put_fixed32, put_fixed64, put_uint, put_varint};
use crate::schema::Kind;

/// Standard alphabet, padding as it comes.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A number as the wire has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
}

// === impl Scalar ===

impl Scalar {
    pub(super) fn double(value: f64) -> Self {
        Self::Fixed64(value.to_bits())
    }

    pub(super) fn is_zero(self) -> bool {
        matches!(self, Self::Varint(0) | Self::Fixed64(0) | Self::Fixed32(0))
    }

    pub(super) fn put(self, out: &mut Vec<u8>, number: u32) {
        match self {
            Self::Varint(value) => put_uint(out, number, value),
            Self::Fixed64(value) => put_fixed64(out, number, value),
            Self::Fixed32(value) => put_fixed32(out, number, value),
        }
    }

    /// Writes an element of a packed field.
    pub(super) fn put_untagged(self, out: &mut Vec<u8>) {
        match self {
            Self::Varint(value) => put_varint(out, value),
            Self::Fixed64(value) => out.extend_from_slice(&value.to_le_bytes()),
            Self::Fixed32(value) => out.extend_from_slice(&value.to_le_bytes()),
        }
    }
}

/// An integer as a field of `kind`; `None` if it is out of range or the kind is no integer.
pub(super) fn integer(kind: Kind, value: i128) -> Option<Scalar> {
    match kind {
        Kind::Int64 => i64::try_from(value).ok().map(|v| Scalar::Varint(v as u64)),
        Kind::Sfixed64 => i64::try_from(value).ok().map(|v| Scalar::Fixed64(v as u64)),
        Kind::Uint64 => u64::try_from(value).ok().map(Scalar::Varint),
        Kind::Fixed64 => u64::try_from(value).ok().map(Scalar::Fixed64),
        // Negative numbers take all ten bytes of a varint.
        Kind::Int32 | Kind::Enum => i32::try_from(value)
            .ok()
            .map(|v| Scalar::Varint(i64::from(v) as u64)),
        Kind::Sint32 => i32::try_from(value)
            .ok()
            .map(|v| Scalar::Varint(((v << 1) ^ (v >> 31)) as u32 as u64)),
        Kind::Uint32 => u32::try_from(value).ok().map(|v| Scalar::Varint(v.into())),
        Kind::Fixed32 => u32::try_from(value).ok().map(Scalar::Fixed32),
        _ => None,
    }
}

/// A number without a fraction as an integer: the mapping allows `1e3` and `1.0`.
pub(super) fn whole(value: f64) -> Option<i128> {
    // Any whole double in the range of 64 bits is exact in 128. At its edges lies what a double rounds:
    // -9223372036854775809 becomes the least integer of 64 bits, which it is not.
    let fits = value.fract() == 0.0 && value > -(2f64.powi(63)) && value < 2f64.powi(64);
    fits.then_some(value as i128)
}

/// A number in a string.
pub(super) fn quoted(kind: Kind, text: &str) -> Option<Scalar> {
    match kind {
        Kind::Enum => None,
        Kind::Double => match text {
            "NaN" => Some(Scalar::double(f64::NAN)),
            "Infinity" => Some(Scalar::double(f64::INFINITY)),
            "-Infinity" => Some(Scalar::double(f64::NEG_INFINITY)),
            text => number(text).map(Scalar::double),
        },
        kind => match text.parse() {
            Ok(value) => integer(kind, value),
            Err(_) => integer(kind, whole(number(text)?)?),
        },
    }
}

/// Bytes from base64 in the standard or the URL alphabet, padded or not.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    let standard = if text.contains(['-', '_']) {
        Cow::Owned(text.replace('-', "+").replace('_', "/"))
    } else {
        Cow::Borrowed(text)
    };
    BASE64.decode(standard.as_bytes()).ok()
}

/// Fills `id` from hexadecimal digits in either case; an empty text is no id.
pub(super) fn hex<'a>(text: &str, id: &'a mut [u8]) -> Option<&'a [u8]> {
    if text.is_empty() {
        return Some(&[]);
    }
    if text.len() != 2 * id.len() {
        return None;
    }
    for (byte, digits) in id.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = digits else { return None };
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(id)
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

/// A finite number as JSON writes it; Rust alone would also take `inf` and `nan`.
fn number(text: &str) -> Option<f64> {
    let numeric = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    if !text.bytes().all(numeric) {
        return None;
    }
    text.parse().ok().filter(|value: &f64| value.is_finite())
}
