//! What became of the items that came into one pipeline.
//!
//! received = handed on + sampled out + dropped, by its processors. What is handed on goes to every
//! exporter of the pipeline, where the account of the destination goes on, and through every connector
//! to the pipelines behind it, which receive it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use spanmesh_otlp::Signal;

use crate::telemetry::Registry;

/// See the module.
#[derive(Debug, Default)]
pub struct Flow(Mutex<FlowTotals>);

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
    pub(super) fn new(pipeline: &str, signal: Signal, registry: &Registry) -> Arc<Self> {
        let flow = Arc::new(Self::default());
        let labels = [("pipeline", pipeline), ("signal", signal.name())];
        // All series of one reading come from one look at the flow, so that they balance.
        let snapshot = Arc::new(Mutex::new(FlowTotals::default()));
        let (source, target) = (flow.clone(), snapshot.clone());
        registry.before_reading(move || *lock(&target) = source.totals());
        let counter = |name, help, value: fn(FlowTotals) -> u64| {
            let snapshot = snapshot.clone();
            let read = move || value(*lock(&snapshot)) as f64;
            registry.counter_from(name, help, &labels, read);
        };
        counter(
            "spanmesh_pipeline_received_items",
            "Items that came into the pipeline; equals handed on + sampled out + dropped.",
            |items| items.received,
        );
        counter(
            "spanmesh_pipeline_handed_on_items",
            "Items that the pipeline handed on to each of its exporters and connectors.",
            |items| items.handed_on,
        );
        counter(
            "spanmesh_pipeline_sampled_out_items",
            "Items that processors of the pipeline left out on purpose.",
            |items| items.sampled_out,
        );
        counter(
            "spanmesh_pipeline_dropped_items",
            "Items that processors of the pipeline dropped.",
            |items| items.dropped,
        );
        flow
    }

    pub(super) fn add(&self, items: FlowTotals) {
        let mut totals = lock(&self.0);
        totals.received += items.received;
        totals.handed_on += items.handed_on;
        totals.sampled_out += items.sampled_out;
        totals.dropped += items.dropped;
    }

    /// What has flowed so far.
    pub fn totals(&self) -> FlowTotals {
        *lock(&self.0)
    }
}

/// Nothing that holds the lock can panic.
fn lock(totals: &Mutex<FlowTotals>) -> MutexGuard<'_, FlowTotals> {
    totals.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metrics_balance_while_items_flow() {
        let registry = Registry::default();
        let flow = Flow::new("traces", Signal::Traces, &registry);
        let payload = FlowTotals {
            received: 6,
            handed_on: 3,
            sampled_out: 2,
            dropped: 1,
        };
        // Its name stands between those of the flow, so that it is read in the midst of them.
        registry.gauge("spanmesh_pipeline_k", "Lets items flow.", &[], move || {
            flow.add(payload);
            0.0
        });
        for expected in [0.0, 6.0] {
            let reading = registry.read();
            let sum = |name: &'static str| {
                let labels = [("pipeline", "traces"), ("signal", "traces")];
                reading.sum(name, &labels).unwrap()
            };
            let parts = [
                "spanmesh_pipeline_handed_on_items",
                "spanmesh_pipeline_sampled_out_items",
                "spanmesh_pipeline_dropped_items",
            ];
            assert_eq!(sum("spanmesh_pipeline_received_items"), expected);
            assert_eq!(parts.map(sum).iter().sum::<f64>(), expected);
        }
    }
}
