use super::*;
use crate::pairs::tests::pairs;

const ALL: Wanted = Wanted {
    decisions: true,
    logs: true,
    peers: true,
    tunnels: true,
};

fn attributes<'a>(set: &[(Attribute, &'a [u8])]) -> Attributes<'a> {
    let mut values: [&[u8]; COUNT] = [b""; COUNT];
    for (attribute, value) in set {
        values[*attribute as usize] = value;
    }
    Attributes::new(values)
}

#[test]
fn only_what_may_be_missing_is_asked_for_with_has() {
    let text = expression(ALL, true, &[]);
    assert!(text.starts_with("[request.time,request.duration,has(response.code)?"));
    assert!(text.contains(",response.flags,") && text.ends_with(":\"\"]"));
}

#[test]
fn a_header_is_asked_for_as_a_key() {
    let text = expression(ALL, true, &[]);
    assert!(text.contains(
        ",\"x-envoy-upstream-service-time\" in response.headers?\
         response.headers[\"x-envoy-upstream-service-time\"]:\"\","
    ));
}

#[test]
fn captured_headers_come_last() {
    let text = expression(ALL, true, &["x-a".to_owned(), "b".to_owned()]);
    assert!(text.ends_with(
        ":\"\",\"x-a\" in response.headers?response.headers[\"x-a\"]:\"\",\
         \"b\" in response.headers?response.headers[\"b\"]:\"\"]"
    ));
}

#[test]
fn a_peer_is_asked_for_as_the_newer_object_first() {
    let text = expression(ALL, true, &[]);
    assert!(text.contains(
        ",has(filter_state.upstream_peer_obj)?[filter_state.upstream_peer_obj.workload,\
         filter_state.upstream_peer_obj.namespace,filter_state.upstream_peer_obj.service,\
         filter_state.upstream_peer_obj.revision,filter_state.upstream_peer_obj.cluster]:\
         has(filter_state.upstream_peer)?filter_state.upstream_peer:\"\"]"
    ));
}

#[test]
fn what_nobody_wants_is_not_asked_for() {
    let text = expression(Wanted::default(), false, &[]);
    for path in ["filter_state", "request.size", "x-envoy", "grpc"] {
        assert!(!text.contains(path), "{path}");
    }
    // The places of the others stay.
    assert!(text.contains(",\"\",\"\",source.address,"));
    assert!(text.contains("connection.uri_san_peer_certificate"));
}

#[test]
fn what_decides_stands_in_its_places_and_alone() {
    let http = decisive(false);
    assert!(http.starts_with("[\"\","), "{http}");
    assert!(
        http.contains(",\"\",\"\",has(xds.listener_direction)?"),
        "{http}"
    );
    for path in ["request.duration", "response.code", "response.flags"] {
        assert!(http.contains(path), "{http}");
    }
    assert!(!http.contains("request.time") && !http.contains("source"));
    assert!(decisive(true).contains("response.grpc_status"));
}

#[test]
fn numbers_are_eight_bytes_and_text_is_as_it_is() {
    let code = 503u64.to_le_bytes();
    let attributes = attributes(&[
        (Attribute::ResponseCode, &code),
        (Attribute::ResponseCodeDetails, b"via_upstream"),
        (Attribute::GrpcStatus, b"short"),
        (Attribute::UpstreamPrincipal, b"spiffe://mesh/cart"),
    ]);
    assert_eq!(attributes.response_code, 503);
    assert_eq!(attributes.response_code_details, b"via_upstream");
    assert_eq!(attributes.grpc_status, None);
    assert_eq!(attributes.upstream_duration, None);
    assert_eq!(attributes.upstream_principal, b"spiffe://mesh/cart");
}

#[test]
fn the_time_to_the_first_byte_is_in_digits() {
    let first_byte = |text: &str| {
        attributes(&[(Attribute::UpstreamFirstByte, text.as_bytes())]).upstream_first_byte
    };
    assert_eq!(first_byte("0"), Some(0));
    assert_eq!(first_byte("1250"), Some(1250));
    for text in ["", "+1", "1.5", "-1", "soon", "99999999999999999999"] {
        assert_eq!(first_byte(text), None, "{text}");
    }
}

#[test]
fn a_tunnel_names_whom_its_inner_connection_does_not() {
    let principal = |connection: &'static [u8], tunnel: &'static [u8]| {
        attributes(&[
            (Attribute::DownstreamPrincipal, connection),
            (Attribute::TunnelPrincipal, tunnel),
        ])
        .downstream_principal
    };
    assert_eq!(principal(b"", b"spiffe://mesh/a"), b"spiffe://mesh/a");
    assert_eq!(
        principal(b"spiffe://mesh/b", b"spiffe://mesh/a"),
        b"spiffe://mesh/b"
    );
    assert_eq!(principal(b"", b"-"), b"");
    assert_eq!(principal(b"", b""), b"");
}

#[test]
fn peers_are_lists_in_the_list() {
    let list = pairs(&[(b"cart-v1", b""), (b"shop", b"")]).into_bytes();
    let attributes = attributes(&[(Attribute::DownstreamPeer, &list)]);
    assert_eq!(attributes.downstream_peer.workload, b"cart-v1");
    assert_eq!(attributes.downstream_peer.namespace, b"shop");
    assert_eq!(attributes.upstream_peer, Peer::default());
}
