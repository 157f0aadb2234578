//! What became of the items that came into one pipeline.
//!
//! received = handed on + sampled out + dropped, by its processors. What is handed on goes to every
//! exporter of the pipeline, where the account of the destination goes on, and through every connector
//! to the pipelines behind it, which receive it.

use spanmesh_otlp::Signal;

use crate::telemetry::{Counter, Registry};

/// See the module.
#[derive(Debug, Default)]
pub struct Flow {
    received: Counter,
    handed_on: Counter,
    sampled_out: Counter,
    dropped: Counter,
}

/// The items of one pipeline, at one moment or of one payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowTotals {
    /// Those that came in, with requests that were taken.
    pub received: u64,
    /// Those that came out.
    pub handed_on: u64,
    /// Left out by processors on purpose.
    pub sampled_out: u64,
    /// Left out by processors for any other reason.
    pub dropped: u64,
}

// === impl Flow ===

impl Flow {
    /// The flow of a pipeline, exported as metrics.
    pub(super) fn new(pipeline: &str, signal: Signal, registry: &Registry) -> Self {
        let labels = [("pipeline", pipeline), ("signal", signal.name())];
        Self {
            received: registry.counter(
                "spanmesh_pipeline_received_items",
                "Items that came into the pipeline; equals handed on + sampled out + dropped.",
                &labels,
            ),
            handed_on: registry.counter(
                "spanmesh_pipeline_handed_on_items",
                "Items that the pipeline handed on to each of its exporters and connectors.",
                &labels,
            ),
            sampled_out: registry.counter(
                "spanmesh_pipeline_sampled_out_items",
                "Items that processors of the pipeline left out on purpose.",
                &labels,
            ),
            dropped: registry.counter(
                "spanmesh_pipeline_dropped_items",
                "Items that processors of the pipeline dropped.",
                &labels,
            ),
        }
    }

    pub(super) fn add(&self, items: FlowTotals) {
        self.received.add(items.received);
        self.handed_on.add(items.handed_on);
        self.sampled_out.add(items.sampled_out);
        self.dropped.add(items.dropped);
    }

    /// What has flowed so far.
    pub fn totals(&self) -> FlowTotals {
        FlowTotals {
            received: self.received.get(),
            handed_on: self.handed_on.get(),
            sampled_out: self.sampled_out.get(),
            dropped: self.dropped.get(),
        }
    }
}
