//! What the collector says when it stops.

use std::fmt::Write as _;

use spanmesh_otlp::Signal;
use tracing::{info, warn};

use crate::pipeline::{DropReason, FlowTotals, Layout, Totals};

/// Where everything went that the collector ever took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FinalAccount {
    /// By destination and signal; only those that something was taken for.
    pub destinations: Vec<(String, Signal, Totals)>,
    /// By pipeline; only those that something came into.
    pub pipelines: Vec<(String, Signal, FlowTotals)>,
    /// Items that receivers took. Each is accepted once by every destination of its pipelines.
    pub received: u64,
    /// Items that receivers told their clients to keep for the moment.
    pub refused: u64,
}

// === impl FinalAccount ===

impl FinalAccount {
    /// The sums over all destinations and signals.
    pub fn totals(&self) -> Totals {
        let mut sums = Totals::default();
        for (_, _, totals) in &self.destinations {
            sums.accepted += totals.accepted;
            sums.recovered += totals.recovered;
            sums.sent += totals.sent;
            sums.sampled_out += totals.sampled_out;
            sums.queued += totals.queued;
            for (reason, items) in &totals.dropped {
                match sums.dropped.iter_mut().find(|(other, _)| other == reason) {
                    Some((_, sum)) => *sum += items,
                    None => sums.dropped.push((*reason, *items)),
                }
            }
        }
        sums
    }

    /// Writes a line for every pipeline and destination and one for the sum into the log, and warns of what the
    /// stop itself has cost. `layout` tells which pipelines lead to a destination.
    pub(super) fn log(&self, layout: &Layout) {
        for (pipeline, signal, flow) in &self.pipelines {
            let FlowTotals {
                received,
                handed_on,
                sampled_out,
                dropped,
            } = flow;
            info!(
                pipeline,
                signal = signal.name(),
                received,
                handed_on,
                sampled_out,
                dropped,
                "account of a pipeline: received = handed_on + sampled_out + dropped"
            );
        }
        for (exporter, signal, totals) in &self.destinations {
            let signal = signal.name();
            let items = totals.dropped_for(DropReason::Shutdown);
            if items > 0 {
                warn!(
                    exporter,
                    signal, items, "dropped: not delivered when the time to stop was over"
                );
            }
            let Totals {
                accepted,
                recovered,
                sent,
                sampled_out,
                queued,
                ..
            } = totals;
            info!(
                pipelines = pipelines(layout, exporter, signal),
                exporter,
                signal,
                accepted,
                recovered,
                sent,
                sampled_out,
                dropped = totals.dropped_total(),
                reasons = reasons(totals),
                queued,
                "account of a destination: accepted + recovered = sent + sampled_out + dropped + \
                 queued"
            );
        }
        let totals = self.totals();
        info!(
            received = self.received,
            refused = self.refused,
            accepted = totals.accepted,
            recovered = totals.recovered,
            sent = totals.sent,
            sampled_out = totals.sampled_out,
            dropped = totals.dropped_total(),
            reasons = reasons(&totals),
            queued = totals.queued,
            "account"
        );
    }
}

/// The pipelines of a signal that lead to an exporter, as in `traces, traces/audit`.
fn pipelines(layout: &Layout, exporter: &str, signal: &str) -> String {
    let pipelines = layout.pipelines.iter();
    let pipelines = pipelines
        .filter(|one| one.signal == signal && one.exporters.iter().any(|id| id == exporter))
        .map(|one| one.name.as_str());
    pipelines.collect::<Vec<_>>().join(", ")
}

/// Why items were dropped, as in `queue_full 10, shutdown 2`; empty if none were.
fn reasons(totals: &Totals) -> String {
    let mut text = String::new();
    for (index, (reason, items)) in totals.dropped.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(text, "{separator}{} {items}", reason.name());
    }
    text
}
