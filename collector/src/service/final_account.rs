//! What the collector says when it stops.

use std::fmt::Write as _;

use spanmesh_otlp::Signal;
use tracing::info;

use crate::pipeline::Totals;

/// Where everything went that the collector ever took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FinalAccount {
    /// By destination and signal; only those that something was taken for.
    pub destinations: Vec<(String, Signal, Totals)>,
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

    /// Writes a line for every destination and one for the sum into the log.
    pub(super) fn log(&self) {
        for (exporter, signal, totals) in &self.destinations {
            let Totals {
                accepted,
                recovered,
                sent,
                sampled_out,
                queued,
                ..
            } = totals;
            let dropped = dropped_text(totals);
            info!(
                exporter,
                signal = signal.name(),
                accepted,
                recovered,
                sent,
                sampled_out,
                dropped,
                queued,
                "account of a destination"
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
            dropped = dropped_text(&totals),
            queued = totals.queued,
            "account"
        );
    }
}

/// `0`, or the sum with its parts: `12 (queue_full 10, shutdown 2)`.
fn dropped_text(totals: &Totals) -> String {
    let mut text = totals.dropped_total().to_string();
    for (index, (reason, items)) in totals.dropped.iter().enumerate() {
        let separator = if index == 0 { " (" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(text, "{separator}{} {items}", reason.name());
    }
    if !totals.dropped.is_empty() {
        text.push(')');
    }
    text
}
