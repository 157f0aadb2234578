//! Who emits: the resource, from the configuration and from what Envoy knows of its node.
//!
//! Source: semantic conventions 1.44.0, `docs/resource/`, and Istio's node metadata (`pkg/model`,
//! `NodeMetadata`). The configuration wins over `OTEL_RESOURCE_ATTRIBUTES`, and both win over the
//! node. Outside Istio the node has no such metadata, and its cluster names the service.

use spanmesh_otlp::encode::{
    put_bool_attribute, put_bytes, put_double_attribute, put_int_attribute, put_string_attribute,
};

use crate::config::{AttributeValue, Config};
use crate::host::Host;
use crate::record::text;
use crate::semconv;

/// `Resource.attributes`.
const ATTRIBUTES: u32 = 1;
/// What the conventions prescribe where nobody knows a name.
const UNKNOWN_SERVICE: &str = "unknown_service:envoy";
/// Where the kind and the name of the owner begin in Istio's OWNER, such as
/// `kubernetes://apis/apps/v1/namespaces/shop/deployments/cart`.
const DEPLOYMENTS: &str = "/deployments/";
/// So much of a text of the node is used, in bytes: more than any name in Kubernetes has, and
/// little beside a batch, each of which carries the resource.
const MAX_NODE_TEXT: usize = 1024;

/// How the ids of Istio's nodes begin.
const ISTIO_PROXIES: [&str; 3] = [SIDECAR, GATEWAY, WAYPOINT];
const SIDECAR: &str = "sidecar~";
const GATEWAY: &str = "router~";
const WAYPOINT: &str = "waypoint~";

/// The attributes of the resource, each key once.
#[derive(Debug, Default)]
pub(crate) struct Resource {
    attributes: Vec<(String, AttributeValue)>,
}

impl Resource {
    /// Gathers the attributes.
    #[inline(never)]
    pub(crate) fn new(host: &impl Host, config: &Config) -> Self {
        let mut resource = Self::default();
        resource.set_text(semconv::SERVICE_NAME, config.service.name.clone());
        resource.set_text(semconv::SERVICE_NAMESPACE, config.service.namespace.clone());
        resource.set_text(semconv::SERVICE_VERSION, config.service.version.clone());
        // The last of several values for one key is the document's.
        for (key, value) in config.resource_attributes.iter().rev() {
            resource.set(key, value.clone());
        }
        resource.add_node(host);
        resource.set_text(semconv::SERVICE_NAME, Some(UNKNOWN_SERVICE.to_owned()));
        resource
    }

    /// The encoded `Resource` message.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (key, value) in &self.attributes {
            match value {
                AttributeValue::String(text) => {
                    put_string_attribute(&mut out, ATTRIBUTES, key, text.as_bytes());
                }
                AttributeValue::Bool(value) => {
                    put_bool_attribute(&mut out, ATTRIBUTES, key, *value);
                }
                AttributeValue::Int(value) => put_int_attribute(&mut out, ATTRIBUTES, key, *value),
                AttributeValue::Double(value) => {
                    put_double_attribute(&mut out, ATTRIBUTES, key, *value);
                }
            }
        }
        out
    }

    fn add_node(&mut self, host: &impl Host) {
        let metadata = |name| node(host, &["metadata", name]);
        let label = |name| node(host, &["metadata", "LABELS", name]);
        let annotation = |name| node(host, &["metadata", "ANNOTATIONS", name]);
        let name = annotation("resource.opentelemetry.io/service.name")
            .or_else(|| label("service.istio.io/canonical-name"))
            .or_else(|| label("app.kubernetes.io/name"))
            .or_else(|| label("app"))
            .or_else(|| metadata("WORKLOAD_NAME"))
            .or_else(|| node(host, &["cluster"]));
        let version = label("service.istio.io/canonical-revision")
            .or_else(|| label("app.kubernetes.io/version"));
        let (pod, namespace) = (metadata("NAME"), metadata("NAMESPACE"));
        let instance = match (&namespace, &pod, metadata("APP_CONTAINERS")) {
            // The conventions want the container; of several only the pod is certain.
            (Some(namespace), Some(pod), Some(container)) if !container.contains(',') => {
                Some(format!("{namespace}.{pod}.{container}"))
            }
            (Some(namespace), Some(pod), _) => Some(format!("{namespace}.{pod}")),
            _ => node(host, &["id"]),
        };
        let deployment = metadata("OWNER").and_then(|owner| {
            owner
                .rsplit_once(DEPLOYMENTS)
                .map(|(_, name)| name.to_owned())
        });
        self.set_text(semconv::SERVICE_NAME, name);
        self.set_text(semconv::SERVICE_NAMESPACE, namespace.clone());
        self.set_text(semconv::SERVICE_VERSION, version);
        self.set_text(semconv::SERVICE_INSTANCE_ID, instance);
        self.set_text(semconv::K8S_NAMESPACE_NAME, namespace);
        self.set_text(semconv::K8S_POD_NAME, pod);
        self.set_text(semconv::K8S_DEPLOYMENT_NAME, deployment);
        self.set_text(semconv::K8S_CLUSTER_NAME, metadata("CLUSTER_ID"));
        self.set_text(semconv::K8S_NODE_NAME, metadata("NODE_NAME"));
    }

    fn set_text(&mut self, key: &str, value: Option<String>) {
        if let Some(value) = value {
            self.set(key, AttributeValue::String(value));
        }
    }

    /// Sets an attribute that has no value so far.
    fn set(&mut self, key: &str, value: AttributeValue) {
        if self.attributes.iter().all(|(found, _)| found != key) {
            self.attributes.push((key.to_owned(), value));
        }
    }
}

/// The encoded `InstrumentationScope` message.
pub(crate) fn scope() -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, 1, semconv::SCOPE_NAME.as_bytes());
    put_bytes(&mut out, 2, env!("CARGO_PKG_VERSION").as_bytes());
    out
}

/// Whether the node is one of Istio's gateways, which it says at the head of its id.
pub(crate) fn is_gateway(host: &impl Host) -> bool {
    node(host, &["id"]).is_some_and(|id| id.starts_with(GATEWAY))
}

/// Whether Istio's agent started the node: its ids begin with the kind of the proxy.
pub(crate) fn is_istio(host: &impl Host) -> bool {
    node(host, &["id"]).is_some_and(|id| ISTIO_PROXIES.iter().any(|kind| id.starts_with(kind)))
}

/// Whether the node is one of Istio's waypoints.
pub(crate) fn is_waypoint(host: &impl Host) -> bool {
    node(host, &["id"]).is_some_and(|id| id.starts_with(WAYPOINT))
}

/// Text of the node, by its path; before Envoy 1.33 the node stood at the top.
fn node(host: &impl Host, path: &[&str]) -> Option<String> {
    let at = |root: &[&str]| host.property(&[root, path].concat());
    let value = at(&["xds", "node"]).or_else(|| at(&["node"]))?;
    let text = text(&value, MAX_NODE_TEXT);
    (!text.is_empty()).then(|| text.into_owned())
}

#[cfg(test)]
mod tests;
