//! What a request becomes: a span and an access log record with the same attributes.
//!
//! A [`Record`] gathers the facts once, from the request headers and from what Envoy knows at the
//! end of the stream; [`span`] and [`log_record`] encode it. Source: semantic conventions 1.44.0.

pub(crate) mod address;
mod flags;
mod line;
pub(crate) mod log_record;
mod outcome;
mod peer;
pub(crate) mod span;
mod text;
mod writer;

use std::borrow::Cow;
use std::time::Duration;

use spanmesh_trace_context::{SpanId, TraceId};

pub(crate) use self::address::host_of;
use self::outcome::{ErrorType, Outcome};
pub(crate) use self::text::{cut_for_text, text};
use self::writer::AttributeWriter;
pub(crate) use self::writer::Common;
use crate::capture::{Capture, Captured};
use crate::config::Config;
use crate::redact;
use crate::request::Request;
use crate::semconv;
use crate::stream::Attributes;

/// `http.request.method` of a method that the conventions do not list.
const OTHER_METHOD: &str = "_OTHER";
/// The conventions' methods, which are case-sensitive.
const METHODS: [&[u8]; 10] = [
    b"GET", b"POST", b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"PATCH", b"CONNECT", b"TRACE",
    b"QUERY",
];

/// The side of a request that is described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The proxy received it for its workload.
    Server,
    /// The proxy sent it for its workload.
    Client,
}

/// The ids under which a request is recorded.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) parent: Option<SpanId>,
    /// Whether the parent was in a header, and so in another process.
    pub(crate) parent_is_remote: bool,
    /// The context that was not continued.
    pub(crate) link: Option<Link>,
    /// W3C trace flags.
    pub(crate) flags: u8,
    /// The `tracestate` that was passed on, or the most of it that a span keeps.
    pub(crate) tracestate: Vec<u8>,
}

/// A context that a request brought, and that was not continued.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    /// W3C trace flags.
    pub(crate) flags: u8,
}

/// What decides whether a request is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    pub(crate) is_error: bool,
    /// From the first byte of the request to the end of the stream.
    pub(crate) duration: Duration,
    /// Whether it is meant to last.
    pub(crate) is_stream: bool,
}

/// The facts about one request.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    side: Side,
    request: &'a Request<'a>,
    captured: &'a Captured,
    capture: &'a Capture,
    attributes: &'a Attributes<'a>,
    /// The client's address or name, as far as headers and connection tell.
    client: &'a [u8],
    grpc_method: Option<&'a [u8]>,
    query: Cow<'a, [u8]>,
    /// The template that the path is one of; only the server's side knows its own.
    route: Option<&'a str>,
    outcome: Outcome,
    /// Unix nanoseconds.
    start: u64,
    /// Unix nanoseconds.
    end: u64,
    value_limit: usize,
}

impl Identity {
    /// The ids of a child in this proxy.
    pub(crate) fn child(&self, span_id: SpanId) -> Self {
        Self {
            span_id,
            parent: Some(self.span_id),
            parent_is_remote: false,
            link: None,
            ..self.clone()
        }
    }
}

impl Ending {
    /// Of `attributes`, the response's code and flags, the duration and gRPC's status are enough.
    pub(crate) fn new(side: Side, request: &Request<'_>, attributes: &Attributes<'_>) -> Self {
        Self {
            is_error: Outcome::new(side, request, attributes).error.is_some(),
            duration: Duration::from_nanos(attributes.duration),
            is_stream: request.is_stream(attributes.response_code),
        }
    }
}

impl<'a> Record<'a> {
    /// Gathers the facts. `now` stands in for the times that Envoy does not know.
    pub(crate) fn new(
        side: Side,
        request: &'a Request<'a>,
        captured: &'a Captured,
        attributes: &'a Attributes<'a>,
        now: u64,
        config: &'a Config,
    ) -> Self {
        let grpc_method = request.grpc_method();
        let start = if attributes.start_time == 0 {
            now
        } else {
            attributes.start_time
        };
        Self {
            side,
            request,
            captured,
            capture: &config.capture,
            attributes,
            client: address::client(request, attributes.source_address),
            grpc_method,
            query: config.redaction.query(request.query()),
            route: (side == Side::Server)
                .then(|| config.route(request.path()))
                .flatten(),
            outcome: Outcome::new(side, request, attributes),
            start,
            end: start.saturating_add(attributes.duration),
            value_limit: config.value_limit,
        }
    }

    /// What span and access log record have in common.
    fn write_attributes(&self, writer: &mut AttributeWriter<'_>) {
        self.write_request(writer);
        match self.side {
            Side::Server => self.write_server(writer),
            Side::Client => self.write_client(writer),
        }
        self.write_response(writer);
        self.write_upstream(writer);
        self.write_peer(writer);
        if !self.capture.is_empty() {
            self.write_captured(writer);
        }
    }

    fn write_request(&self, writer: &mut AttributeWriter<'_>) {
        match self.known_method() {
            Some(method) => writer.text(semconv::HTTP_REQUEST_METHOD, method),
            None => {
                writer.text(semconv::HTTP_REQUEST_METHOD, OTHER_METHOD.as_bytes());
                writer.text_if(semconv::HTTP_REQUEST_METHOD_ORIGINAL, self.request.method);
            }
        }
        if let Some(method) = self.grpc_method {
            writer.text(semconv::RPC_SYSTEM_NAME, b"grpc");
            writer.text(semconv::RPC_METHOD, method);
        }
        writer.text_if(semconv::NETWORK_PROTOCOL_VERSION, self.protocol_version());
    }

    fn write_server(&self, writer: &mut AttributeWriter<'_>) {
        // Absent where Envoy's codec refused the request before it had a path.
        writer.text_if(semconv::URL_PATH, self.request.path());
        writer.text_if(semconv::URL_QUERY, &self.query);
        if let Some(route) = self.route {
            writer.text(semconv::HTTP_ROUTE, route.as_bytes());
        }
        writer.text_if(semconv::URL_SCHEME, address::scheme(self.request));
        writer.host_port(
            semconv::SERVER_ADDRESS,
            semconv::SERVER_PORT,
            address::server(self.request),
        );
        let source = self.attributes.source_address;
        writer.text_if(semconv::CLIENT_ADDRESS, self.client);
        writer.peer(source);
        writer.text_if(semconv::USER_AGENT_ORIGINAL, self.request.user_agent);
    }

    fn write_client(&self, writer: &mut AttributeWriter<'_>) {
        // Without a host it would be no URL.
        if !self.request.authority.is_empty() {
            writer.text(semconv::URL_FULL, &self.full_url());
        }
        // The proxy knows only what the workload asked it for; nobody stands in front of it.
        let (host, port) = address::server(&Request {
            forwarded: &[],
            forwarded_host: &[],
            forwarded_proto: &[],
            ..*self.request
        });
        writer.host_port(semconv::SERVER_ADDRESS, semconv::SERVER_PORT, (host, port));
        writer.peer(self.attributes.upstream_address);
        if let Some(resent @ 1..) = self.attributes.upstream_attempts.checked_sub(1) {
            writer.int(semconv::HTTP_REQUEST_RESEND_COUNT, resent);
        }
    }

    fn write_response(&self, writer: &mut AttributeWriter<'_>) {
        if self.attributes.response_code != 0 {
            let code = u64::from(self.attributes.response_code);
            writer.int(semconv::HTTP_RESPONSE_STATUS_CODE, code);
        }
        if let (Some(_), Some(status)) = (self.grpc_method, outcome::grpc_status(self.attributes)) {
            let code = outcome::grpc_code(status);
            writer.text(semconv::RPC_RESPONSE_STATUS_CODE, code.as_bytes());
        }
        match self.outcome.error {
            Some(ErrorType::Status(code)) => {
                writer.text(semconv::ERROR_TYPE, code.to_string().as_bytes());
            }
            Some(ErrorType::Name(name)) => writer.text(semconv::ERROR_TYPE, name.as_bytes()),
            None => {}
        }
        if self.attributes.response_flags != 0 {
            let names: Vec<&str> = flags::names(self.attributes.response_flags).collect();
            writer.text_if(semconv::RESPONSE_FLAGS, names.join(",").as_bytes());
        }
        writer.text_if(
            semconv::RESPONSE_CODE_DETAILS,
            self.attributes.response_code_details,
        );
    }

    fn write_upstream(&self, writer: &mut AttributeWriter<'_>) {
        writer.text_if(semconv::UPSTREAM_CLUSTER, self.attributes.cluster_name);
        if self.side == Side::Server {
            writer.text_if(semconv::UPSTREAM_ADDRESS, self.attributes.upstream_address);
        }
        let failure = self.attributes.upstream_transport_failure;
        writer.text_if(semconv::UPSTREAM_TRANSPORT_FAILURE, failure);
        writer.text_if(semconv::ROUTE_NAME, self.attributes.route_name);
    }

    /// Apart from the others, since most configurations capture nothing.
    #[inline(never)]
    fn write_captured(&self, writer: &mut AttributeWriter<'_>) {
        let (request, response) = match self.grpc_method {
            Some(_) => (
                semconv::RPC_REQUEST_METADATA,
                semconv::RPC_RESPONSE_METADATA,
            ),
            None => (semconv::HTTP_REQUEST_HEADER, semconv::HTTP_RESPONSE_HEADER),
        };
        for (name, values) in self.captured.headers() {
            writer.texts(request, name, &mut values.map(|(_, value)| value));
        }
        let values = self.attributes.response_headers.values();
        for (name, value) in self.capture.response(values) {
            writer.texts(response, name.as_bytes(), &mut [value].into_iter());
        }
        for (key, value) in self.captured.baggage() {
            // A key is ASCII.
            writer.text_if(str::from_utf8(key).unwrap_or_default(), value);
        }
    }

    /// The method, if the conventions list it.
    fn known_method(&self) -> Option<&'a [u8]> {
        METHODS
            .contains(&self.request.method)
            .then_some(self.request.method)
    }

    /// `1.1`, `2`, …
    fn protocol_version(&self) -> &'a [u8] {
        self.attributes
            .protocol
            .strip_prefix(b"HTTP/")
            .unwrap_or_default()
    }

    /// The absolute URL without its secrets.
    fn full_url(&self) -> Vec<u8> {
        let mut url = self.request.scheme.to_vec();
        url.extend_from_slice(b"://");
        url.extend_from_slice(&redact::authority(self.request.authority));
        url.extend_from_slice(self.request.path());
        if !self.query.is_empty() {
            url.push(b'?');
            url.extend_from_slice(&self.query);
        }
        url
    }
}

#[cfg(test)]
mod documents;
#[cfg(test)]
mod tests;
