//! Is a payload the request that it is said to be, to its last field?
//!
//! A payload that passes can be handed on without decoding it: any OTLP receiver can read it.
//! Checked are tags, wire types, lengths, UTF-8, the lengths of ids and the depth of nesting.
//! Fields that OTLP 1.11 does not have are passed over, as protobuf demands, but have to be well
//! formed. Not checked is what only a reader of the values can judge: ranges of enums, times, names
//! that are empty.
//!
//! This runs on every payload of the collector: on success it allocates nothing and reads every
//! byte once.

mod fast;

use std::fmt;

use crate::Signal;
use crate::schema::{Field, Kind, Label, Message};
use crate::wire::{self, Fields, Value, WireType};

/// How deep messages may nest in a request, which itself is at depth 0. The same as in the C++ and
/// Rust implementations of protobuf, so that whatever passes here can be decoded there.
pub const MAX_DEPTH: usize = 100;

/// What a payload holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Spans, log records or metric data points.
    pub items: usize,
}

/// Why a payload is not a request of its signal; displays the path of the field.
#[derive(Clone, PartialEq, Eq)]
pub struct CheckError(Box<Inner>);

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// No protobuf, or a part of one. Typical of a cut-off body or of a wrong content type.
    Wire(wire::Error),
    /// A field of another type. Typical of another message, or of another signal's path.
    WireType {
        /// What OTLP says.
        expected: WireType,
        /// What the payload says.
        found: WireType,
    },
    /// A `string` that is not UTF-8. Typical of a client that copies header bytes.
    NotUtf8,
    /// A trace id or span id of another length. Typical of ids in hexadecimal instead of bytes.
    IdLength {
        /// 16 or 8.
        expected: usize,
        /// How many bytes there are.
        found: usize,
    },
    /// Messages nest deeper than [`MAX_DEPTH`]. Typical of an attack.
    TooDeep,
}

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    /// From the innermost field outwards.
    path: Vec<Segment>,
    problem: Problem,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Segment {
    name: &'static str,
    /// For a field that repeats: how many of it stand before in the message.
    index: Option<usize>,
}

/// Checks a request to the last field and counts its items.
///
/// # Errors
/// The first field that is wrong, with its path.
pub fn check(signal: Signal, payload: &[u8]) -> Result<Counts, CheckError> {
    check_as(signal.request(), payload)
}

/// Counts the items of a request that has been [checked](check); what is not well formed is not
/// counted.
pub fn count(signal: Signal, payload: &[u8]) -> usize {
    count_level(signal.spine(), payload)
}

/// [`check`] for any message.
pub(crate) fn check_as(message: &'static Message, payload: &[u8]) -> Result<Counts, CheckError> {
    let mut items = 0;
    if fast::is_well_formed(message, payload, MAX_DEPTH, &mut items) {
        return Ok(Counts { items });
    }
    items = 0;
    explain(message, payload, 0, &mut items)?;
    Ok(Counts { items })
}

// === impl CheckError ===

impl CheckError {
    /// What is wrong.
    pub fn problem(&self) -> Problem {
        self.0.problem
    }

    /// Where: the names of the fields from the request inwards, as in
    /// `resource_spans[0].scope_spans[0].spans[3].trace_id`; empty for the request itself.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for segment in self.0.path.iter().rev() {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(segment.name);
            if let Some(index) = segment.index {
                path.push_str(&format!("[{index}]"));
            }
        }
        path
    }

    #[cold]
    #[inline(never)]
    fn new(problem: Problem) -> Self {
        Self(Box::new(Inner {
            path: Vec::new(),
            problem,
        }))
    }

    /// Adds that the error is in `field` of a message, of which `before` was fine.
    #[cold]
    #[inline(never)]
    fn within(mut self, field: &Field, before: &[u8]) -> Self {
        let index = field.repeats().then(|| {
            Fields::new(before)
                .filter(|other| other.is_ok_and(|other| other.number == field.number))
                .count()
        });
        self.0.path.push(Segment {
            name: field.name,
            index,
        });
        self
    }
}

impl From<wire::Error> for CheckError {
    #[cold]
    fn from(error: wire::Error) -> Self {
        Self::new(Problem::Wire(error))
    }
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path() {
            path if path.is_empty() => write!(f, "{}", self.0.problem),
            path => write!(f, "{path}: {}", self.0.problem),
        }
    }
}

impl fmt::Debug for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckError")
            .field("path", &self.path())
            .field("problem", &self.0.problem)
            .finish()
    }
}

impl std::error::Error for CheckError {}

// === impl Problem ===

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wire(error) => error.fmt(f),
            Self::WireType { expected, found } => {
                write!(f, "expected {expected}, but found {found}")
            }
            Self::NotUtf8 => f.write_str("expected UTF-8, but found other bytes"),
            Self::IdLength { expected, found } => {
                write!(f, "expected 0 or {expected} bytes, but found {found}")
            }
            Self::TooDeep => write!(
                f,
                "expected messages to nest at most {MAX_DEPTH} deep, but found deeper ones"
            ),
        }
    }
}

/// Finds the first field that is wrong.
fn explain(
    message: &'static Message,
    payload: &[u8],
    depth: usize,
    items: &mut usize,
) -> Result<(), CheckError> {
    let mut rest = payload;
    while !rest.is_empty() {
        let (tag, after) = wire::take_tag(rest)?;
        rest = match message.field(tag >> 3) {
            Some(field) => check_field(field, tag, after, depth, items)
                .map_err(|error| error.within(field, before(payload, rest)))?,
            None => wire::take_field(rest)?.1,
        };
    }
    Ok(())
}

/// Checks the value of a field, which `rest` begins with, and returns what follows it.
fn check_field<'a>(
    field: &'static Field,
    tag: u32,
    rest: &'a [u8],
    depth: usize,
    items: &mut usize,
) -> Result<&'a [u8], CheckError> {
    let found = WireType::of_tag(tag)?;
    if found != field.wire_type {
        return check_packed(field, found, rest);
    }
    match field.wire_type {
        WireType::Varint => Ok(wire::take_varint(rest)?.1),
        WireType::Fixed64 => Ok(wire::take_fixed64(rest)?.1),
        WireType::Fixed32 => Ok(wire::take_fixed32(rest)?.1),
        WireType::Bytes => {
            let (value, rest) = wire::take_bytes(rest)?;
            match field.kind {
                Kind::Message(message) => {
                    if depth == MAX_DEPTH {
                        return Err(CheckError::new(Problem::TooDeep));
                    }
                    *items += usize::from(field.label == Label::Items);
                    explain(message, value, depth + 1, items)?;
                }
                Kind::Text => check_text(value)?,
                Kind::TraceId => check_id(value, 16)?,
                Kind::SpanId => check_id(value, 8)?,
                _ => {}
            }
            Ok(rest)
        }
    }
}

fn check_text(value: &[u8]) -> Result<(), CheckError> {
    if is_text(value) {
        return Ok(());
    }
    Err(CheckError::new(Problem::NotUtf8))
}

fn check_id(value: &[u8], expected: usize) -> Result<(), CheckError> {
    if is_id(value, expected) {
        return Ok(());
    }
    let found = value.len();
    Err(CheckError::new(Problem::IdLength { expected, found }))
}

#[inline]
fn is_text(value: &[u8]) -> bool {
    // Nearly all strings are ASCII, for which this is several times as fast.
    value.is_ascii() || std::str::from_utf8(value).is_ok()
}

#[inline]
fn is_id(value: &[u8], expected: usize) -> bool {
    value.is_empty() || value.len() == expected
}

/// Checks a field whose wire type is not the one of its elements: a packed run, or an error.
fn check_packed<'a>(
    field: &'static Field,
    found: WireType,
    rest: &'a [u8],
) -> Result<&'a [u8], CheckError> {
    if found != WireType::Bytes || !field.packs() {
        return Err(CheckError::new(Problem::WireType {
            expected: field.wire_type,
            found,
        }));
    }
    let (mut run, rest) = wire::take_bytes(rest)?;
    while !run.is_empty() {
        run = match field.wire_type {
            WireType::Varint => wire::take_varint(run)?.1,
            WireType::Fixed64 => wire::take_fixed64(run)?.1,
            WireType::Fixed32 => wire::take_fixed32(run)?.1,
            WireType::Bytes => &[],
        };
    }
    Ok(rest)
}

/// What of `payload` was read when `rest` is left.
fn before<'a>(payload: &'a [u8], rest: &[u8]) -> &'a [u8] {
    let length = payload.len().saturating_sub(rest.len());
    payload.get(..length).unwrap_or_default()
}

fn count_level(spine: &[&[u32]], payload: &[u8]) -> usize {
    let [level, deeper @ ..] = spine else {
        return 1;
    };
    let mut items = 0;
    for field in Fields::new(payload).map_while(Result::ok) {
        if let Value::Bytes(value) = field.value
            && level.contains(&field.number)
        {
            items += count_level(deeper, value);
        }
    }
    items
}

#[cfg(test)]
mod tests;
