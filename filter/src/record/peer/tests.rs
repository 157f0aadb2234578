use opentelemetry_proto::tonic::common::v1::KeyValue;

use crate::record::Side;
use crate::record::tests::{attributes, records, request};
use crate::stream::{Attributes, Peer};
use crate::testing::text;

const FRONTEND: Peer<'_> = Peer {
    workload: b"frontend-v1",
    namespace: b"shop",
    service: b"frontend",
    revision: b"v1",
    cluster: b"east",
};
const CART: Peer<'_> = Peer {
    workload: b"cart-v2",
    namespace: b"shop",
    service: b"cart",
    revision: b"v2",
    cluster: b"",
};

/// The attributes that name a peer, as `key=value` lines.
fn peers(attributes: &[KeyValue]) -> Vec<String> {
    let named = attributes.iter().filter(|it| it.key.contains("peer."));
    let mut lines: Vec<String> = named
        .filter(|it| !it.key.starts_with("network."))
        .map(|it| format!("{}={}", it.key, text(it.value.as_ref().unwrap())))
        .collect();
    lines.sort();
    lines
}

fn between_two() -> Attributes<'static> {
    Attributes {
        downstream_peer: FRONTEND,
        upstream_peer: CART,
        downstream_principal: b"spiffe://mesh/ns/shop/sa/frontend",
        upstream_principal: b"spiffe://mesh/ns/shop/sa/cart",
        ..attributes()
    }
}

#[test]
fn a_servers_peer_is_the_client() {
    let (span, log) = records(Side::Server, &request(), &between_two());
    let client = [
        "service.peer.name=frontend",
        "service.peer.namespace=shop",
        "spanmesh.peer.cluster=east",
        "spanmesh.peer.principal=spiffe://mesh/ns/shop/sa/frontend",
        "spanmesh.peer.revision=v1",
        "spanmesh.peer.workload=frontend-v1",
    ];
    assert_eq!(peers(&span.attributes), client);
    let mut both = client.to_vec();
    both.extend([
        "spanmesh.upstream.peer.namespace=shop",
        "spanmesh.upstream.peer.principal=spiffe://mesh/ns/shop/sa/cart",
        "spanmesh.upstream.peer.revision=v2",
        "spanmesh.upstream.peer.service=cart",
        "spanmesh.upstream.peer.workload=cart-v2",
    ]);
    assert_eq!(peers(&log.attributes), both);
}

#[test]
fn a_clients_peer_is_the_upstream() {
    let (span, log) = records(Side::Client, &request(), &between_two());
    let upstream = [
        "service.peer.name=cart",
        "service.peer.namespace=shop",
        "spanmesh.peer.principal=spiffe://mesh/ns/shop/sa/cart",
        "spanmesh.peer.revision=v2",
        "spanmesh.peer.workload=cart-v2",
    ];
    assert_eq!(peers(&span.attributes), upstream);
    let mut both = vec![
        "spanmesh.downstream.peer.cluster=east",
        "spanmesh.downstream.peer.namespace=shop",
        "spanmesh.downstream.peer.principal=spiffe://mesh/ns/shop/sa/frontend",
        "spanmesh.downstream.peer.revision=v1",
        "spanmesh.downstream.peer.service=frontend",
        "spanmesh.downstream.peer.workload=frontend-v1",
    ];
    both.extend(upstream);
    both.sort_unstable();
    let mut found = peers(&log.attributes);
    found.sort();
    assert_eq!(found, both);
}

#[test]
fn nobody_is_named_where_nobody_is_known() {
    for side in [Side::Server, Side::Client] {
        let (span, log) = records(side, &request(), &attributes());
        assert!(peers(&span.attributes).is_empty() && peers(&log.attributes).is_empty());
    }
}
