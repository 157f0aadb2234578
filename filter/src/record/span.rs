//! A request as an OTLP span.
//!
//! Source: opentelemetry-proto 1.11, `trace/v1/trace.proto`.

use std::borrow::Cow;

use spanmesh_otlp::encode::{
    begin_message, end_message, put_bytes, put_fields_as, put_fixed32, put_fixed64,
    put_string_attribute, put_uint,
};

use super::{Common, Identity, Record, Side, text};
use crate::keep::Reason;
use crate::semconv;

/// Field numbers of `Span`.
mod field {
    pub(super) const TRACE_ID: u32 = 1;
    pub(super) const SPAN_ID: u32 = 2;
    pub(super) const TRACE_STATE: u32 = 3;
    pub(super) const PARENT_SPAN_ID: u32 = 4;
    pub(super) const NAME: u32 = 5;
    pub(super) const KIND: u32 = 6;
    pub(super) const START_TIME_UNIX_NANO: u32 = 7;
    pub(super) const END_TIME_UNIX_NANO: u32 = 8;
    pub(super) const ATTRIBUTES: u32 = 9;
    pub(super) const LINKS: u32 = 13;
    pub(super) const STATUS: u32 = 15;
    pub(super) const FLAGS: u32 = 16;
}

/// Field numbers of `Span.Link`.
mod link {
    pub(super) const TRACE_ID: u32 = 1;
    pub(super) const SPAN_ID: u32 = 2;
    pub(super) const FLAGS: u32 = 6;
}

/// `Status.code`.
const STATUS_CODE: u32 = 3;
/// `STATUS_CODE_ERROR`.
const STATUS_CODE_ERROR: u64 = 2;
/// `SPAN_KIND_SERVER`.
const KIND_SERVER: u64 = 2;
/// `SPAN_KIND_CLIENT`.
const KIND_CLIENT: u64 = 3;
/// The next bit says whether the parent is remote.
const HAS_IS_REMOTE: u32 = 0x100;
/// The parent was in a header, so in another process.
const IS_REMOTE: u32 = 0x200;
/// The name of a span whose method is not listed.
const UNKNOWN_METHOD_NAME: &[u8] = b"HTTP";

/// Appends the fields of the span.
pub(crate) fn encode(
    record: &Record<'_>,
    identity: &Identity,
    kept: Option<Reason>,
    common: &Common,
    out: &mut Vec<u8>,
) {
    put_bytes(out, field::TRACE_ID, identity.trace_id.as_bytes());
    put_bytes(out, field::SPAN_ID, identity.span_id.as_bytes());
    if !identity.tracestate.is_empty() {
        put_bytes(out, field::TRACE_STATE, &identity.tracestate);
    }
    let mut flags = u32::from(identity.flags) | HAS_IS_REMOTE;
    if let Some(parent) = &identity.parent {
        put_bytes(out, field::PARENT_SPAN_ID, parent.as_bytes());
    }
    if identity.parent_is_remote {
        flags |= IS_REMOTE;
    }
    let name = name(record);
    put_bytes(
        out,
        field::NAME,
        text(name.as_bytes(), record.value_limit).as_bytes(),
    );
    let kind = match record.side {
        Side::Server => KIND_SERVER,
        Side::Client => KIND_CLIENT,
    };
    put_uint(out, field::KIND, kind);
    put_fixed64(out, field::START_TIME_UNIX_NANO, record.start);
    put_fixed64(out, field::END_TIME_UNIX_NANO, record.end);
    put_fields_as(out, field::ATTRIBUTES, &common.fields);
    if let Some(reason) = kept {
        put_string_attribute(
            out,
            field::ATTRIBUTES,
            semconv::KEPT,
            reason.as_str().as_bytes(),
        );
    }
    if let Some(old) = &identity.link {
        let message = begin_message(out, field::LINKS);
        put_bytes(out, link::TRACE_ID, old.trace_id.as_bytes());
        put_bytes(out, link::SPAN_ID, old.span_id.as_bytes());
        put_fixed32(
            out,
            link::FLAGS,
            u32::from(old.flags) | HAS_IS_REMOTE | IS_REMOTE,
        );
        end_message(out, message);
    }
    if record.outcome.error.is_some() {
        let status = begin_message(out, field::STATUS);
        put_uint(out, STATUS_CODE, STATUS_CODE_ERROR);
        end_message(out, status);
    }
    put_fixed32(out, field::FLAGS, flags);
}

/// The method, of HTTP with its route, of gRPC with its service. The path never: a name has to be
/// of low cardinality.
fn name<'a>(record: &Record<'a>) -> Cow<'a, str> {
    if let Some(method) = record.grpc_method {
        return String::from_utf8_lossy(method);
    }
    let method = record.known_method().unwrap_or(UNKNOWN_METHOD_NAME);
    let method = String::from_utf8_lossy(method);
    match record.route {
        Some(route) => Cow::Owned(format!("{method} {route}")),
        None => method,
    }
}
