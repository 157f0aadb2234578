//! The workload on the other side of a connection, as Istio's proxy knows it.
//!
//! Istio's peer metadata filter leaves two objects for each side in the filter state:
//! - since 1.29 `downstream_peer_obj` and `upstream_peer_obj`, whose fields CEL reads cheaply. They
//!   are asked for as a list, in the order of [`FIELDS`]; each field is there, or empty;
//! - since 1.25 `downstream_peer` and `upstream_peer`, a protobuf `Struct`, which CEL can only read
//!   by parsing it again at each access. So it is asked for as a whole, and arrives as a map; what is
//!   empty is not in it.
//!
//! Both arrive in the layout of [`pairs`](crate::pairs). Where there is no peer, neither is there:
//! Istio then sets a key of another name, `peer_not_found`.
//!
//! Source: istio/proxy, `extensions/common/metadata_object.cc` and
//! `source/extensions/filters/http/peer_metadata/filter.cc`, releases 1.23 to 1.30, and Envoy's
//! `contrib/istio` thereafter. Left out: Istio 1.24, which has the fields under the older name, and
//! the FlatBuffers of 1.23 and before.

use crate::pairs::Iter;

/// Istio's names of the fields, in the order of the list that the expression asks for.
pub(super) const FIELDS: [&str; 5] = ["workload", "namespace", "service", "revision", "cluster"];

/// A workload of the mesh. What is unknown is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peer<'a> {
    /// The workload, such as the name of a Deployment.
    pub(crate) workload: &'a [u8],
    pub(crate) namespace: &'a [u8],
    /// Istio's canonical service.
    pub(crate) service: &'a [u8],
    /// Its canonical revision.
    pub(crate) revision: &'a [u8],
    /// The id of the Kubernetes cluster.
    pub(crate) cluster: &'a [u8],
}

impl<'a> Peer<'a> {
    /// Decodes either form; of other bytes there is nothing to know.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let fields = Iter::new(bytes);
        // The values of a list are empty, a map has one at least that is not.
        let is_map = fields.clone().any(|(_, value)| !value.is_empty());
        let mut found = [b"".as_slice(); FIELDS.len()];
        if is_map {
            for (name, value) in fields {
                let place = FIELDS.iter().position(|field| field.as_bytes() == name);
                if let Some(place) = place.and_then(|at| found.get_mut(at)) {
                    *place = value;
                }
            }
        } else {
            for (place, (value, _)) in found.iter_mut().zip(fields) {
                *place = value;
            }
        }
        let [workload, namespace, service, revision, cluster] = found;
        Self {
            workload,
            namespace,
            service,
            revision,
            cluster,
        }
    }
}

#[cfg(test)]
mod tests;
