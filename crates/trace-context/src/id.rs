//! Trace and span ids, which are never zero.

use core::fmt;

use crate::hex;

/// A trace id: 16 bytes, not all zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId([u8; 16]);

/// A span id: 8 bytes, not all zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId([u8; 8]);

/// Why bytes are no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseIdError {
    /// Not exactly that many lower-case hex digits.
    Hex {
        /// 32 or 16.
        expected: usize,
    },
    /// All digits are zero.
    Zero,
}

// === impl TraceId ===

impl TraceId {
    /// `None` if all bytes are zero.
    pub const fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        if u128::from_be_bytes(bytes) == 0 {
            None
        } else {
            Some(Self(bytes))
        }
    }

    /// Reads exactly 32 lower-case hex digits.
    ///
    /// # Errors
    /// [`ParseIdError`] for other bytes, another length, or zero.
    pub fn from_hex(digits: &[u8]) -> Result<Self, ParseIdError> {
        let bytes = hex::decode(digits).ok_or(ParseIdError::Hex { expected: 32 })?;
        Self::from_bytes(bytes).ok_or(ParseIdError::Zero)
    }

    /// The 128-bit id of a 64-bit trace: zeros to the left.
    pub fn from_short(low: [u8; 8]) -> Option<Self> {
        Self::from_bytes(u128::from(u64::from_be_bytes(low)).to_be_bytes())
    }

    /// 32 lower-case hex digits.
    pub fn to_hex(self) -> [u8; 32] {
        let mut digits = [0; 32];
        hex::encode(&self.0, &mut digits);
        digits
    }

    /// The bytes in the order of the digits.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The right-most 56 bits: the randomness of a trace id of Level 2.
    pub const fn random56(self) -> u64 {
        (u128::from_be_bytes(self.0) & ((1 << 56) - 1)) as u64
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.to_hex(), f)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// === impl SpanId ===

impl SpanId {
    /// `None` if all bytes are zero.
    pub const fn from_bytes(bytes: [u8; 8]) -> Option<Self> {
        if u64::from_be_bytes(bytes) == 0 {
            None
        } else {
            Some(Self(bytes))
        }
    }

    /// Reads exactly 16 lower-case hex digits.
    ///
    /// # Errors
    /// [`ParseIdError`] for other bytes, another length, or zero.
    pub fn from_hex(digits: &[u8]) -> Result<Self, ParseIdError> {
        let bytes = hex::decode(digits).ok_or(ParseIdError::Hex { expected: 16 })?;
        Self::from_bytes(bytes).ok_or(ParseIdError::Zero)
    }

    /// 16 lower-case hex digits.
    pub fn to_hex(self) -> [u8; 16] {
        let mut digits = [0; 16];
        hex::encode(&self.0, &mut digits);
        digits
    }

    /// The bytes in the order of the digits.
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.to_hex(), f)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn write_hex(digits: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.pad(core::str::from_utf8(digits).unwrap_or_default())
}

// === impl ParseIdError ===

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hex { expected } => {
                write!(
                    f,
                    "expected {expected} lower-case hex digits, but found something else"
                )
            }
            Self::Zero => f.write_str("expected an id that is not zero, but found only zeros"),
        }
    }
}

impl core::error::Error for ParseIdError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn zero_is_no_id() {
        assert_eq!(TraceId::from_bytes([0; 16]), None);
        assert_eq!(TraceId::from_short([0; 8]), None);
        assert_eq!(SpanId::from_bytes([0; 8]), None);
        assert_eq!(TraceId::from_hex(&[b'0'; 32]), Err(ParseIdError::Zero));
        assert_eq!(SpanId::from_hex(&[b'0'; 16]), Err(ParseIdError::Zero));
    }

    #[test]
    fn randomness_is_the_last_seven_bytes() {
        let id = TraceId::from_hex(b"ffffffffffffffffff9b8233f7e3a151").unwrap();
        assert_eq!(id.random56(), 0x9b_8233_f7e3_a151);
    }

    #[test]
    fn a_short_id_is_padded_to_the_left() {
        let id = TraceId::from_short(*b"\x12\x34\x56\x78\x90\x12\x34\x56").unwrap();
        assert_eq!(id.to_string(), "00000000000000001234567890123456");
    }

    proptest! {
        #[test]
        fn hex_round_trips(trace: [u8; 16], span: [u8; 8]) {
            if let Some(id) = TraceId::from_bytes(trace) {
                prop_assert_eq!(TraceId::from_hex(&id.to_hex()), Ok(id));
            }
            if let Some(id) = SpanId::from_bytes(span) {
                prop_assert_eq!(SpanId::from_hex(&id.to_hex()), Ok(id));
            }
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = TraceId::from_hex(&bytes);
            let _ = SpanId::from_hex(&bytes);
        }
    }
}
