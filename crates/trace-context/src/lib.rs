//! Trace context in HTTP headers: W3C Trace Context Level 2 and B3, read and written.
//!
//! Specifications: W3C Trace Context Level 2 (`traceparent`, `tracestate`), W3C Baggage (read only),
//! openzipkin/b3-propagation (`b3` and `X-B3-*`), OpenTelemetry "Propagators API" for the order of
//! extraction.
//!
//! Input is bytes as they arrived. Every type that exists is valid: ids are never zero, a
//! [`TraceState`] has at most 32 well-formed members. Nothing here allocates per member, formats with
//! `core::fmt` on the way of a request, or can panic.
//!
//! Left out: writing baggage (it is passed through, never touched), the response headers (still a
//! draft), making ids (the caller owns the generator), and the meaning of the `ot` member (the
//! sampling crate).
#![forbid(unsafe_code)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

pub mod b3;
pub mod baggage;
mod carrier;
mod extract;
mod hex;
mod id;
mod inject;
mod ows;
mod traceparent;
mod tracestate;

pub use carrier::Carrier;
pub use extract::{Extraction, InvalidHeaders, RemoteContext, extract};
pub use id::{ParseIdError, SpanId, TraceId};
pub use inject::{HeaderValue, SpanContext, headers, stale_headers};
pub use traceparent::{TraceFlags, TraceParent, TraceParentError};
pub use tracestate::{InvalidMember, TraceState, TraceStateError};

/// Header names, lower case.
pub mod header {
    /// W3C trace and parent ids, flags.
    pub const TRACEPARENT: &str = "traceparent";
    /// W3C vendors' list.
    pub const TRACESTATE: &str = "tracestate";
    /// W3C Baggage.
    pub const BAGGAGE: &str = "baggage";
    /// B3 in one header.
    pub const B3: &str = "b3";
    /// B3 trace id, 16 or 32 hex digits.
    pub const X_B3_TRACEID: &str = "x-b3-traceid";
    /// B3 span id of the caller.
    pub const X_B3_SPANID: &str = "x-b3-spanid";
    /// B3 parent of the caller's span; read by nobody, never propagated.
    pub const X_B3_PARENTSPANID: &str = "x-b3-parentspanid";
    /// B3 decision.
    pub const X_B3_SAMPLED: &str = "x-b3-sampled";
    /// B3 debug.
    pub const X_B3_FLAGS: &str = "x-b3-flags";

    /// Every header of every known format: what a restart has to remove or overwrite.
    pub const ALL: [&str; 8] = [
        TRACEPARENT,
        TRACESTATE,
        B3,
        X_B3_TRACEID,
        X_B3_SPANID,
        X_B3_PARENTSPANID,
        X_B3_SAMPLED,
        X_B3_FLAGS,
    ];
}

/// A way to carry the context in headers; the names are those of `OTEL_PROPAGATORS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `tracecontext`: `traceparent` and `tracestate`.
    TraceContext,
    /// `b3`: injects the single header; extracts the single header, then `X-B3-*`.
    B3,
    /// `b3multi`: injects `X-B3-*`; extracts as [`Format::B3`] does, since OpenTelemetry's B3
    /// propagator always tries the single header first.
    B3Multi,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 3] = [Self::TraceContext, Self::B3, Self::B3Multi];

    /// The name in `OTEL_PROPAGATORS`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TraceContext => "tracecontext",
            Self::B3 => "b3",
            Self::B3Multi => "b3multi",
        }
    }

    /// The format of this name; `None` for any other, `baggage` included.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }
}

/// What the caller decided about sampling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParentSampling {
    /// The caller records.
    Sampled,
    /// The caller does not record.
    NotSampled,
    /// B3 only: the caller leaves the decision to this hop.
    Deferred,
    /// B3 only: sampled, whatever samplers say, and to be passed on as debug.
    Debug,
}

impl ParentSampling {
    /// Whether the caller's span is recorded; `None` where the decision is left to this hop.
    pub const fn sampled(self) -> Option<bool> {
        match self {
            Self::Sampled | Self::Debug => Some(true),
            Self::NotSampled => Some(false),
            Self::Deferred => None,
        }
    }
}
