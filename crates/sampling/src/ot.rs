//! The value of the `ot` member of `tracestate`: `key:value`, joined by `;`.

use core::fmt;

use crate::{
    decision::is_consistent,
    randomness::{ParseRandomnessError, Randomness},
    threshold::{ParseThresholdError, Threshold},
};

const THRESHOLD: &str = "th";
const RANDOMNESS: &str = "rv";

/// A valid `ot` value. Sub-keys other than `th` and `rv` are kept, in order.
#[derive(Clone, Copy, Debug, Default)]
pub struct OtelTraceState<'a> {
    threshold: Option<Threshold>,
    randomness: Option<Randomness>,
    /// The whole value as it arrived; the other sub-keys are found in it again.
    text: &'a str,
}

/// An `ot` value to send, without memory of its own.
#[derive(Clone, Copy)]
pub struct OtValue {
    bytes: [u8; OtelTraceState::MAX_LENGTH],
    length: usize,
}

/// Why a value is no `ot` value. No part of it is used then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtError {
    /// Longer than 256 characters.
    TooLong {
        /// Its length in bytes.
        found: usize,
    },
    /// A part that is not `key:value`: key `a-z` then `a-z 0-9`, value `A-Z a-z 0-9 . _ -`. A `;`
    /// at an end of the value leaves such a part.
    Member {
        /// Its position, from 0.
        position: usize,
    },
    /// A key that was there before.
    DuplicateKey {
        /// The position of the second one, from 0.
        position: usize,
    },
    /// A bad `th`.
    Threshold(ParseThresholdError),
    /// A bad `rv`.
    Randomness(ParseRandomnessError),
}

// === impl OtelTraceState ===

impl<'a> OtelTraceState<'a> {
    /// The longest value, in characters.
    pub const MAX_LENGTH: usize = 256;

    /// Reads the value of the `ot` member.
    ///
    /// # Errors
    /// [`OtError`] for the first thing that is wrong.
    pub fn parse(value: &'a str) -> Result<Self, OtError> {
        if value.len() > Self::MAX_LENGTH {
            return Err(OtError::TooLong { found: value.len() });
        }
        let mut state = Self {
            text: value,
            ..Self::default()
        };
        for (position, member) in value.split(';').enumerate() {
            let (key, value_of_key) = split(member).ok_or(OtError::Member { position })?;
            if value
                .split(';')
                .take(position)
                .any(|earlier| has_key(earlier, key))
            {
                return Err(OtError::DuplicateKey { position });
            }
            let digits = value_of_key.as_bytes();
            match key {
                THRESHOLD => {
                    state.threshold = Some(Threshold::parse(digits).map_err(OtError::Threshold)?);
                }
                RANDOMNESS => {
                    state.randomness =
                        Some(Randomness::parse(digits).map_err(OtError::Randomness)?);
                }
                _ => {}
            }
        }
        Ok(state)
    }

    /// `th`: the threshold by which the span is sampled, if that is known.
    pub fn threshold(&self) -> Option<Threshold> {
        self.threshold
    }

    /// `rv`: the explicit randomness, which takes the place of the trace id's.
    pub fn randomness(&self) -> Option<Randomness> {
        self.randomness
    }

    /// `rv`, or else the low 56 bits of the trace id.
    pub fn randomness_or(&self, trace_id_low_bits: u64) -> Randomness {
        self.randomness
            .unwrap_or(Randomness::from_low_bits(trace_id_low_bits))
    }

    /// Sets or erases `th`. Nothing else can be changed that is there; `rv` least of all.
    pub fn set_threshold(&mut self, threshold: Option<Threshold>) {
        self.threshold = threshold;
    }

    /// Sets `rv` if there is none: for a sampler whose randomness is not that of the trace id.
    pub fn state_randomness(&mut self, randomness: Randomness) {
        self.randomness.get_or_insert(randomness);
    }

    /// Prepares the value that a parent-based sampler passes on: erases a `th` that contradicts the
    /// parent's sampled flag or the randomness (see [`is_consistent`]). Says whether it erased one.
    pub fn erase_inconsistent(&mut self, sampled: bool, trace_id_low_bits: u64) -> bool {
        let randomness = self.randomness_or(trace_id_low_bits);
        let contradicts = self
            .threshold
            .is_some_and(|threshold| !is_consistent(threshold, sampled, randomness));
        if contradicts {
            self.threshold = None;
        }
        contradicts
    }

    /// The other sub-keys with their values, in order.
    pub fn others(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.text
            .split(';')
            .filter_map(|member| member.split_once(':'))
            .filter(|(key, _)| *key != THRESHOLD && *key != RANDOMNESS)
    }

    /// The value to send: `th`, `rv`, then the other sub-keys in order; `None` if there is nothing
    /// to send. Should a longer `th` leave no room for all, the right-most others are dropped.
    pub fn format(&self) -> Option<OtValue> {
        let mut value = OtValue {
            bytes: [0; Self::MAX_LENGTH],
            length: 0,
        };
        if let Some(threshold) = self.threshold {
            value.push(THRESHOLD.as_bytes(), threshold.to_hex().as_bytes());
        }
        if let Some(randomness) = self.randomness {
            value.push(RANDOMNESS.as_bytes(), &randomness.to_hex());
        }
        for (key, of_key) in self.others() {
            if !value.push(key.as_bytes(), of_key.as_bytes()) {
                break;
            }
        }
        (value.length > 0).then_some(value)
    }
}

fn split(member: &str) -> Option<(&str, &str)> {
    let (key, value) = member.split_once(':')?;
    let (first, rest) = key.as_bytes().split_first()?;
    let is_key = first.is_ascii_lowercase()
        && rest
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let is_value = value
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    (is_key && is_value).then_some((key, value))
}

fn has_key(member: &str, key: &str) -> bool {
    member
        .strip_prefix(key)
        .is_some_and(|rest| rest.starts_with(':'))
}

// === impl OtValue ===

impl OtValue {
    /// The value as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// The value as text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// Appends a member, or nothing if it does not fit as a whole.
    fn push(&mut self, key: &[u8], value: &[u8]) -> bool {
        let separator: &[u8] = if self.length > 0 { b";" } else { b"" };
        let parts = [separator, key, b":", value];
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        let Some(room) = self.bytes.get_mut(self.length..self.length + length) else {
            return false;
        };
        for (byte, from) in room.iter_mut().zip(parts.into_iter().flatten()) {
            *byte = *from;
        }
        self.length += length;
        true
    }
}

impl fmt::Debug for OtValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

// === impl OtError ===

impl fmt::Display for OtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { found } => {
                write!(f, "ot: expected at most 256 characters, but found {found}")
            }
            Self::Member { position } => {
                write!(
                    f,
                    "ot: part {position}: expected key:value, but found something else"
                )
            }
            Self::DuplicateKey { position } => {
                write!(
                    f,
                    "ot: part {position}: expected a new key, but found an earlier one"
                )
            }
            Self::Threshold(error) => write!(f, "ot: {error}"),
            Self::Randomness(error) => write!(f, "ot: {error}"),
        }
    }
}

impl core::error::Error for OtError {}

#[cfg(test)]
mod tests;
