//! `traceparent`, W3C Trace Context Level 2, section "Traceparent Header".

use core::fmt;

use crate::{
    hex,
    id::{ParseIdError, SpanId, TraceId},
    ows,
};

/// Trace flags; only the bits that Level 2 defines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TraceFlags(u8);

/// A valid `traceparent`. It is always written as version `00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceParent {
    /// The trace.
    pub trace_id: TraceId,
    /// The caller's span.
    pub parent_id: SpanId,
    /// The caller's flags.
    pub flags: TraceFlags,
}

/// Why a value is no `traceparent`. The trace then starts anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceParentError {
    /// Shorter than 55 characters.
    TooShort {
        /// Its length in bytes.
        found: usize,
    },
    /// No version: two lower-case hex digits other than `ff`, then a dash.
    Version,
    /// A bad trace id, or no dash after it.
    TraceId(ParseIdError),
    /// A bad parent id, or no dash after it.
    ParentId(ParseIdError),
    /// The flags are not two lower-case hex digits.
    Flags,
    /// Something follows the flags: in version `00` nothing may, in a later one only `-…`
    /// without a comma.
    Trailing,
}

// === impl TraceFlags ===

impl TraceFlags {
    /// The caller records.
    pub const SAMPLED: Self = Self(0x01);
    /// The right-most 7 bytes of the trace id are random.
    pub const RANDOM: Self = Self(0x02);

    /// Drops the bits that Level 2 does not define, since they must not be sent on.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & (Self::SAMPLED.0 | Self::RANDOM.0))
    }

    /// The byte.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether the caller records.
    pub const fn is_sampled(self) -> bool {
        self.0 & Self::SAMPLED.0 != 0
    }

    /// Whether the right-most 7 bytes of the trace id are random.
    pub const fn is_random(self) -> bool {
        self.0 & Self::RANDOM.0 != 0
    }

    /// These flags with the sampled bit as given.
    #[must_use]
    pub const fn with_sampled(self, sampled: bool) -> Self {
        if sampled {
            Self(self.0 | Self::SAMPLED.0)
        } else {
            Self(self.0 & !Self::SAMPLED.0)
        }
    }

    /// These flags with the random bit as given.
    #[must_use]
    pub const fn with_random(self, random: bool) -> Self {
        if random {
            Self(self.0 | Self::RANDOM.0)
        } else {
            Self(self.0 & !Self::RANDOM.0)
        }
    }
}

// === impl TraceParent ===

impl TraceParent {
    /// The length of version `00`, in bytes.
    pub const LENGTH: usize = 55;

    /// Reads one header value; white space around it is no part of it.
    ///
    /// # Errors
    /// [`TraceParentError`] tells the first part that is wrong.
    pub fn parse(value: &[u8]) -> Result<Self, TraceParentError> {
        let value = ows::trim(value);
        let Some((fields, rest)) = value.split_first_chunk::<{ Self::LENGTH }>() else {
            return Err(TraceParentError::TooShort { found: value.len() });
        };
        let (version, fields) = take_field::<3>(fields).ok_or(TraceParentError::Version)?;
        let [version] = hex::decode(version).ok_or(TraceParentError::Version)?;
        if version == 0xff {
            return Err(TraceParentError::Version);
        }
        let bad_trace_id = ParseIdError::Hex { expected: 32 };
        let (trace_id, fields) =
            take_field::<33>(fields).ok_or(TraceParentError::TraceId(bad_trace_id))?;
        let trace_id = TraceId::from_hex(trace_id).map_err(TraceParentError::TraceId)?;
        let bad_parent_id = ParseIdError::Hex { expected: 16 };
        let (parent_id, flags) =
            take_field::<17>(fields).ok_or(TraceParentError::ParentId(bad_parent_id))?;
        let parent_id = SpanId::from_hex(parent_id).map_err(TraceParentError::ParentId)?;
        let [flags] = hex::decode(flags).ok_or(TraceParentError::Flags)?;
        match rest.first() {
            None => {}
            // A comma joins two headers, which are as ambiguous as two separate ones.
            Some(b'-') if version > 0 && !rest.contains(&b',') => {}
            Some(_) => return Err(TraceParentError::Trailing),
        }
        Ok(Self {
            trace_id,
            parent_id,
            flags: TraceFlags::from_bits(flags),
        })
    }

    /// The value to send, always version `00`.
    pub fn format(&self) -> [u8; Self::LENGTH] {
        let mut value = *b"00-00000000000000000000000000000000-0000000000000000-00";
        hex::encode(
            self.trace_id.as_bytes(),
            value.get_mut(3..35).unwrap_or_default(),
        );
        hex::encode(
            self.parent_id.as_bytes(),
            value.get_mut(36..52).unwrap_or_default(),
        );
        hex::encode(
            &[self.flags.bits()],
            value.get_mut(53..).unwrap_or_default(),
        );
        value
    }
}

/// Splits off `N` bytes of which the last is the dash; the dash is dropped.
#[inline]
fn take_field<const N: usize>(fields: &[u8]) -> Option<(&[u8], &[u8])> {
    let (field, rest) = fields.split_first_chunk::<N>()?;
    let (b'-', field) = field.split_last()? else {
        return None;
    };
    Some((field, rest))
}

// === impl TraceParentError ===

impl fmt::Display for TraceParentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { found } => {
                write!(
                    f,
                    "traceparent: expected at least 55 characters, but found {found}"
                )
            }
            Self::Version => f.write_str(
                "traceparent: expected two lower-case hex digits other than ff and a dash as \
                 version, but found something else",
            ),
            Self::TraceId(error) => write!(f, "traceparent: trace-id: {error}"),
            Self::ParentId(error) => write!(f, "traceparent: parent-id: {error}"),
            Self::Flags => f.write_str(
                "traceparent: expected two lower-case hex digits as flags, but found something \
                 else",
            ),
            Self::Trailing => f.write_str(
                "traceparent: expected the end after the flags, but found more characters",
            ),
        }
    }
}

impl core::error::Error for TraceParentError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::TraceId(error) | Self::ParentId(error) => Some(error),
            Self::TooShort { .. } | Self::Version | Self::Flags | Self::Trailing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn the_fields_are_read() {
        let parent = TraceParent::parse(VALID.as_bytes()).unwrap();
        assert_eq!(
            parent.trace_id.to_string(),
            "0af7651916cd43dd8448eb211c80319c"
        );
        assert_eq!(parent.parent_id.to_string(), "b7ad6b7169203331");
        assert!(parent.flags.is_sampled() && !parent.flags.is_random());
        assert_eq!(parent.format().as_slice(), VALID.as_bytes());
    }

    #[test]
    fn each_part_has_its_error() {
        let short = TraceParentError::TooShort { found: 54 };
        let hex = |expected| ParseIdError::Hex { expected };
        for (value, expected) in [
            (
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
                short,
            ),
            (
                "0g-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                TraceParentError::Version,
            ),
            (
                "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                TraceParentError::Version,
            ),
            (
                "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                TraceParentError::Version,
            ),
            (
                "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                TraceParentError::TraceId(hex(32)),
            ),
            (
                "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
                TraceParentError::TraceId(hex(32)),
            ),
            (
                "00-00000000000000000000000000000000-b7ad6b7169203331-01",
                TraceParentError::TraceId(ParseIdError::Zero),
            ),
            (
                "00-0af7651916cd43dd8448eb211c80319c-B7ad6b7169203331-01",
                TraceParentError::ParentId(hex(16)),
            ),
            (
                "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
                TraceParentError::ParentId(ParseIdError::Zero),
            ),
            (
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0A",
                TraceParentError::Flags,
            ),
            (
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
                TraceParentError::Trailing,
            ),
            (
                "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
                TraceParentError::Trailing,
            ),
        ] {
            assert_eq!(
                TraceParent::parse(value.as_bytes()),
                Err(expected),
                "{value}"
            );
            assert!(expected.to_string().contains("expected"), "{expected}");
        }
    }

    #[test]
    fn flags_of_no_known_meaning_are_not_sent_on() {
        let value = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff";
        let parent = TraceParent::parse(value.as_bytes()).unwrap();
        assert!(parent.format().ends_with(b"-03"));
    }

    #[test]
    fn a_later_version_is_sent_on_as_version_00() {
        let value = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more";
        let parent = TraceParent::parse(value.as_bytes()).unwrap();
        assert_eq!(parent.format().as_slice(), VALID.as_bytes());
    }

    prop_compose! {
        fn any_parent()(trace: [u8; 16], span: [u8; 8], flags: u8) -> Option<TraceParent> {
            Some(TraceParent {
                trace_id: TraceId::from_bytes(trace)?,
                parent_id: SpanId::from_bytes(span)?,
                flags: TraceFlags::from_bits(flags),
            })
        }
    }

    proptest! {
        #[test]
        fn parse_reverses_format(parent in any_parent()) {
            if let Some(parent) = parent {
                prop_assert_eq!(TraceParent::parse(&parent.format()), Ok(parent));
            }
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = TraceParent::parse(&bytes);
        }

        #[test]
        fn one_changed_byte_never_panics_and_what_is_read_round_trips(
            at in 0..TraceParent::LENGTH,
            byte: u8,
        ) {
            let mut value = VALID.as_bytes().to_vec();
            value[at] = byte;
            if let Ok(parent) = TraceParent::parse(&value) {
                prop_assert_eq!(TraceParent::parse(&parent.format()), Ok(parent));
            }
        }
    }
}
