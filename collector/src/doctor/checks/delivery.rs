//! What becomes of what was accepted.

use std::collections::BTreeSet;

use super::growth;
use crate::doctor::Observation;
use crate::doctor::exposition::{Metrics, Sample};
use crate::doctor::report::Finding;

const DROPPED: &str = "spanmesh_account_dropped_items";

/// Destinations that do not take what they get.
pub(super) fn failing(seen: &Observation) -> impl Iterator<Item = Finding> {
    let failing = seen.now.of("spanmesh_exporter_failing");
    failing.filter(|sample| sample.value > 0.0).map(|sample| {
        let id = sample.label("exporter");
        let why = match seen.queues.iter().find(|queue| queue.exporter == id) {
            Some(queue) if !queue.message.is_empty() => {
                format!(" since {}: {}", queue.since, queue.message)
            }
            _ => "; its log and zpages say why".to_owned(),
        };
        Finding::problem(
            format!("the destination of exporter {id:?} does not take what it gets{why}"),
            "See that its endpoint is right, runs and can be reached from the collector, and that TLS and \
             credentials are what it expects. Until then data waits in the queue, as long as that has room \
             and retry_on_failure allows",
        )
    })
}

/// Items that were accepted and are lost.
pub(super) fn dropped(seen: &Observation) -> impl Iterator<Item = Finding> {
    let dropped = seen.now.of(DROPPED).filter(|sample| sample.value > 0.0);
    dropped.map(|sample| {
        let (id, signal) = (sample.label("exporter"), sample.label("signal"));
        let reason = sample.label("reason");
        let what = format!(
            "exporter {id:?} has dropped {} items of {signal} ({reason})",
            sample.value
        );
        match growth(seen, sample) {
            // What is over cannot be mended, and alerts have told of it.
            0.0 => Finding::note(format!("{what}, none of them just now"), remedy(reason)),
            grown => Finding::problem(format!("{what}, {grown} of them just now"), remedy(reason)),
        }
    })
}

/// What helps against a loss.
fn remedy(reason: &str) -> &'static str {
    match reason {
        "queue_full" => {
            "The queue had no room while another destination's had. Make the destination faster or the \
             queue larger (sending_queue.queue_size), or keep it on disk (sending_queue.storage)"
        }
        "rejected" | "refused_by_destination" => {
            "The destination refused them for good; the collector's log has its words. See that it takes \
             this signal, and what its limits are"
        }
        "retries_exhausted" => {
            "The destination did not take them in time. Raise retry_on_failure.max_elapsed_time (0: for \
             ever), and keep the queue on disk (sending_queue.storage) if it is away for long"
        }
        "too_large" => "Single items are larger than the destination allows; raise its limit",
        "storage_failed" => {
            "The disk did not take them. See that the volume of file_storage has room and can be written to"
        }
        "storage_corrupt" => {
            "What the disk gave back was damaged. Look for errors of the disk in the kernel's log"
        }
        "shutdown" => {
            "They were not delivered when a former configuration had to end. Give it more time \
             (--drain-timeout), or keep queues on disk (sending_queue.storage)"
        }
        "lost" => "This is a defect of the collector; please report it with the log",
        _ => "The collector's log says more about it",
    }
}

/// Accounts in which something is missing: a defect.
pub(super) fn unbalanced(metrics: &Metrics) -> Vec<Finding> {
    let key = |sample: &Sample| {
        let (id, signal) = (sample.label("exporter"), sample.label("signal"));
        (id.to_owned(), signal.to_owned())
    };
    let accounts: BTreeSet<_> = metrics
        .of("spanmesh_account_accepted_items")
        .map(key)
        .collect();
    let mut findings = Vec::new();
    for (id, signal) in accounts {
        let labels = [("exporter", id.as_str()), ("signal", signal.as_str())];
        let of = |what: &str| {
            let name = format!("spanmesh_account_{what}_items");
            metrics.sum(&name, &labels).unwrap_or_default()
        };
        let came = of("accepted") + of("recovered");
        let went = of("sent") + of("sampled_out") + of("dropped") + of("queued");
        if came != went {
            findings.push(Finding::problem(
                format!(
                    "the account of exporter {id:?} for {signal} is not balanced: {came} came, and \
                     {went} are accounted for"
                ),
                "This is a defect of the collector; please report it with the log and the metrics",
            ));
        }
    }
    findings
}
