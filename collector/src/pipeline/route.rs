//! The way of a payload from the entrance of a pipeline to its destinations.

use std::fmt;
use std::sync::Arc;

use spanmesh_otlp::Signal;

use super::component::Processor;
use super::flow::{Flow, FlowTotals};
use super::limiter::Limiter;
use super::payload::Payload;
use super::queue::Lane;
use crate::telemetry::{Counter, Registry};

/// One pipeline, seen from its entrance.
#[derive(Clone, Debug)]
pub struct Route {
    /// What happens to each payload, in this order.
    pub steps: Vec<Step>,
    /// Where it goes.
    pub lanes: Vec<Lane>,
    /// The pipelines that it goes to through connectors.
    pub onward: Vec<Self>,
    /// What limits the memory that its payloads take up, if the configuration says so.
    pub limiter: Option<Limiter>,
    /// What flows through it.
    pub flow: Arc<Flow>,
}

/// A processor in its place.
#[derive(Clone)]
pub struct Step {
    processor: Arc<dyn Processor>,
    incoming: Counter,
    outgoing: Counter,
}

/// What became of a payload on all its routes. Nothing of it counts before it is settled: a client
/// that is refused sends the same payload again.
#[derive(Default)]
pub(super) struct Passage<'a> {
    /// What goes into which queue.
    pub(super) entries: Vec<(&'a Lane, Payload)>,
    flows: Vec<(&'a Route, FlowTotals)>,
    /// The processors that it went through, with the items before and after.
    counts: Vec<(&'a Step, u64, u64)>,
}

// === impl Route ===

impl Route {
    /// Sends a payload through the processors and on to wherever it goes.
    pub(super) fn send<'a>(&'a self, payload: Payload, passage: &mut Passage<'a>) {
        let mut flow = FlowTotals {
            received: payload.items(),
            ..FlowTotals::default()
        };
        let mut current = Some(payload);
        for step in &self.steps {
            let Some(payload) = current.take() else { break };
            let before = payload.items();
            let processed = step.processor.process(payload);
            flow.sampled_out += processed.sampled_out;
            flow.dropped += processed.dropped;
            current = processed.payload;
            let after = current.as_ref().map_or(0, Payload::items);
            passage.counts.push((step, before, after));
        }
        flow.handed_on = current.as_ref().map_or(0, Payload::items);
        passage.flows.push((self, flow));
        let Some(payload) = current else { return };
        let lanes = self.lanes.iter().map(|lane| (lane, payload.clone()));
        passage.entries.extend(lanes);
        for route in &self.onward {
            route.send(payload.clone(), passage);
        }
    }

    /// Payloads come from now on.
    pub(super) fn begin(&self) {
        self.lanes.iter().for_each(Lane::begin);
        self.onward.iter().for_each(Self::begin);
    }

    /// The strictest limiter of this pipeline and those behind it.
    pub(super) fn limiter(&self) -> Option<&Limiter> {
        let behind = self.onward.iter().filter_map(Self::limiter);
        behind
            .chain(&self.limiter)
            .min_by_key(|limiter| limiter.limits().hard)
    }

    /// Whether it leads to a queue on disk.
    pub(super) fn stores(&self) -> bool {
        self.lanes.iter().any(Lane::is_stored) || self.onward.iter().any(Self::stores)
    }

    /// Whether clients may have to wait for room in a queue.
    pub(super) fn waits(&self) -> bool {
        self.lanes.iter().any(Lane::waits) || self.onward.iter().any(Self::waits)
    }

    /// Accounts for items that will not come to any destination behind this pipeline.
    fn left_out(&self, signal: Signal, sampled_out: u64, dropped: u64) {
        for lane in &self.lanes {
            lane.left_out(signal, sampled_out, dropped);
        }
        for route in &self.onward {
            route.left_out(signal, sampled_out, dropped);
        }
    }
}

// === impl Step ===

impl Step {
    /// A processor without metrics.
    pub fn new(processor: Arc<dyn Processor>) -> Self {
        Self {
            processor,
            incoming: Counter::default(),
            outgoing: Counter::default(),
        }
    }

    /// The same with metrics under the processor's name in the configuration.
    #[must_use]
    pub fn counted(self, id: &str, signal: Signal, registry: &Registry) -> Self {
        let labels = [("processor", id), ("otel_signal", signal.name())];
        Self {
            incoming: registry.counter(
                "otelcol_processor_incoming_items",
                "Items that came to the processor.",
                &labels,
            ),
            outgoing: registry.counter(
                "otelcol_processor_outgoing_items",
                "Items that went on from the processor.",
                &labels,
            ),
            ..self
        }
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step").finish_non_exhaustive()
    }
}

// === impl Passage ===

impl Passage<'_> {
    /// How many bytes of memory the entries take up; those that share a payload do so once.
    pub(super) fn memory(&self) -> u64 {
        let mut seen = Vec::new();
        let mut memory = 0;
        for (_, payload) in &self.entries {
            let place = payload.bytes().as_ptr();
            if !seen.contains(&place) {
                seen.push(place);
                memory += payload.memory();
            }
        }
        memory
    }

    /// Accounts for what the processors did.
    pub(super) fn settle(self, signal: Signal) {
        for (route, items) in self.flows {
            route.flow.add(items);
            if items.sampled_out + items.dropped > 0 {
                route.left_out(signal, items.sampled_out, items.dropped);
            }
        }
        for (step, before, after) in self.counts {
            step.incoming.add(before);
            step.outgoing.add(after);
        }
    }
}
