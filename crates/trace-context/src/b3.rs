//! B3, openzipkin/b3-propagation: the single `b3` header and the `X-B3-*` headers.
//!
//! Strict in ids (16 or 32 lower-case hex digits, never zero), lenient where the specification asks
//! for it (`true` and `false` in `X-B3-Sampled`).
//!
//! Left out: the parent of the caller's span (`X-B3-ParentSpanId`). Nothing needs it, and it must
//! not be propagated.

use core::fmt;

use crate::{
    ParentSampling, hex,
    id::{ParseIdError, SpanId, TraceId},
    inject::HeaderValue,
    ows,
};

/// What B3 headers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum B3 {
    /// A trace to continue.
    Context(Context),
    /// Only a decision, for the trace that starts here; never [`ParentSampling::Deferred`].
    Decision(ParentSampling),
}

/// The caller's span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The trace; a 64-bit id has zeros to the left.
    pub trace_id: TraceId,
    /// The caller's span.
    pub span_id: SpanId,
    /// The caller's decision.
    pub sampling: ParentSampling,
}

/// The values of the `X-B3-*` headers that were present.
#[derive(Clone, Copy, Debug, Default)]
pub struct MultiHeaders<'a> {
    /// `X-B3-TraceId`.
    pub trace_id: Option<&'a [u8]>,
    /// `X-B3-SpanId`.
    pub span_id: Option<&'a [u8]>,
    /// `X-B3-Sampled`.
    pub sampled: Option<&'a [u8]>,
    /// `X-B3-Flags`.
    pub flags: Option<&'a [u8]>,
}

/// Why values are no B3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum B3Error {
    /// A bad trace id.
    TraceId(ParseIdError),
    /// A bad span id.
    SpanId(ParseIdError),
    /// The parent of the caller's span is not 16 hex digits.
    ParentSpanId,
    /// The decision is none of the specified values.
    Sampling,
    /// One of the two ids without the other.
    Incomplete,
    /// More fields than four.
    Trailing,
}

// === impl B3 ===

impl B3 {
    /// Reads the value of the `b3` header.
    ///
    /// # Errors
    /// [`B3Error`] tells the first field that is wrong.
    pub fn parse_single(value: &[u8]) -> Result<Self, B3Error> {
        let value = ows::trim(value);
        if value.len() == 1 {
            return parse_state(value)
                .map(Self::Decision)
                .ok_or(B3Error::Sampling);
        }
        let mut fields = value.split(|byte| *byte == b'-');
        let trace_id = parse_trace_id(fields.next().unwrap_or_default())?;
        let span_id = fields.next().ok_or(B3Error::Incomplete)?;
        let span_id = SpanId::from_hex(span_id).map_err(B3Error::SpanId)?;
        let (sampling, parent) = match (fields.next(), fields.next()) {
            (None, _) => (ParentSampling::Deferred, None),
            // The last two fields are optional one by one, and their lengths differ.
            (Some(parent), None) if parent.len() == 16 => (ParentSampling::Deferred, Some(parent)),
            (Some(state), parent) => (parse_state(state).ok_or(B3Error::Sampling)?, parent),
        };
        if parent.is_some_and(|parent| hex::decode::<8>(parent).is_none()) {
            return Err(B3Error::ParentSpanId);
        }
        if fields.next().is_some() {
            return Err(B3Error::Trailing);
        }
        Ok(Self::Context(Context {
            trace_id,
            span_id,
            sampling,
        }))
    }

    /// Reads the `X-B3-*` headers; `None` if they say nothing. An empty value counts as absent.
    ///
    /// # Errors
    /// [`B3Error`] tells the first header that is wrong.
    pub fn parse_multi(headers: &MultiHeaders<'_>) -> Result<Option<Self>, B3Error> {
        let sampling = parse_multi_sampling(present(headers.sampled), present(headers.flags))?;
        match (present(headers.trace_id), present(headers.span_id)) {
            (Some(trace_id), Some(span_id)) => Ok(Some(Self::Context(Context {
                trace_id: parse_trace_id(trace_id)?,
                span_id: SpanId::from_hex(span_id).map_err(B3Error::SpanId)?,
                sampling,
            }))),
            (None, None) if sampling == ParentSampling::Deferred => Ok(None),
            (None, None) => Ok(Some(Self::Decision(sampling))),
            (Some(_), None) | (None, Some(_)) => Err(B3Error::Incomplete),
        }
    }
}

// === impl Context ===

impl Context {
    /// The value of the `b3` header: `{trace}-{span}`, then `-1`, `-0`, `-d`, or nothing to defer.
    pub fn format_single(&self) -> HeaderValue {
        let mut value = HeaderValue::default();
        value.push(&self.trace_id.to_hex());
        value.push(b"-");
        value.push(&self.span_id.to_hex());
        value.push(match self.sampling {
            ParentSampling::Sampled => b"-1",
            ParentSampling::NotSampled => b"-0",
            ParentSampling::Debug => b"-d",
            ParentSampling::Deferred => b"",
        });
        value
    }

    /// The values of the `X-B3-*` headers. Debug implies the decision, so it goes alone.
    pub fn format_multi(&self) -> MultiValues {
        let (sampled, flags) = match self.sampling {
            ParentSampling::Sampled => (Some("1"), None),
            ParentSampling::NotSampled => (Some("0"), None),
            ParentSampling::Debug => (None, Some("1")),
            ParentSampling::Deferred => (None, None),
        };
        MultiValues {
            trace_id: self.trace_id.to_hex(),
            span_id: self.span_id.to_hex(),
            sampled,
            flags,
        }
    }
}

/// The `X-B3-*` headers to send; `None` is a header that must not be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MultiValues {
    /// `X-B3-TraceId`.
    pub trace_id: [u8; 32],
    /// `X-B3-SpanId`.
    pub span_id: [u8; 16],
    /// `X-B3-Sampled`.
    pub sampled: Option<&'static str>,
    /// `X-B3-Flags`.
    pub flags: Option<&'static str>,
}

// === Fields ===

fn present(value: Option<&[u8]>) -> Option<&[u8]> {
    value.map(ows::trim).filter(|value| !value.is_empty())
}

fn parse_trace_id(digits: &[u8]) -> Result<TraceId, B3Error> {
    match hex::decode::<8>(digits) {
        Some(low) => TraceId::from_short(low).ok_or(ParseIdError::Zero),
        None => TraceId::from_hex(digits),
    }
    .map_err(B3Error::TraceId)
}

fn parse_state(state: &[u8]) -> Option<ParentSampling> {
    match state {
        b"1" => Some(ParentSampling::Sampled),
        b"0" => Some(ParentSampling::NotSampled),
        b"d" => Some(ParentSampling::Debug),
        _ => None,
    }
}

fn parse_multi_sampling(
    sampled: Option<&[u8]>,
    flags: Option<&[u8]>,
) -> Result<ParentSampling, B3Error> {
    let sampling = match sampled {
        None => ParentSampling::Deferred,
        Some(b"1") => ParentSampling::Sampled,
        Some(b"0") => ParentSampling::NotSampled,
        // Old libraries send words; they are read and never written.
        Some(word) if word.eq_ignore_ascii_case(b"true") => ParentSampling::Sampled,
        Some(word) if word.eq_ignore_ascii_case(b"false") => ParentSampling::NotSampled,
        Some(_) => return Err(B3Error::Sampling),
    };
    // Debug implies the decision, whatever X-B3-Sampled says. The header was a bit set once, and
    // its other values have no meaning.
    Ok(if flags == Some(b"1") {
        ParentSampling::Debug
    } else {
        sampling
    })
}

// === impl B3Error ===

impl fmt::Display for B3Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TraceId(ParseIdError::Hex { .. }) => f.write_str(
                "b3: trace id: expected 16 or 32 lower-case hex digits, but found something else",
            ),
            Self::TraceId(error) => write!(f, "b3: trace id: {error}"),
            Self::SpanId(error) => write!(f, "b3: span id: {error}"),
            Self::ParentSpanId => f.write_str(
                "b3: parent span id: expected 16 lower-case hex digits, but found something else",
            ),
            Self::Sampling => f.write_str(
                "b3: sampling state: expected 1, 0 or d (X-B3-Sampled: 1 or 0), but found \
                 something else",
            ),
            Self::Incomplete => {
                f.write_str("b3: expected a trace id and a span id, but found one of them")
            }
            Self::Trailing => f.write_str("b3: expected at most four fields, but found more"),
        }
    }
}

impl core::error::Error for B3Error {}

#[cfg(test)]
mod tests;
