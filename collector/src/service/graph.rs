//! The pipelines of a running collector, wired.

use std::collections::BTreeMap;
use std::sync::Arc;

use spanmesh_otlp::Signal;

use super::plan::Pipeline;
use crate::config::ComponentId;
use crate::pipeline::{
    Batching, BuildContext, ConnectorConfig, Destination, ProcessorConfig, Route, Stage, Step,
};
use crate::telemetry::Registry;

/// See the module.
pub(super) struct Graph {
    nodes: Vec<Node>,
    connectors: BTreeMap<ComponentId, Box<dyn ConnectorConfig>>,
    destinations: BTreeMap<ComponentId, Arc<Destination>>,
    registry: Registry,
}

/// One pipeline with its processors.
struct Node {
    pipeline: Pipeline,
    steps: Vec<Step>,
    batching: Option<Batching>,
}

// === impl Graph ===

impl Graph {
    pub(super) fn build(
        pipelines: Vec<Pipeline>,
        processors: &BTreeMap<ComponentId, Box<dyn ProcessorConfig>>,
        connectors: BTreeMap<ComponentId, Box<dyn ConnectorConfig>>,
        destinations: BTreeMap<ComponentId, Arc<Destination>>,
        registry: &Registry,
    ) -> Self {
        let nodes = pipelines.into_iter();
        Self {
            nodes: nodes
                .map(|pipeline| Node::build(pipeline, processors, registry))
                .collect(),
            connectors,
            destinations,
            registry: registry.clone(),
        }
    }

    /// The pipelines of a signal that take from a receiver.
    pub(super) fn routes(&self, receiver: &ComponentId, signal: Signal) -> Vec<Route> {
        let nodes = self.nodes.iter().filter(|node| {
            node.pipeline.signal == signal && node.pipeline.receivers.contains(receiver)
        });
        nodes.map(|node| self.route(node, None)).collect()
    }

    /// A pipeline as seen from its entrance. What pipelines before it say of batches holds until a
    /// later one says otherwise.
    fn route(&self, node: &Node, batching: Option<Batching>) -> Route {
        let signal = node.pipeline.signal;
        let batching = node.batching.or(batching);
        let mut lanes = Vec::new();
        let mut onward = Vec::new();
        for id in &node.pipeline.exporters {
            if let Some(destination) = self.destinations.get(id) {
                lanes.push(destination.lane(signal, batching));
            }
            let Some(connector) = self.connectors.get(id) else {
                continue;
            };
            let context = context(id, &self.registry);
            for next in &self.nodes {
                let is_behind = next.pipeline.receivers.contains(id);
                if is_behind && connector.connects(signal, next.pipeline.signal) {
                    let mut route = self.route(next, batching);
                    route.steps.insert(0, Step::new(connector.build(&context)));
                    onward.push(route);
                }
            }
        }
        Route {
            steps: node.steps.clone(),
            lanes,
            onward,
        }
    }
}

// === impl Node ===

impl Node {
    fn build(
        pipeline: Pipeline,
        configs: &BTreeMap<ComponentId, Box<dyn ProcessorConfig>>,
        registry: &Registry,
    ) -> Self {
        let mut node = Self {
            pipeline,
            steps: Vec::new(),
            batching: None,
        };
        let signal = node.pipeline.signal;
        for id in &node.pipeline.processors {
            let Some(config) = configs.get(id) else {
                continue;
            };
            match config.build(&context(id, registry), signal) {
                Stage::Process(processor) => {
                    let step = Step::new(processor).counted(&id.to_string(), signal, registry);
                    node.steps.push(step);
                }
                Stage::Batch(options) => node.batching = Some(options),
            }
        }
        node
    }
}

fn context(id: &ComponentId, registry: &Registry) -> BuildContext {
    BuildContext {
        id: id.to_string(),
        registry: registry.clone(),
    }
}
