//! R: 56 bits that are the same at every hop of a trace.

use core::fmt;

use crate::{RANGE, digits};

/// The randomness of a trace, 0 to 2^56 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Randomness(u64);

/// A value that is no `rv`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseRandomnessError {
    /// Its length in bytes.
    pub found: usize,
}

// === impl Randomness ===

impl Randomness {
    /// The low 56 bits of a number; of a trace id these are its right-most 7 bytes.
    pub const fn from_low_bits(bits: u64) -> Self {
        Self(bits & (RANGE - 1))
    }

    /// Reads the value of `rv`: exactly 14 lower-case hex digits.
    ///
    /// # Errors
    /// [`ParseRandomnessError`] for any other length or byte.
    pub fn parse(digits: &[u8]) -> Result<Self, ParseRandomnessError> {
        let error = ParseRandomnessError {
            found: digits.len(),
        };
        if digits.len() != digits::DIGITS {
            return Err(error);
        }
        digits::parse_left_aligned(digits).map(Self).ok_or(error)
    }

    /// The 14 digits of `rv`.
    pub fn to_hex(self) -> [u8; 14] {
        digits::format(self.0)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

// === impl ParseRandomnessError ===

impl fmt::Display for ParseRandomnessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "rv: expected 14 lower-case hex digits, but found {} characters",
            self.found
        )?;
        if self.found == digits::DIGITS {
            f.write_str(", not all of them such digits")?;
        }
        Ok(())
    }
}

impl core::error::Error for ParseRandomnessError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_fourteen_lower_case_digits_are_randomness() {
        assert_eq!(
            Randomness::parse(b"9b8233f7e3a151").unwrap().get(),
            0x9b_8233_f7e3_a151
        );
        for value in [
            "",
            "9b8233f7e3a15",
            "9b8233f7e3a1511",
            "9B8233f7e3a151",
            "9b8233f7e3a15g",
        ] {
            let error = Randomness::parse(value.as_bytes()).unwrap_err();
            assert_eq!(error.found, value.len(), "{value}");
        }
    }

    #[test]
    fn the_high_byte_of_a_number_is_no_randomness() {
        assert_eq!(Randomness::from_low_bits(u64::MAX).get(), RANGE - 1);
    }

    proptest! {
        #[test]
        fn parse_reverses_to_hex(bits: u64) {
            let randomness = Randomness::from_low_bits(bits);
            prop_assert_eq!(Randomness::parse(&randomness.to_hex()), Ok(randomness));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = Randomness::parse(&bytes);
        }
    }
}
