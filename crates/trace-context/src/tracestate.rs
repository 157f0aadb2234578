//! `tracestate`, W3C Trace Context Level 2, sections "Tracestate Header" and "Mutating the
//! tracestate Field".
//!
//! A list stays the text that arrived until it is changed, and is walked again on each question:
//! it has at most 32 members, and most requests ask at most one.
//!
//! Left out: a meaning of the values.

use core::fmt;
use std::borrow::Cow;

use crate::ows;

/// A valid list of vendors' members.
///
/// Duplicate keys are kept as they arrived. Equality is that of the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceState<'a> {
    /// Well-formed members, commas, white space; ASCII.
    text: Cow<'a, str>,
    /// How many members that are not empty.
    members: usize,
    /// Whether a header value had an empty member, or none at all.
    has_empty_members: bool,
}

/// Why a list is discarded as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceStateError {
    /// A member that is not `key=value` by the grammar.
    Member {
        /// Its position in the list, from 0, without empty members.
        position: usize,
        /// What is wrong with it.
        error: InvalidMember,
    },
    /// More than 32 members.
    TooMany,
}

/// Why a key and a value make no member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidMember {
    /// No `=`.
    NoEquals,
    /// The key is not 1 to 256 of `a-z 0-9 _ - * / @`, a letter or digit first.
    Key,
    /// The value is not 1 to 256 printable ASCII characters without `,` and `=`, no space last.
    Value,
}

// === impl TraceState ===

impl<'a> TraceState<'a> {
    /// The most members that a list may have.
    pub const MAX_MEMBERS: usize = 32;

    /// Entries longer than this many characters are the first to go when a list is cut.
    pub const LARGE_ENTRY: usize = 128;

    /// Combines the values of all `tracestate` headers, in order. A single value is borrowed and
    /// not rewritten; several are joined.
    ///
    /// # Errors
    /// [`TraceStateError`] for the first bad member, or for too many: no part of the list is used.
    pub fn parse(values: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, TraceStateError> {
        let mut text = Cow::Borrowed("");
        let mut members = 0;
        let mut has_empty_members = false;
        for value in values {
            let before = members;
            for member in raw_members(value) {
                if members == Self::MAX_MEMBERS {
                    return Err(TraceStateError::TooMany);
                }
                split(member).map_err(|error| TraceStateError::Member {
                    position: members,
                    error,
                })?;
                members += 1;
            }
            let slots = 1 + value.iter().filter(|byte| **byte == b',').count();
            has_empty_members |= slots != members - before;
            if members == before {
                continue;
            }
            let value = core::str::from_utf8(value).map_err(|_| TraceStateError::Member {
                position: before,
                error: InvalidMember::Value,
            })?;
            if text.is_empty() {
                text = Cow::Borrowed(value);
            } else {
                let text = text.to_mut();
                text.reserve(1 + value.len());
                text.push(',');
                text.push_str(value);
            }
        }
        Ok(Self {
            text,
            members,
            has_empty_members,
        })
    }

    /// The list as one header value.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether there is no member; such a list is not sent.
    pub fn is_empty(&self) -> bool {
        self.members == 0
    }

    /// Whether a member was empty, which is legal to receive and should not be sent.
    pub fn has_empty_members(&self) -> bool {
        self.has_empty_members
    }

    /// The list without its empty members.
    pub fn without_empty_members(&self) -> TraceState<'static> {
        let mut list = List::with_capacity(self.text.len());
        for entry in self.entries() {
            list.push(entry);
        }
        list.finish()
    }

    /// How many members there are, 0 to 32.
    pub fn len(&self) -> usize {
        self.members
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries().filter_map(|entry| entry.split_once('='))
    }

    /// The value of the left-most member with this key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter()
            .find(|(found, _)| *found == key)
            .map(|(_, value)| value)
    }

    /// The list with this member to the left, in place of every member with its key. If there are
    /// more than 32 then, the right-most is dropped.
    ///
    /// # Errors
    /// [`InvalidMember`] if the key or the value does not follow the grammar.
    pub fn with(&self, key: &str, value: &str) -> Result<TraceState<'static>, InvalidMember> {
        check_key(key.as_bytes())?;
        check_value(value.as_bytes())?;
        let mut list = List::with_capacity(key.len() + value.len() + 2 + self.text.len());
        list.push_parts(key, value);
        for entry in self.entries().filter(|entry| !has_key(entry, key)) {
            if list.members == Self::MAX_MEMBERS {
                break;
            }
            list.push(entry);
        }
        Ok(list.finish())
    }

    /// The list without the members that have this key.
    #[must_use]
    pub fn without(self, key: &str) -> Self {
        if self.get(key).is_none() {
            return self;
        }
        let mut list = List::with_capacity(self.text.len());
        for entry in self.entries().filter(|entry| !has_key(entry, key)) {
            list.push(entry);
        }
        list.finish()
    }

    /// The list in at most `max_bytes`: whole entries are dropped, from the right, first those of
    /// more than 128 characters, then the others. The specification wants at least 512 to pass.
    #[must_use]
    pub fn truncated(self, max_bytes: usize) -> Self {
        if self.text.len() <= max_bytes {
            return self;
        }
        let mut lengths = [0; Self::MAX_MEMBERS];
        let mut total = 0;
        for (length, entry) in lengths.iter_mut().zip(self.entries()) {
            *length = entry.len() + 1;
            total += *length;
        }
        // Each length counts a comma, and the last member has none.
        let max_total = max_bytes.saturating_add(1);
        let mut drop = |least: usize| {
            for length in lengths.iter_mut().rev() {
                if total > max_total && *length > least {
                    total -= *length;
                    *length = 0;
                }
            }
        };
        drop(Self::LARGE_ENTRY + 1);
        drop(0);
        let mut list = List::with_capacity(total);
        for (_, entry) in lengths
            .iter()
            .zip(self.entries())
            .filter(|(length, _)| **length > 0)
        {
            list.push(entry);
        }
        list.finish()
    }

    /// The list in memory of its own.
    pub fn into_owned(self) -> TraceState<'static> {
        TraceState {
            text: Cow::Owned(self.text.into_owned()),
            members: self.members,
            has_empty_members: self.has_empty_members,
        }
    }

    fn entries(&self) -> impl Iterator<Item = &str> {
        self.text
            .split(',')
            .map(|entry| entry.trim_matches([' ', '\t']))
            .filter(|entry| !entry.is_empty())
    }
}

// === List ===

/// A list being written.
struct List {
    text: String,
    members: usize,
}

impl List {
    fn with_capacity(bytes: usize) -> Self {
        Self {
            text: String::with_capacity(bytes),
            members: 0,
        }
    }

    fn separate(&mut self) {
        if self.members > 0 {
            self.text.push(',');
        }
        self.members += 1;
    }

    fn push(&mut self, entry: &str) {
        self.separate();
        self.text.push_str(entry);
    }

    fn push_parts(&mut self, key: &str, value: &str) {
        self.separate();
        self.text.push_str(key);
        self.text.push('=');
        self.text.push_str(value);
    }

    fn finish<'a>(self) -> TraceState<'a> {
        TraceState {
            text: Cow::Owned(self.text),
            members: self.members,
            has_empty_members: false,
        }
    }
}

// === Grammar ===

/// The members of one header value, without those that are empty.
fn raw_members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|byte| *byte == b',')
        .map(ows::trim)
        .filter(|member| !member.is_empty())
}

fn split(member: &[u8]) -> Result<(), InvalidMember> {
    let equals = member
        .iter()
        .position(|byte| *byte == b'=')
        .ok_or(InvalidMember::NoEquals)?;
    let (key, value) = member
        .split_at_checked(equals)
        .ok_or(InvalidMember::NoEquals)?;
    check_key(key)?;
    check_value(value.get(1..).unwrap_or_default())
}

fn check_key(key: &[u8]) -> Result<(), InvalidMember> {
    let first = matches!(key.first(), Some(b'a'..=b'z' | b'0'..=b'9'));
    if first && key.len() <= 256 && key.iter().all(|byte| is_key_byte(*byte)) {
        Ok(())
    } else {
        Err(InvalidMember::Key)
    }
}

fn check_value(value: &[u8]) -> Result<(), InvalidMember> {
    let last = value.last().is_some_and(|byte| *byte != b' ');
    if last && value.len() <= 256 && value.iter().all(|byte| is_value_byte(*byte)) {
        Ok(())
    } else {
        Err(InvalidMember::Value)
    }
}

const fn is_key_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@')
}

const fn is_value_byte(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b',' && byte != b'='
}

fn has_key(entry: &str, key: &str) -> bool {
    entry
        .strip_prefix(key)
        .is_some_and(|rest| rest.starts_with('='))
}

// === impl errors ===

impl fmt::Display for TraceStateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member { position, error } => write!(f, "tracestate: member {position}: {error}"),
            Self::TooMany => f.write_str("tracestate: expected at most 32 members, but found more"),
        }
    }
}

impl core::error::Error for TraceStateError {}

impl fmt::Display for InvalidMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoEquals => "expected key=value, but found no '='",
            Self::Key => {
                "expected a key of 1 to 256 characters out of a-z 0-9 _ - * / @ that starts with \
                 a letter or digit, but found something else"
            }
            Self::Value => {
                "expected a value of 1 to 256 printable ASCII characters without ',' and '=' that \
                 does not end with a space, but found something else"
            }
        })
    }
}

impl core::error::Error for InvalidMember {}

#[cfg(test)]
mod tests;
