//! T: the part of all randomness that is rejected.

use core::fmt;

use crate::{RANGE, Randomness, digits};

/// A rejection threshold, 0 (keep all) to 2^56 - 1 (keep one of 2^56).
///
/// There is no threshold that rejects everything: "always off" is `None` where a threshold is
/// optional, and such a span has no `th`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Threshold(u64);

/// The digits of `th`, without trailing zeros.
#[derive(Clone, Copy, Debug)]
pub struct ThresholdDigits {
    digits: [u8; digits::DIGITS],
    length: usize,
}

/// How many significant hex digits a threshold gets, 1 to 14. Leading `0` and `f` digits, of which
/// probabilities near 1 and near 0 have many, are not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Precision(u8);

/// A value that is no `th`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseThresholdError {
    /// Its length in bytes.
    pub found: usize,
}

/// A number that is no sampling probability: neither 0 nor 2^-56 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProbabilityError {
    /// The number.
    pub found: f64,
}

// === impl Threshold ===

impl Threshold {
    /// Keeps everything: `th:0`.
    pub const KEEP_ALL: Self = Self(0);

    /// The threshold of a probability, rounded to `precision`. `None` is "always off": p = 0.
    ///
    /// # Errors
    /// [`ProbabilityError`] for less than 2^-56, more than 1, or no number.
    pub fn from_probability(
        probability: f64,
        precision: Precision,
    ) -> Result<Option<Self>, ProbabilityError> {
        if probability == 0.0 {
            return Ok(None);
        }
        if !(1.0 / RANGE as f64..=1.0).contains(&probability) {
            return Err(ProbabilityError { found: probability });
        }
        let kept = (probability * RANGE as f64).round() as u64;
        let threshold = RANGE - kept;
        let insignificant =
            leading_zero_digits(probability).max(leading_zero_digits(1.0 - probability));
        let digits = usize::from(precision.0) + insignificant;
        Ok(Some(Self(round(threshold, digits))))
    }

    /// The probability that it stands for, 2^-56 to 1.
    pub fn to_probability(self) -> f64 {
        (RANGE - self.0) as f64 / RANGE as f64
    }

    /// How many traces one that is kept stands for.
    pub fn adjusted_count(self) -> f64 {
        RANGE as f64 / (RANGE - self.0) as f64
    }

    /// Whether a trace with this randomness is kept.
    pub const fn keeps(self, randomness: Randomness) -> bool {
        randomness.get() >= self.0
    }

    /// Reads the value of `th`: 1 to 14 lower-case hex digits, zeros to the right left out.
    ///
    /// # Errors
    /// [`ParseThresholdError`] for any other length or byte.
    pub fn parse(digits: &[u8]) -> Result<Self, ParseThresholdError> {
        digits::parse_left_aligned(digits)
            .map(Self)
            .ok_or(ParseThresholdError {
                found: digits.len(),
            })
    }

    /// The value of `th`: at least one digit, no other trailing zeros.
    pub fn to_hex(self) -> ThresholdDigits {
        let zeros = (self.0.trailing_zeros() as usize / 4).min(digits::DIGITS - 1);
        ThresholdDigits {
            digits: digits::format(self.0),
            length: digits::DIGITS - zeros,
        }
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// How many hex digits after the point of `fraction` (0 < fraction < 1) are zero before the first
/// that is not; 0 for the fraction 0.
fn leading_zero_digits(fraction: f64) -> usize {
    let mut digits = 0;
    let mut scaled = fraction;
    while scaled > 0.0 && scaled < 1.0 / 16.0 && digits < digits::DIGITS {
        // Exact: a power of two.
        scaled *= 16.0;
        digits += 1;
    }
    digits
}

/// Rounds to that many hex digits, half up. The highest threshold is not rounded up out of range.
fn round(threshold: u64, digits: usize) -> u64 {
    let Some(dropped) = digits::DIGITS
        .checked_sub(digits)
        .filter(|dropped| *dropped > 0)
    else {
        return threshold;
    };
    let unit = 1 << (4 * dropped);
    let rounded = (threshold + unit / 2) & !(unit - 1);
    if rounded < RANGE { rounded } else { threshold }
}

// === impl ThresholdDigits ===

impl ThresholdDigits {
    /// The digits as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.digits.get(..self.length).unwrap_or_default()
    }

    /// The digits as text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

// === impl Precision ===

impl Precision {
    /// `None` for anything but 1 to 14.
    pub const fn new(digits: u8) -> Option<Self> {
        if digits >= 1 && digits as usize <= digits::DIGITS {
            Some(Self(digits))
        } else {
            None
        }
    }
}

impl Default for Precision {
    /// 4, as in the OpenTelemetry Collector and the SDKs.
    fn default() -> Self {
        Self(4)
    }
}

// === impl errors ===

impl fmt::Display for ParseThresholdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "th: expected 1 to 14 lower-case hex digits, but found {} characters",
            self.found
        )?;
        if (1..=digits::DIGITS).contains(&self.found) {
            f.write_str(", not all of them such digits")?;
        }
        Ok(())
    }
}

impl core::error::Error for ParseThresholdError {}

impl fmt::Display for ProbabilityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "expected a probability of 0 or of 2^-56 to 1, but found {}",
            self.found
        )
    }
}

impl core::error::Error for ProbabilityError {}

#[cfg(test)]
mod tests;
