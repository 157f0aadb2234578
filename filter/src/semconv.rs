//! Attribute names, in one place, with the version of the semantic conventions that they are from.
//!
//! Source: OpenTelemetry semantic conventions 1.44.0 (`docs/http/http-spans.md`,
//! `docs/rpc/grpc.md`, `docs/resource/`). The RPC names have moved three times; those here are of
//! 1.39 to 1.44. What has no name there has one of ours, `spanmesh.*`, documented in
//! `docs/filter-records.md`.

/// Of each batch's resource and scope.
pub(crate) const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";
/// The instrumentation scope.
pub(crate) const SCOPE_NAME: &str = "spanmesh-filter";
/// `LogRecord.event_name` of an access log record; the conventions have none.
pub(crate) const ACCESS_LOG_EVENT: &str = "spanmesh.access";

pub(crate) const CLIENT_ADDRESS: &str = "client.address";
pub(crate) const ERROR_TYPE: &str = "error.type";
pub(crate) const HTTP_REQUEST_BODY_SIZE: &str = "http.request.body.size";
pub(crate) const HTTP_REQUEST_METHOD: &str = "http.request.method";
pub(crate) const HTTP_REQUEST_METHOD_ORIGINAL: &str = "http.request.method_original";
pub(crate) const HTTP_REQUEST_RESEND_COUNT: &str = "http.request.resend_count";
pub(crate) const HTTP_RESPONSE_BODY_SIZE: &str = "http.response.body.size";
pub(crate) const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";
pub(crate) const HTTP_ROUTE: &str = "http.route";
pub(crate) const NETWORK_PEER_ADDRESS: &str = "network.peer.address";
pub(crate) const NETWORK_PEER_PORT: &str = "network.peer.port";
pub(crate) const NETWORK_PROTOCOL_VERSION: &str = "network.protocol.version";
pub(crate) const RPC_METHOD: &str = "rpc.method";
pub(crate) const RPC_RESPONSE_STATUS_CODE: &str = "rpc.response.status_code";
pub(crate) const RPC_SYSTEM_NAME: &str = "rpc.system.name";
pub(crate) const SERVER_ADDRESS: &str = "server.address";
pub(crate) const SERVER_PORT: &str = "server.port";
pub(crate) const URL_FULL: &str = "url.full";
pub(crate) const URL_PATH: &str = "url.path";
pub(crate) const URL_QUERY: &str = "url.query";
pub(crate) const URL_SCHEME: &str = "url.scheme";
pub(crate) const USER_AGENT_ORIGINAL: &str = "user_agent.original";

/// Before the name of a captured header.
pub(crate) const HTTP_REQUEST_HEADER: &str = "http.request.header.";
/// Before the name of a captured header.
pub(crate) const HTTP_RESPONSE_HEADER: &str = "http.response.header.";
/// Before the name of a captured header of a gRPC request.
pub(crate) const RPC_REQUEST_METADATA: &str = "rpc.request.metadata.";
/// Before the name of a captured header of the response to a gRPC request.
pub(crate) const RPC_RESPONSE_METADATA: &str = "rpc.response.metadata.";

pub(crate) const SERVICE_INSTANCE_ID: &str = "service.instance.id";
pub(crate) const SERVICE_NAME: &str = "service.name";
pub(crate) const SERVICE_NAMESPACE: &str = "service.namespace";
pub(crate) const SERVICE_PEER_NAME: &str = "service.peer.name";
pub(crate) const SERVICE_PEER_NAMESPACE: &str = "service.peer.namespace";
pub(crate) const SERVICE_VERSION: &str = "service.version";
pub(crate) const K8S_CLUSTER_NAME: &str = "k8s.cluster.name";
pub(crate) const K8S_DEPLOYMENT_NAME: &str = "k8s.deployment.name";
pub(crate) const K8S_NAMESPACE_NAME: &str = "k8s.namespace.name";
pub(crate) const K8S_NODE_NAME: &str = "k8s.node.name";
pub(crate) const K8S_POD_NAME: &str = "k8s.pod.name";

/// Milliseconds from the first byte of the request to the end of the stream, a double.
pub(crate) const DURATION_MS: &str = "spanmesh.duration_ms";
/// Why a span is there whose trace is not sampled: `error` or `slow`.
pub(crate) const KEPT: &str = "spanmesh.kept";
/// Envoy's details of the response, such as `via_upstream`.
pub(crate) const RESPONSE_CODE_DETAILS: &str = "spanmesh.response_code_details";
/// Envoy's response flags by their short names, separated by commas.
pub(crate) const RESPONSE_FLAGS: &str = "spanmesh.response_flags";
/// Envoy's name of the route, which is no template and so no `http.route`.
pub(crate) const ROUTE_NAME: &str = "spanmesh.route.name";
/// The upstream host, `address:port`.
pub(crate) const UPSTREAM_ADDRESS: &str = "spanmesh.upstream.address";
/// Envoy's name of the upstream cluster.
pub(crate) const UPSTREAM_CLUSTER: &str = "spanmesh.upstream.cluster";
/// Milliseconds from the first byte sent upstream to the last byte of the response, a double; of the
/// last attempt.
pub(crate) const UPSTREAM_DURATION_MS: &str = "spanmesh.upstream.duration_ms";
/// Whole milliseconds from the last byte of the request to the first of the upstream's response.
pub(crate) const UPSTREAM_FIRST_BYTE_MS: &str = "spanmesh.upstream.first_byte_ms";
/// How often Envoy sent the request upstream.
pub(crate) const UPSTREAM_ATTEMPTS: &str = "spanmesh.upstream.attempts";
/// Why the connection to the upstream host failed.
pub(crate) const UPSTREAM_TRANSPORT_FAILURE: &str = "spanmesh.upstream.transport_failure_reason";

/// The names of what is known of a workload on the other side of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerNames {
    /// Istio's canonical service.
    pub(crate) service: &'static str,
    pub(crate) namespace: &'static str,
    pub(crate) workload: &'static str,
    /// Istio's canonical revision.
    pub(crate) revision: &'static str,
    /// The Kubernetes cluster.
    pub(crate) cluster: &'static str,
    /// Who the peer is by its certificate.
    pub(crate) principal: &'static str,
}

/// Of the peer on the side that a record is about: of a SERVER the client, of a CLIENT the server.
pub(crate) const PEER: PeerNames = PeerNames {
    service: SERVICE_PEER_NAME,
    namespace: SERVICE_PEER_NAMESPACE,
    workload: "spanmesh.peer.workload",
    revision: "spanmesh.peer.revision",
    cluster: "spanmesh.peer.cluster",
    principal: "spanmesh.peer.principal",
};

/// Of the upstream, on a record that is about the client's side.
pub(crate) const UPSTREAM_PEER: PeerNames = PeerNames {
    service: "spanmesh.upstream.peer.service",
    namespace: "spanmesh.upstream.peer.namespace",
    workload: "spanmesh.upstream.peer.workload",
    revision: "spanmesh.upstream.peer.revision",
    cluster: "spanmesh.upstream.peer.cluster",
    principal: "spanmesh.upstream.peer.principal",
};

/// Of the client, on a record that is about the upstream's side.
pub(crate) const DOWNSTREAM_PEER: PeerNames = PeerNames {
    service: "spanmesh.downstream.peer.service",
    namespace: "spanmesh.downstream.peer.namespace",
    workload: "spanmesh.downstream.peer.workload",
    revision: "spanmesh.downstream.peer.revision",
    cluster: "spanmesh.downstream.peer.cluster",
    principal: "spanmesh.downstream.peer.principal",
};

/// Every attribute that a span or an access log record may have, but for captured ones and those
/// with names of our own.
const OF_RECORDS: &[&str] = &[
    CLIENT_ADDRESS,
    ERROR_TYPE,
    HTTP_REQUEST_BODY_SIZE,
    HTTP_REQUEST_METHOD,
    HTTP_REQUEST_METHOD_ORIGINAL,
    HTTP_REQUEST_RESEND_COUNT,
    HTTP_RESPONSE_BODY_SIZE,
    HTTP_RESPONSE_STATUS_CODE,
    HTTP_ROUTE,
    NETWORK_PEER_ADDRESS,
    NETWORK_PEER_PORT,
    NETWORK_PROTOCOL_VERSION,
    RPC_METHOD,
    RPC_RESPONSE_STATUS_CODE,
    RPC_SYSTEM_NAME,
    SERVER_ADDRESS,
    SERVER_PORT,
    URL_FULL,
    URL_PATH,
    URL_QUERY,
    URL_SCHEME,
    USER_AGENT_ORIGINAL,
    SERVICE_PEER_NAME,
    SERVICE_PEER_NAMESPACE,
];

/// Whether spans or access log records have an attribute of this name, or may get one.
pub(crate) fn is_of_records(name: &str) -> bool {
    name.starts_with("spanmesh.") || OF_RECORDS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every name here that is one of a record, and so neither of the resource nor our own.
    #[test]
    fn no_attribute_of_the_records_is_forgotten() {
        let source = include_str!("semconv.rs");
        let source = source.split("#[cfg(test)]").next().unwrap();
        let values = source.split(": &str =").skip(1);
        let names = values.filter_map(|rest| rest.split('"').nth(1));
        let is_other = |name: &str| {
            let others = ["https:", "spanmesh", "k8s."];
            others.iter().any(|it| name.starts_with(it))
                || (name.starts_with("service.") && !name.starts_with("service.peer."))
        };
        let names = names.filter(|name| !name.ends_with('.') && !is_other(name));
        let mut names: Vec<&str> = names.collect();
        let mut listed = OF_RECORDS.to_vec();
        names.sort_unstable();
        listed.sort_unstable();
        assert_eq!(names, listed);
    }
}
