//! Which context a request continues.
//!
//! The configured formats are tried in order; the first that holds a valid context wins, and an
//! invalid one is passed over. The B3 formats both read the single header first and `X-B3-*` only
//! if it is absent or invalid.

use core::ops;

use crate::{
    Carrier, Format, ParentSampling,
    b3::{self, B3},
    carrier::{Single, single},
    header,
    id::{SpanId, TraceId},
    traceparent::{TraceFlags, TraceParent},
    tracestate::TraceState,
};

/// The caller's context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteContext<'a> {
    /// The trace to continue.
    pub trace_id: TraceId,
    /// The caller's span. B3 too: a new span has it as parent and does not share its id.
    pub parent_id: SpanId,
    /// The caller's decision.
    pub sampling: ParentSampling,
    /// Sampled as the decision says; random only as `traceparent` says, since B3 does not tell.
    pub flags: TraceFlags,
    /// The vendors' list, never empty; `None` where there is none or it was discarded.
    pub tracestate: Option<TraceState<'a>>,
    /// The headers in which the context was: for B3 the single or the several ones, whichever of
    /// the two formats is configured.
    pub format: Format,
}

/// What a request's headers say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extraction<'a> {
    /// The context to continue; without one a new trace starts.
    pub context: Option<RemoteContext<'a>>,
    /// For a new trace: the decision of B3 headers that have no ids (`b3: 0`). Never set together
    /// with a context, never [`ParentSampling::Deferred`].
    pub root_sampling: Option<ParentSampling>,
    /// The headers that were present, looked at and not valid.
    pub invalid: InvalidHeaders,
}

/// A set of kinds of headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InvalidHeaders(u8);

/// Reads the context of a request.
///
/// A `tracestate` counts only with the valid `traceparent` beside it.
pub fn extract<'a, C: Carrier + ?Sized>(carrier: &'a C, formats: &[Format]) -> Extraction<'a> {
    let mut extraction = Extraction::default();
    let mut b3_is_read = false;
    for format in formats {
        match format {
            Format::TraceContext => extraction.read_trace_context(carrier),
            Format::B3 | Format::B3Multi if b3_is_read => {}
            Format::B3 | Format::B3Multi => {
                b3_is_read = true;
                extraction.read_b3(carrier);
            }
        }
        if extraction.context.is_some() {
            extraction.root_sampling = None;
            break;
        }
    }
    extraction
}

// === impl Extraction ===

impl<'a> Extraction<'a> {
    fn read_trace_context<C: Carrier + ?Sized>(&mut self, carrier: &'a C) {
        let parent = match single(carrier, header::TRACEPARENT) {
            Single::Absent => return,
            Single::One(value) => TraceParent::parse(value).ok(),
            Single::Several => None,
        };
        let Some(TraceParent {
            trace_id,
            parent_id,
            flags,
        }) = parent
        else {
            self.invalid |= InvalidHeaders::TRACEPARENT;
            return;
        };
        let tracestate = TraceState::parse(carrier.values(header::TRACESTATE));
        if tracestate.is_err() {
            self.invalid |= InvalidHeaders::TRACESTATE;
        }
        self.context = Some(RemoteContext {
            trace_id,
            parent_id,
            sampling: match flags.is_sampled() {
                true => ParentSampling::Sampled,
                false => ParentSampling::NotSampled,
            },
            flags,
            tracestate: tracestate.ok().filter(|list| !list.is_empty()),
            format: Format::TraceContext,
        });
    }

    fn read_b3<C: Carrier + ?Sized>(&mut self, carrier: &'a C) {
        match read_b3_single(carrier) {
            Ok(Some(found)) => return self.take_b3(found, Format::B3),
            Ok(None) => {}
            Err(InvalidValue) => self.invalid |= InvalidHeaders::B3,
        }
        match read_b3_multi(carrier) {
            Ok(Some(found)) => self.take_b3(found, Format::B3Multi),
            Ok(None) => {}
            Err(InvalidValue) => self.invalid |= InvalidHeaders::B3_MULTI,
        }
    }

    fn take_b3(&mut self, found: B3, format: Format) {
        match found {
            B3::Decision(sampling) => self.root_sampling = Some(sampling),
            B3::Context(b3::Context {
                trace_id,
                span_id,
                sampling,
            }) => {
                self.context = Some(RemoteContext {
                    trace_id,
                    parent_id: span_id,
                    sampling,
                    flags: TraceFlags::default().with_sampled(sampling.sampled() == Some(true)),
                    tracestate: None,
                    format,
                });
            }
        }
    }
}

/// The header is there, but nothing can be read from it.
struct InvalidValue;

fn read_b3_single<C: Carrier + ?Sized>(carrier: &C) -> Result<Option<B3>, InvalidValue> {
    match optional(carrier, header::B3)? {
        None => Ok(None),
        Some(value) => B3::parse_single(value).map(Some).map_err(|_| InvalidValue),
    }
}

fn read_b3_multi<C: Carrier + ?Sized>(carrier: &C) -> Result<Option<B3>, InvalidValue> {
    let headers = b3::MultiHeaders {
        trace_id: optional(carrier, header::X_B3_TRACEID)?,
        span_id: optional(carrier, header::X_B3_SPANID)?,
        sampled: optional(carrier, header::X_B3_SAMPLED)?,
        flags: optional(carrier, header::X_B3_FLAGS)?,
    };
    B3::parse_multi(&headers).map_err(|_| InvalidValue)
}

fn optional<'a, C: Carrier + ?Sized>(
    carrier: &'a C,
    name: &str,
) -> Result<Option<&'a [u8]>, InvalidValue> {
    match single(carrier, name) {
        Single::Absent => Ok(None),
        Single::One(value) => Ok(Some(value)),
        Single::Several => Err(InvalidValue),
    }
}

// === impl InvalidHeaders ===

impl InvalidHeaders {
    /// `traceparent`: malformed, or several of them.
    pub const TRACEPARENT: Self = Self(1);
    /// `tracestate`: the whole list was discarded.
    pub const TRACESTATE: Self = Self(1 << 1);
    /// `b3`.
    pub const B3: Self = Self(1 << 2);
    /// `X-B3-*`.
    pub const B3_MULTI: Self = Self(1 << 3);

    /// Whether every kind of `other` is in the set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether all headers that were looked at were valid.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl ops::BitOr for InvalidHeaders {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl ops::BitOrAssign for InvalidHeaders {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

#[cfg(test)]
mod tests;
