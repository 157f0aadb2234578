//! The attributes of a stream: their paths, the CEL list of them, and their types.
//!
//! Each value of the list is in its property encoding: strings are as they are; integers, durations
//! and timestamps are 8 bytes, little-endian, the latter two in nanoseconds. An attribute that is
//! missing would fail the whole expression, hence the `has`.

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
    Protocol,
    RequestSize,
    ResponseSize,
    SourceAddress,
    UpstreamAddress,
    UpstreamAttempts,
    UpstreamTransportFailure,
    UpstreamLatency,
    RouteName,
    ClusterName,
    ListenerDirection,
}

/// Each attribute's path, and whether it is there on every stream.
pub(super) const ATTRIBUTES: [(Attribute, &[&str], bool); COUNT] = [
    (Attribute::StartTime, &["request", "time"], true),
    (Attribute::Duration, &["request", "duration"], false),
    (Attribute::ResponseCode, &["response", "code"], false),
    (Attribute::ResponseFlags, &["response", "flags"], true),
    (
        Attribute::ResponseCodeDetails,
        &["response", "code_details"],
        false,
    ),
    (Attribute::GrpcStatus, &["response", "grpc_status"], false),
    (Attribute::Protocol, &["request", "protocol"], false),
    (Attribute::RequestSize, &["request", "size"], true),
    (Attribute::ResponseSize, &["response", "size"], true),
    (Attribute::SourceAddress, &["source", "address"], false),
    (Attribute::UpstreamAddress, &["upstream", "address"], false),
    (
        Attribute::UpstreamAttempts,
        &["upstream", "request_attempt_count"],
        false,
    ),
    (
        Attribute::UpstreamTransportFailure,
        &["upstream", "transport_failure_reason"],
        false,
    ),
    (
        Attribute::UpstreamLatency,
        &["response", "backend_latency"],
        false,
    ),
    (Attribute::RouteName, &["xds", "route_name"], false),
    (Attribute::ClusterName, &["xds", "cluster_name"], false),
    (
        Attribute::ListenerDirection,
        &["xds", "listener_direction"],
        false,
    ),
];

/// How many attributes there are.
pub(super) const COUNT: usize = Attribute::ListenerDirection as usize + 1;

/// The direction of the listener that took a stream.
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
    /// Nanoseconds.
    pub(crate) upstream_latency: Option<u64>,
    pub(crate) route_name: &'a [u8],
    pub(crate) cluster_name: &'a [u8],
    pub(crate) listener_direction: Direction,
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
            protocol,
            request_size,
            response_size,
            source_address,
            upstream_address,
            upstream_attempts,
            upstream_transport_failure,
            upstream_latency,
            route_name,
            cluster_name,
            listener_direction,
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
            protocol,
            request_size: number(request_size).unwrap_or(0),
            response_size: number(response_size).unwrap_or(0),
            source_address,
            upstream_address,
            upstream_attempts: number(upstream_attempts).unwrap_or(0),
            upstream_transport_failure,
            upstream_latency: number(upstream_latency),
            route_name,
            cluster_name,
            listener_direction: match number(listener_direction) {
                Some(1) => Direction::Inbound,
                Some(2) => Direction::Outbound,
                _ => Direction::Unspecified,
            },
        }
    }
}

/// The CEL text of the list.
pub(super) fn expression() -> String {
    let mut text = String::from("[");
    for (at, (_, path, always)) in ATTRIBUTES.iter().enumerate() {
        let path = path.join(".");
        if at > 0 {
            text.push(',');
        }
        if *always {
            text.push_str(&path);
        } else {
            text.push_str(&format!("has({path})?{path}:\"\""));
        }
    }
    text.push(']');
    text
}

fn number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairs::tests::pairs;

    #[test]
    fn the_table_is_in_the_order_of_the_list() {
        for (at, (attribute, _, _)) in ATTRIBUTES.iter().enumerate() {
            assert_eq!(*attribute as usize, at);
        }
    }

    #[test]
    fn only_what_may_be_missing_is_asked_for_with_has() {
        let text = expression();
        assert!(text.starts_with("[request.time,has(request.duration)?request.duration:\"\","));
        assert!(text.contains(",response.flags,") && text.ends_with(":\"\"]"));
    }

    #[test]
    fn numbers_are_eight_bytes_and_text_is_as_it_is() {
        let code = 503u64.to_le_bytes();
        let mut list: Vec<(&[u8], &[u8])> = vec![(b"", b""); COUNT];
        list[Attribute::ResponseCode as usize].0 = &code;
        list[Attribute::ResponseCodeDetails as usize].0 = b"via_upstream";
        list[Attribute::GrpcStatus as usize].0 = b"short";
        let list = pairs(&list);
        let mut values: [&[u8]; COUNT] = [b""; COUNT];
        for (value, (found, _)) in values.iter_mut().zip(&list) {
            *value = found;
        }
        let attributes = Attributes::new(values);
        assert_eq!(attributes.response_code, 503);
        assert_eq!(attributes.response_code_details, b"via_upstream");
        assert_eq!(attributes.grpc_status, None);
        assert_eq!(attributes.upstream_latency, None);
        assert_eq!(attributes.listener_direction, Direction::Unspecified);
    }
}
