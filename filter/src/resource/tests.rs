use opentelemetry_proto::tonic::resource::v1::Resource as ProtoResource;
use prost::Message;

use super::*;
use crate::testing::{FakeHost, attribute, config};

fn resource(host: &FakeHost, document: &str) -> ProtoResource {
    let encoded = Resource::new(host, &config(document)).encode();
    ProtoResource::decode(encoded.as_slice()).unwrap()
}

fn istio_node(host: &FakeHost) {
    for (key, value) in [
        ("id", "sidecar~10.0.0.7~cart-0.shop~shop.svc.cluster.local"),
        ("cluster", "cart.shop"),
        ("metadata.NAME", "cart-0"),
        ("metadata.NAMESPACE", "shop"),
        ("metadata.WORKLOAD_NAME", "cart-workload"),
        (
            "metadata.OWNER",
            "kubernetes://apis/apps/v1/namespaces/shop/deployments/cart-deployment",
        ),
        ("metadata.CLUSTER_ID", "Kubernetes"),
        ("metadata.NODE_NAME", "node-1"),
        ("metadata.APP_CONTAINERS", "server"),
        ("metadata.LABELS.service.istio.io/canonical-name", "cart"),
        ("metadata.LABELS.service.istio.io/canonical-revision", "v3"),
    ] {
        host.set_property(&format!("xds.node.{key}"), value.as_bytes());
    }
}

#[test]
fn istios_metadata_names_the_workload() {
    let host = FakeHost::default();
    istio_node(&host);
    let found = resource(&host, "").attributes;
    let check = |key, value: &str| assert_eq!(attribute(&found, key).as_deref(), Some(value));
    check("service.name", "cart");
    check("service.namespace", "shop");
    check("service.version", "v3");
    check("service.instance.id", "shop.cart-0.server");
    check("k8s.namespace.name", "shop");
    check("k8s.pod.name", "cart-0");
    check("k8s.deployment.name", "cart-deployment");
    check("k8s.cluster.name", "Kubernetes");
    check("k8s.node.name", "node-1");
}

#[test]
fn the_configuration_wins_over_the_node() {
    let host = FakeHost::default();
    istio_node(&host);
    let document = r#"{"service": {"name": "own", "version": "9"},
        "resource_attributes": {"k8s.node.name": "mine", "service.name": "not this", "n": 2,
                                "d": 0.5, "b": true}}"#;
    let found = resource(&host, document).attributes;
    let check = |key, value: &str| assert_eq!(attribute(&found, key).as_deref(), Some(value));
    check("service.name", "own");
    check("service.version", "9");
    check("k8s.node.name", "mine");
    check("n", "int 2");
    check("d", "double 0.5");
    check("b", "bool true");
    check("k8s.pod.name", "cart-0");
}

#[test]
fn outside_istio_the_cluster_names_the_service() {
    let host = FakeHost::default();
    host.set_property("xds.node.cluster", b"edge");
    host.set_property("xds.node.id", b"edge-1");
    let found = resource(&host, "").attributes;
    assert_eq!(attribute(&found, "service.name").as_deref(), Some("edge"));
    assert_eq!(
        attribute(&found, "service.instance.id").as_deref(),
        Some("edge-1")
    );
    assert_eq!(found.len(), 2);
}

#[test]
fn before_envoy_1_33_the_node_stands_at_the_top() {
    let host = FakeHost::default();
    host.set_property("node.cluster", b"edge");
    assert_eq!(
        attribute(&resource(&host, "").attributes, "service.name").as_deref(),
        Some("edge")
    );
}

#[test]
fn a_service_that_nobody_names_is_unknown() {
    let found = resource(&FakeHost::default(), "").attributes;
    assert_eq!(
        attribute(&found, "service.name").as_deref(),
        Some("unknown_service:envoy")
    );
}

#[test]
fn gateways_say_so_in_their_ids() {
    let host = FakeHost::default();
    assert!(!is_gateway(&host));
    istio_node(&host);
    assert!(!is_gateway(&host));
    host.set_property(
        "xds.node.id",
        b"router~10.0.0.7~gw-0.istio-system~istio-system.svc",
    );
    assert!(is_gateway(&host));
}

#[test]
fn istios_nodes_say_so_in_their_ids() {
    let host = FakeHost::default();
    assert!(!is_istio(&host));
    for (id, expected) in [
        ("sidecar~10.0.0.7~cart-0.shop~shop.svc.cluster.local", true),
        ("router~10.0.0.7~gw-0.shop~shop.svc.cluster.local", true),
        ("waypoint~10.0.0.7~wp-0.shop~shop.svc.cluster.local", true),
        ("edge-1", false),
        ("sidecar-1", false),
    ] {
        host.set_property("xds.node.id", id.as_bytes());
        assert_eq!(is_istio(&host), expected, "{id}");
        assert_eq!(is_waypoint(&host), id.starts_with("waypoint"), "{id}");
    }
}

#[test]
fn what_the_node_says_is_cut() {
    let host = FakeHost::default();
    host.set_property("xds.node.cluster", "é".repeat(5000).as_bytes());
    let resource = resource(&host, "");
    let name = attribute(&resource.attributes, "service.name").unwrap();
    assert_eq!(name, "é".repeat(512));
}
