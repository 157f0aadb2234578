use crate::access_log::Added;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;

use super::*;
use crate::keep::Reason;
use crate::testing::{attribute, config};

pub(super) fn records(
    side: Side,
    request: &Request<'_>,
    attributes: &Attributes<'_>,
) -> (Span, LogRecord) {
    records_kept(side, request, attributes, None)
}

pub(super) fn records_kept(
    side: Side,
    request: &Request<'_>,
    attributes: &Attributes<'_>,
    kept: Option<Reason>,
) -> (Span, LogRecord) {
    let document = r#"{"limits": {"attribute_value_bytes": 64}, "spans": {"routes": ["/r/{id}"]}}"#;
    let config = config(document);
    let captured = Captured::default();
    let record = Record::new(side, request, &captured, attributes, 42, &config);
    let identity = Identity {
        trace_id: TraceId::from_bytes([1; 16]).unwrap(),
        span_id: SpanId::from_bytes([2; 8]).unwrap(),
        parent: None,
        parent_is_remote: false,
        link: None,
        flags: 1,
        tracestate: Vec::new(),
    };
    let (mut span, mut log) = (Vec::new(), Vec::new());
    let mut common = Common::default();
    common.fill(&record);
    span::encode(&record, &identity, kept, &common, &mut span);
    let added = Added::default();
    log_record::encode(&record, Some(&identity), &added, &common, &mut log);
    (
        Span::decode(span.as_slice()).unwrap(),
        LogRecord::decode(log.as_slice()).unwrap(),
    )
}

/// Asserts all attributes, in order of their keys, as `key=value` lines.
fn check(attributes: &[KeyValue], expected: &[&str]) {
    let mut found: Vec<String> = attributes
        .iter()
        .map(|it| format!("{}={}", it.key, attribute(attributes, &it.key).unwrap()))
        .collect();
    found.sort();
    assert_eq!(found, expected);
}

pub(super) fn request<'a>() -> Request<'a> {
    Request {
        method: b"GET",
        target: b"/a/b?x=1&sig=s",
        authority: b"u:p@cart.shop:8080",
        scheme: b"http",
        user_agent: b"curl/8",
        forwarded_for: b"192.0.2.1",
        ..Request::default()
    }
}

pub(super) fn attributes<'a>() -> Attributes<'a> {
    Attributes {
        start_time: 1_000_000_000,
        duration: 2_500_000,
        response_code: 200,
        protocol: b"HTTP/2",
        request_size: 3,
        response_size: 4,
        source_address: b"10.0.0.2:4711",
        upstream_address: b"10.0.0.3:80",
        upstream_attempts: 1,
        upstream_duration: Some(1_250_000),
        upstream_first_byte: Some(1),
        response_code_details: b"via_upstream",
        cluster_name: b"inbound|8080||",
        route_name: b"default",
        ..Attributes::default()
    }
}

#[test]
fn a_server_span_has_the_conventions_attributes_with_their_types() {
    let (span, log) = records(Side::Server, &request(), &attributes());
    let shared = [
        "client.address=192.0.2.1",
        "http.request.method=GET",
        "http.response.status_code=int 200",
        "network.peer.address=10.0.0.2",
        "network.peer.port=int 4711",
        "network.protocol.version=2",
        "server.address=cart.shop",
        "server.port=int 8080",
        "spanmesh.response_code_details=via_upstream",
        "spanmesh.route.name=default",
        "spanmesh.upstream.address=10.0.0.3:80",
        "spanmesh.upstream.cluster=inbound|8080||",
        "url.path=/a/b",
        "url.query=x=1&sig=REDACTED",
        "url.scheme=http",
        "user_agent.original=curl/8",
    ];
    check(&span.attributes, &shared);
    let mut with_sizes = shared.to_vec();
    with_sizes.extend([
        "http.request.body.size=int 3",
        "http.response.body.size=int 4",
        "spanmesh.duration_ms=double 2.5",
        "spanmesh.upstream.attempts=int 1",
        "spanmesh.upstream.duration_ms=double 1.25",
        "spanmesh.upstream.first_byte_ms=int 1",
    ]);
    with_sizes.sort_unstable();
    check(&log.attributes, &with_sizes);
}

#[test]
fn a_client_span_has_the_full_url_without_secrets() {
    let attributes = Attributes {
        upstream_attempts: 3,
        ..attributes()
    };
    let (span, log) = records(Side::Client, &request(), &attributes);
    check(
        &span.attributes,
        &[
            "http.request.method=GET",
            "http.request.resend_count=int 2",
            "http.response.status_code=int 200",
            "network.peer.address=10.0.0.3",
            "network.peer.port=int 80",
            "network.protocol.version=2",
            "server.address=cart.shop",
            "server.port=int 8080",
            "spanmesh.response_code_details=via_upstream",
            "spanmesh.route.name=default",
            "spanmesh.upstream.cluster=inbound|8080||",
            "url.full=http://REDACTED:REDACTED@cart.shop:8080/a/b?x=1&sig=REDACTED",
        ],
    );
    assert_eq!(
        attribute(&log.attributes, "user_agent.original").as_deref(),
        Some("curl/8")
    );
}

#[test]
fn a_request_that_the_codec_refused_has_no_url() {
    let (span, log) = records(Side::Client, &Request::default(), &attributes());
    assert_eq!(attribute(&span.attributes, "url.full"), None);
    assert_eq!(attribute(&log.attributes, "url.full"), None);
}

#[test]
fn a_route_is_in_the_name_of_the_servers_span_only() {
    let request = Request {
        target: b"/r/7?x=y",
        ..request()
    };
    let (server, log) = records(Side::Server, &request, &attributes());
    assert_eq!(server.name, "GET /r/{id}");
    assert_eq!(
        attribute(&server.attributes, "http.route").as_deref(),
        Some("/r/{id}")
    );
    assert_eq!(
        attribute(&log.attributes, "http.route").as_deref(),
        Some("/r/{id}")
    );
    let (client, _) = records(Side::Client, &request, &attributes());
    assert_eq!(client.name, "GET");
    assert_eq!(attribute(&client.attributes, "http.route"), None);
}

#[test]
fn methods_outside_the_list_are_other() {
    let (span, _) = records(
        Side::Server,
        &Request {
            method: b"get",
            ..request()
        },
        &attributes(),
    );
    assert_eq!(span.name, "HTTP");
    let value = |key| attribute(&span.attributes, key);
    assert_eq!(value("http.request.method").as_deref(), Some("_OTHER"));
    assert_eq!(
        value("http.request.method_original").as_deref(),
        Some("get")
    );
}

#[test]
fn grpc_is_named_by_its_method_and_judged_by_its_status() {
    let request = Request {
        method: b"POST",
        target: b"/shop.Cart/Add",
        content_type: b"application/grpc",
        ..request()
    };
    let attributes = Attributes {
        grpc_status: Some(5),
        ..attributes()
    };
    let (server, log) = records(Side::Server, &request, &attributes);
    assert_eq!(server.name, "shop.Cart/Add");
    assert_eq!(server.status, None);
    assert_eq!(log.severity_text, "WARN");
    let (client, _) = records(Side::Client, &request, &attributes);
    assert_eq!(client.status.unwrap().code(), StatusCode::Error);
    let value = |key| attribute(&client.attributes, key);
    assert_eq!(value("rpc.system.name").as_deref(), Some("grpc"));
    assert_eq!(value("rpc.method").as_deref(), Some("shop.Cart/Add"));
    assert_eq!(
        value("rpc.response.status_code").as_deref(),
        Some("NOT_FOUND")
    );
    assert_eq!(value("error.type").as_deref(), Some("NOT_FOUND"));
}

#[test]
fn a_failure_of_the_proxy_names_its_flags_and_reasons() {
    let attributes = Attributes {
        response_code: 503,
        response_flags: 0x20 | 0x8000,
        response_code_details: b"upstream_reset_before_response_started{connection_failure}",
        upstream_transport_failure: b"delayed connect error: Connection refused",
        ..attributes()
    };
    let (span, log) = records(Side::Server, &request(), &attributes);
    let status = span.status.unwrap();
    assert_eq!(
        (status.code(), status.message.as_str()),
        (StatusCode::Error, "")
    );
    let value = |key| attribute(&span.attributes, key);
    assert_eq!(value("error.type").as_deref(), Some("503"));
    assert_eq!(value("spanmesh.response_flags").as_deref(), Some("UF,URX"));
    assert!(
        value("spanmesh.upstream.transport_failure_reason")
            .unwrap()
            .contains("refused")
    );
    assert_eq!(log.severity_text, "ERROR");
}

#[test]
fn no_response_has_no_status_code() {
    let attributes = Attributes {
        response_code: 0,
        response_flags: 0x4000,
        ..attributes()
    };
    let (span, _) = records(Side::Server, &request(), &attributes);
    assert_eq!(
        attribute(&span.attributes, "http.response.status_code"),
        None
    );
    assert_eq!(
        attribute(&span.attributes, "error.type").as_deref(),
        Some("DC")
    );
}

#[test]
fn long_values_are_cut() {
    let long = [b'a'; 200];
    let (span, _) = records(
        Side::Server,
        &Request {
            user_agent: &long,
            ..request()
        },
        &attributes(),
    );
    assert_eq!(
        attribute(&span.attributes, "user_agent.original")
            .unwrap()
            .len(),
        64
    );
}

#[test]
fn a_stream_of_which_envoy_knows_no_times_begins_now() {
    let (span, _) = records(Side::Server, &request(), &Attributes::default());
    assert_eq!(
        (span.start_time_unix_nano, span.end_time_unix_nano),
        (42, 42)
    );
}

proptest::proptest! {
    #[test]
    fn any_bytes_become_valid_records(
        method: Vec<u8>, target: Vec<u8>, authority: Vec<u8>, address: Vec<u8>, flags: u64,
    ) {
        let request = Request {
            method: &method, target: &target, authority: &authority, user_agent: &target,
            forwarded: &address, content_type: b"application/grpc", ..Request::default()
        };
        let attributes = Attributes {
            source_address: &address, upstream_address: &address, protocol: &method,
            response_flags: flags, response_code: flags as u16, duration: flags, start_time: flags,
            grpc_status: Some(flags as u32), ..Attributes::default()
        };
        records(Side::Server, &request, &attributes);
        records(Side::Client, &request, &attributes);
    }
}
