//! What becomes of what clients send.

use super::growth;
use crate::doctor::Observation;
use crate::doctor::report::Finding;

/// Items that clients were told to send again.
pub(super) fn refused(seen: &Observation) -> impl Iterator<Item = Finding> {
    let prefix = "otelcol_receiver_refused_";
    let refused = seen.now.beginning(prefix);
    refused.filter(|sample| sample.value > 0.0).map(move |sample| {
        let (id, transport) = (sample.label("receiver"), sample.label("transport"));
        let items = sample.name_after(prefix).replace('_', " ");
        let grown = growth(seen, sample);
        if grown > 0.0 {
            return Finding::problem(
                format!("receiver {id:?} ({transport}) refuses: {grown} {items} just now"),
                "It has no room: a destination that fails or is too slow has filled its queue, or the memory \
                 budget is used up. Clients send again, but not for ever. See to the destination, or give \
                 the collector more memory or more replicas",
            );
        }
        Finding::note(
            format!(
                "receiver {id:?} ({transport}) has refused {} {items} since it started, none just now",
                sample.value
            ),
            "Clients were told to send them again; whether they did, their own counters say",
        )
    })
}

/// Requests that were not taken, and of which nobody knows what was in them.
pub(super) fn rejected(seen: &Observation) -> impl Iterator<Item = Finding> {
    let rejected = seen.now.of("spanmesh_receiver_rejected_requests");
    rejected.filter(|sample| sample.value > 0.0).map(|sample| {
        let (id, transport) = (sample.label("receiver"), sample.label("transport"));
        let reason = sample.label("reason");
        let grown = growth(seen, sample);
        let count = format!(
            "receiver {id:?} ({transport}) has rejected {} requests ({reason}), {grown} of them just now",
            sample.value
        );
        let advice = match reason {
            "malformed" => "Some client sends what is not OTLP; the answers that it gets say where",
            "too_large" => {
                "Some client sends requests above the limit (max_recv_msg_size_mib, \
                 max_request_body_size); let it send smaller batches"
            }
            "overloaded" => {
                "The memory budget was used up. See to destinations that do not keep up, or give the \
                 collector more memory or more replicas"
            }
            "unauthenticated" => "Some client lacks the credentials that the receiver's auth demands",
            _ => "The collector's log says more about it",
        };
        match grown > 0.0 {
            true => Finding::problem(count, advice),
            false => Finding::note(count, advice),
        }
    })
}
