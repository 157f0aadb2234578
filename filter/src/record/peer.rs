//! Who is on the other side: Istio's workloads, and the names in certificates.
//!
//! Source: semantic conventions 1.44.0, `docs/registry/attributes/service.md`: `service.peer.*` name
//! what `service.*` name in the resource of the other side. Both are of level Development; for the
//! rest of a peer there is no name.

use super::{AttributeWriter, Record, Side};
use crate::semconv::{self, PeerNames};
use crate::stream::Peer;

/// What is known of one side, and of nothing else than that side.
type Known<'a> = (Peer<'a>, &'a [u8]);

impl<'a> Record<'a> {
    /// The peer on the side that the record is about.
    pub(super) fn write_peer(&self, writer: &mut AttributeWriter<'_>) {
        let known = match self.side {
            Side::Server => self.downstream(),
            Side::Client => self.upstream(),
        };
        write(&semconv::PEER, known, writer);
    }

    /// The peer on the other side, which gateways and waypoints know too.
    pub(super) fn write_other_peer(&self, writer: &mut AttributeWriter<'_>) {
        match self.side {
            Side::Server => write(&semconv::UPSTREAM_PEER, self.upstream(), writer),
            Side::Client => write(&semconv::DOWNSTREAM_PEER, self.downstream(), writer),
        }
    }

    fn downstream(&self) -> Known<'a> {
        let attributes = self.attributes;
        (attributes.downstream_peer, attributes.downstream_principal)
    }

    fn upstream(&self) -> Known<'a> {
        let attributes = self.attributes;
        (attributes.upstream_peer, attributes.upstream_principal)
    }
}

fn write(names: &PeerNames, (peer, principal): Known<'_>, writer: &mut AttributeWriter<'_>) {
    writer.text_if(names.service, peer.service);
    writer.text_if(names.namespace, peer.namespace);
    writer.text_if(names.workload, peer.workload);
    writer.text_if(names.revision, peer.revision);
    writer.text_if(names.cluster, peer.cluster);
    writer.text_if(names.principal, principal);
}

#[cfg(test)]
mod tests;
