//! What to write into the headers of a request that goes on.

use core::fmt;

use crate::{
    Format, ParentSampling, b3, header,
    id::{SpanId, TraceId},
    traceparent::{TraceFlags, TraceParent},
};

/// The span that becomes the parent of whatever the request causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanContext {
    /// Its trace.
    pub trace_id: TraceId,
    /// The span itself.
    pub span_id: SpanId,
    /// Its decision, and whether the trace id is random.
    pub flags: TraceFlags,
    /// B3's debug: sent on as such by B3, and as sampled by all formats.
    pub debug: bool,
}

/// A header value of at most 55 ASCII bytes, without memory of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HeaderValue {
    bytes: [u8; TraceParent::LENGTH],
    length: usize,
}

/// The headers that carry `context` in `format`, each to be set in place of all its values.
///
/// `tracestate` is not among them: the caller has it, and removes the header where it has none.
pub fn headers(
    context: &SpanContext,
    format: Format,
) -> impl Iterator<Item = (&'static str, HeaderValue)> + use<> {
    let headers = match format {
        Format::TraceContext => {
            let value = HeaderValue::from(context.to_traceparent().format());
            [Some((header::TRACEPARENT, value)), None, None]
        }
        Format::B3 => [
            Some((header::B3, context.to_b3().format_single())),
            None,
            None,
        ],
        Format::B3Multi => {
            let values = context.to_b3().format_multi();
            let state = match (values.sampled, values.flags) {
                (Some(sampled), _) => Some((header::X_B3_SAMPLED, HeaderValue::from(sampled))),
                (None, Some(flags)) => Some((header::X_B3_FLAGS, HeaderValue::from(flags))),
                (None, None) => None,
            };
            [
                Some((header::X_B3_TRACEID, HeaderValue::from(values.trace_id))),
                Some((header::X_B3_SPANID, HeaderValue::from(values.span_id))),
                state,
            ]
        }
    };
    headers.into_iter().flatten()
}

/// The headers to remove when [`headers`] of all `formats` are set, since what they say would be
/// about another span: with any B3 format the B3 headers that are not written, and always
/// `x-b3-parentspanid`. Headers of a family that is not configured are not ours to touch.
pub fn stale_headers(formats: &[Format], debug: bool) -> impl Iterator<Item = &'static str> {
    let single = formats.contains(&Format::B3);
    let multi = formats.contains(&Format::B3Multi);
    [
        (single, header::B3),
        (multi, header::X_B3_TRACEID),
        (multi, header::X_B3_SPANID),
        (false, header::X_B3_PARENTSPANID),
        (multi && !debug, header::X_B3_SAMPLED),
        (multi && debug, header::X_B3_FLAGS),
    ]
    .into_iter()
    .filter(move |(written, _)| (single || multi) && !written)
    .map(|(_, name)| name)
}

// === impl SpanContext ===

impl SpanContext {
    /// As `traceparent`.
    pub fn to_traceparent(&self) -> TraceParent {
        TraceParent {
            trace_id: self.trace_id,
            parent_id: self.span_id,
            flags: self
                .flags
                .with_sampled(self.debug || self.flags.is_sampled()),
        }
    }

    /// As B3.
    pub fn to_b3(&self) -> b3::Context {
        let sampling = match (self.debug, self.flags.is_sampled()) {
            (true, _) => ParentSampling::Debug,
            (false, true) => ParentSampling::Sampled,
            (false, false) => ParentSampling::NotSampled,
        };
        b3::Context {
            trace_id: self.trace_id,
            span_id: self.span_id,
            sampling,
        }
    }
}

// === impl HeaderValue ===

impl HeaderValue {
    /// The bytes to send.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// The value as text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// Appends ASCII as far as there is room.
    pub(crate) fn push(&mut self, ascii: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.length..) {
            for (byte, digit) in room.iter_mut().zip(ascii) {
                *byte = *digit;
                self.length += 1;
            }
        }
    }
}

impl Default for HeaderValue {
    fn default() -> Self {
        Self {
            bytes: [0; TraceParent::LENGTH],
            length: 0,
        }
    }
}

impl From<[u8; TraceParent::LENGTH]> for HeaderValue {
    fn from(bytes: [u8; TraceParent::LENGTH]) -> Self {
        Self {
            bytes,
            length: TraceParent::LENGTH,
        }
    }
}

impl From<[u8; 32]> for HeaderValue {
    fn from(digits: [u8; 32]) -> Self {
        let mut value = Self::default();
        value.push(&digits);
        value
    }
}

impl From<[u8; 16]> for HeaderValue {
    fn from(digits: [u8; 16]) -> Self {
        let mut value = Self::default();
        value.push(&digits);
        value
    }
}

impl From<&'static str> for HeaderValue {
    fn from(text: &'static str) -> Self {
        let mut value = Self::default();
        value.push(text.as_bytes());
        value
    }
}

impl AsRef<[u8]> for HeaderValue {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Debug for HeaderValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests;
