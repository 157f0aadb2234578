//! The attributes of a stream: their paths, the CEL list of them, and their types.
//!
//! Each value of the list is in its property encoding: strings are as they are; integers, durations
//! and timestamps are 8 bytes, little-endian, the latter two in nanoseconds. An attribute that is
//! missing would fail the whole expression, hence the `has`.

use super::ResponseHeaders;
use super::peer::{FIELDS, Peer};

/// The attributes, in the order of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Attribute {
    StartTime,
    Duration,
    ResponseCode,
    ResponseFlags,
    ResponseCodeDetails,
    GrpcStatus,
    ListenerDirection,
    Protocol,
    RequestSize,
    ResponseSize,
    SourceAddress,
    UpstreamAddress,
    UpstreamAttempts,
    UpstreamTransportFailure,
    UpstreamDuration,
    UpstreamFirstByte,
    RouteName,
    ClusterName,
    DownstreamPrincipal,
    UpstreamPrincipal,
    TunnelPrincipal,
    DownstreamPeer,
    UpstreamPeer,
}

/// An attribute, where it is found, and how it is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    attribute: Attribute,
    pub(super) path: &'static [&'static str],
    presence: Presence,
    need: Need,
}

/// When an attribute is there, and so how CEL has to ask for it.
#[derive(Clone, Copy, Debug)]
enum Presence {
    /// On every stream that is logged, also on one that the codec refused.
    Always,
    /// On some.
    Maybe,
    /// On some; its last name is a key of a map and no identifier.
    MaybeKey,
    /// On some, as one of the two objects of a [`Peer`].
    Peer,
}

/// What an attribute is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Records,
    Grpc,
    Logs,
    Peers,
    Tunnels,
}

/// What is to be known of streams beyond what every record needs. Each attribute costs time, in
/// Envoy, on every request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    /// What only access log records have.
    pub(crate) logs: bool,
    /// What decides whether a request is kept, by itself.
    pub(crate) decisions: bool,
    /// The peers that Istio's proxy knows.
    pub(crate) peers: bool,
    /// Who is at the other end of a tunnel that ends in Istio's waypoint: the connection itself, an
    /// internal one, has no certificates.
    pub(crate) tunnels: bool,
}

/// The list.
pub(super) const ATTRIBUTES: [Entry; COUNT] = [
    always(Attribute::StartTime, &["request", "time"]),
    always(Attribute::Duration, &["request", "duration"]),
    maybe(Attribute::ResponseCode, &["response", "code"]),
    always(Attribute::ResponseFlags, &["response", "flags"]),
    maybe(
        Attribute::ResponseCodeDetails,
        &["response", "code_details"],
    ),
    maybe(Attribute::GrpcStatus, &["response", "grpc_status"]).only_for(Need::Grpc),
    maybe(Attribute::ListenerDirection, &["xds", "listener_direction"]),
    always(Attribute::Protocol, &["request", "protocol"]),
    always(Attribute::RequestSize, &["request", "size"]).only_for(Need::Logs),
    always(Attribute::ResponseSize, &["response", "size"]).only_for(Need::Logs),
    always(Attribute::SourceAddress, &["source", "address"]),
    maybe(Attribute::UpstreamAddress, &["upstream", "address"]),
    always(
        Attribute::UpstreamAttempts,
        &["upstream", "request_attempt_count"],
    ),
    maybe(
        Attribute::UpstreamTransportFailure,
        &["upstream", "transport_failure_reason"],
    ),
    maybe(
        Attribute::UpstreamDuration,
        &["response", "backend_latency"],
    )
    .only_for(Need::Logs),
    Entry {
        attribute: Attribute::UpstreamFirstByte,
        path: &["response", "headers", "x-envoy-upstream-service-time"],
        presence: Presence::MaybeKey,
        need: Need::Logs,
    },
    maybe(Attribute::RouteName, &["xds", "route_name"]),
    maybe(Attribute::ClusterName, &["xds", "cluster_name"]),
    maybe(
        Attribute::DownstreamPrincipal,
        &["connection", "uri_san_peer_certificate"],
    ),
    maybe(
        Attribute::UpstreamPrincipal,
        &["upstream", "uri_san_peer_certificate"],
    ),
    Entry {
        attribute: Attribute::TunnelPrincipal,
        path: &["filter_state", "io.istio.peer_principal"],
        presence: Presence::MaybeKey,
        need: Need::Tunnels,
    },
    peer(
        Attribute::DownstreamPeer,
        &["filter_state", "downstream_peer"],
    ),
    peer(Attribute::UpstreamPeer, &["filter_state", "upstream_peer"]),
];

/// What Envoy writes in place of a value that it does not have.
const NO_PRINCIPAL: &[u8] = b"-";

/// So many of the first attributes decide whether a request is kept, or stand before such a one.
const DECISIVE: usize = Attribute::ListenerDirection as usize + 1;

/// How many attributes there are.
pub(super) const COUNT: usize = Attribute::UpstreamPeer as usize + 1;

/// The direction of a listener's traffic, as Istio and others declare it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Direction {
    #[default]
    Unspecified,
    Inbound,
    Outbound,
}

/// The attributes of a stream in the types that the records need. Numbers are 0 where Envoy has
/// none, text is empty.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Attributes<'a> {
    /// Unix nanoseconds.
    pub(crate) start_time: u64,
    /// Nanoseconds.
    pub(crate) duration: u64,
    /// 0 if no response was sent.
    pub(crate) response_code: u16,
    pub(crate) response_flags: u64,
    pub(crate) response_code_details: &'a [u8],
    pub(crate) grpc_status: Option<u32>,
    /// Of the listener that took the stream. Envoy shares a root context between listeners, so that
    /// each stream has to tell.
    pub(crate) listener_direction: Direction,
    pub(crate) protocol: &'a [u8],
    /// Bytes of the body.
    pub(crate) request_size: u64,
    /// Bytes of the body.
    pub(crate) response_size: u64,
    /// `ip:port`.
    pub(crate) source_address: &'a [u8],
    /// `ip:port`.
    pub(crate) upstream_address: &'a [u8],
    pub(crate) upstream_attempts: u64,
    pub(crate) upstream_transport_failure: &'a [u8],
    /// From the first byte sent upstream to the last byte of the response. Nanoseconds.
    pub(crate) upstream_duration: Option<u64>,
    /// From the end of the request to the first byte of the response, as Envoy tells the client.
    /// Milliseconds.
    pub(crate) upstream_first_byte: Option<u64>,
    pub(crate) route_name: &'a [u8],
    pub(crate) cluster_name: &'a [u8],
    /// The first URI of the client certificate's alternative names; behind a tunnel, all of them.
    pub(crate) downstream_principal: &'a [u8],
    /// The first URI of the upstream certificate's alternative names.
    pub(crate) upstream_principal: &'a [u8],
    pub(crate) downstream_peer: Peer<'a>,
    pub(crate) upstream_peer: Peer<'a>,
    pub(crate) response_headers: ResponseHeaders<'a>,
}

impl<'a> Attributes<'a> {
    /// Decodes the values of the list.
    pub(super) fn new(values: [&'a [u8]; COUNT]) -> Self {
        let [
            start_time,
            duration,
            response_code,
            response_flags,
            response_code_details,
            grpc_status,
            listener_direction,
            protocol,
            request_size,
            response_size,
            source_address,
            upstream_address,
            upstream_attempts,
            upstream_transport_failure,
            upstream_duration,
            upstream_first_byte,
            route_name,
            cluster_name,
            downstream_principal,
            upstream_principal,
            tunnel_principal,
            downstream_peer,
            upstream_peer,
        ] = values;
        Self {
            start_time: number(start_time).unwrap_or(0),
            duration: number(duration).unwrap_or(0),
            response_code: number(response_code)
                .and_then(|it| it.try_into().ok())
                .unwrap_or(0),
            response_flags: number(response_flags).unwrap_or(0),
            response_code_details,
            grpc_status: number(grpc_status).and_then(|it| it.try_into().ok()),
            listener_direction: match number(listener_direction) {
                Some(1) => Direction::Inbound,
                Some(2) => Direction::Outbound,
                _ => Direction::Unspecified,
            },
            protocol,
            request_size: number(request_size).unwrap_or(0),
            response_size: number(response_size).unwrap_or(0),
            source_address,
            upstream_address,
            upstream_attempts: number(upstream_attempts).unwrap_or(0),
            upstream_transport_failure,
            upstream_duration: number(upstream_duration),
            upstream_first_byte: decimal(upstream_first_byte),
            route_name,
            cluster_name,
            downstream_principal: match downstream_principal {
                b"" if tunnel_principal != NO_PRINCIPAL => tunnel_principal,
                principal => principal,
            },
            upstream_principal,
            downstream_peer: Peer::new(downstream_peer),
            upstream_peer: Peer::new(upstream_peer),
            response_headers: ResponseHeaders::default(),
        }
    }
}

// The places of the list are those of the names.
const _: () = {
    let mut rest = ATTRIBUTES.as_slice();
    while let [before @ .., last] = rest {
        assert!(last.attribute as usize == before.len());
        rest = before;
    }
};

impl Entry {
    const fn only_for(self, need: Need) -> Self {
        Self { need, ..self }
    }

    /// Whether it is to be read at all.
    pub(super) fn is_wanted(&self, wanted: Wanted, is_grpc: bool) -> bool {
        match self.need {
            Need::Records => true,
            Need::Grpc => is_grpc,
            Need::Logs => wanted.logs,
            Need::Peers => wanted.peers,
            Need::Tunnels => wanted.tunnels,
        }
    }

    /// Its item in the CEL list; what is missing is empty.
    fn item(&self) -> String {
        let path = self.path.join(".");
        match self.presence {
            Presence::Always => path,
            Presence::Maybe => format!("has({path})?{path}:\"\""),
            Presence::MaybeKey => match self.path {
                [map @ .., name] => key(&map.join("."), name),
                [] => path,
            },
            Presence::Peer => {
                let fields = FIELDS.map(|field| format!("{path}_obj.{field}")).join(",");
                format!("has({path}_obj)?[{fields}]:has({path})?{path}:\"\"")
            }
        }
    }
}

const fn always(attribute: Attribute, path: &'static [&'static str]) -> Entry {
    Entry {
        attribute,
        path,
        presence: Presence::Always,
        need: Need::Records,
    }
}

const fn maybe(attribute: Attribute, path: &'static [&'static str]) -> Entry {
    Entry {
        presence: Presence::Maybe,
        ..always(attribute, path)
    }
}

const fn peer(attribute: Attribute, path: &'static [&'static str]) -> Entry {
    Entry {
        presence: Presence::Peer,
        need: Need::Peers,
        ..always(attribute, path)
    }
}

/// The CEL text of the list for requests that are gRPC or are not, and of these response headers
/// after it; what is not wanted has its place and is empty.
pub(super) fn expression(wanted: Wanted, is_grpc: bool, headers: &[String]) -> String {
    let attributes = ATTRIBUTES.iter().map(|entry| {
        if entry.is_wanted(wanted, is_grpc) {
            entry.item()
        } else {
            String::from("\"\"")
        }
    });
    let headers = headers.iter().map(|name| key("response.headers", name));
    let items: Vec<String> = attributes.chain(headers).collect();
    format!("[{}]", items.join(","))
}

/// The CEL text of what decides whether a request is worth a span, each in its place of the list,
/// which ends there.
pub(super) fn decisive(is_grpc: bool) -> String {
    let items = ATTRIBUTES.iter().take(DECISIVE).map(|entry| {
        let is_decisive = match entry.attribute {
            Attribute::Duration
            | Attribute::ResponseCode
            | Attribute::ResponseFlags
            | Attribute::ListenerDirection => true,
            Attribute::GrpcStatus => is_grpc,
            _ => false,
        };
        if is_decisive {
            entry.item()
        } else {
            String::from("\"\"")
        }
    });
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

/// The item for a key of a map. Neither a name in the code nor one of a header has a quote in it.
fn key(map: &str, key: &str) -> String {
    format!("\"{key}\" in {map}?{map}[\"{key}\"]:\"\"")
}

fn number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_le_bytes)
}

/// A number in digits.
fn decimal(digits: &[u8]) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    str::from_utf8(digits)
        .ok()
        .filter(|_| is_number)?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests;
