//! Attribute names, in one place, with the version of the semantic conventions that they are from.
//!
//! Source: OpenTelemetry semantic conventions 1.44.0 (`docs/http/http-spans.md`,
//! `docs/rpc/grpc.md`, `docs/resource/`). The RPC names have moved three times; those here are of
//! 1.39 to 1.44. What has no name there has one of ours, `spanmesh.*`, documented in
//! `docs/filter.md`.

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

pub(crate) const SERVICE_INSTANCE_ID: &str = "service.instance.id";
pub(crate) const SERVICE_NAME: &str = "service.name";
pub(crate) const SERVICE_NAMESPACE: &str = "service.namespace";
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
/// Milliseconds from the last byte of the request sent upstream to the first of the response.
pub(crate) const UPSTREAM_LATENCY_MS: &str = "spanmesh.upstream.latency_ms";
/// Why the connection to the upstream host failed.
pub(crate) const UPSTREAM_TRANSPORT_FAILURE: &str = "spanmesh.upstream.transport_failure_reason";
