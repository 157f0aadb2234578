//! The pipelines of a running collector, wired.

use std::collections::BTreeMap;
use std::sync::Arc;

use spanmesh_otlp::Signal;

use super::plan::Pipeline;
use crate::config::ComponentId;
use crate::pipeline::{
    BatchMetrics, Batching, Budget, BuildContext, ConnectorConfig, Destination, Flow, Grouping,
    Limiter, Pressure, ProcessorConfig, Route, Stage, Step,
};

/// See the module.
pub(super) struct Graph {
    nodes: Vec<Node>,
    connectors: BTreeMap<ComponentId, Box<dyn ConnectorConfig>>,
    context: BuildContext,
}

/// The destinations of all pipelines, by the names of their exporters.
pub(super) type Destinations = BTreeMap<ComponentId, Arc<Destination>>;

/// One pipeline with its processors.
struct Node {
    pipeline: Pipeline,
    steps: Vec<Step>,
    batching: Option<BatchRule>,
    limiter: Option<Limiter>,
    flow: Arc<Flow>,
}

/// What the `batch` processor of a pipeline says.
struct BatchRule {
    batching: Batching,
    grouping: Option<Grouping>,
    metrics: Arc<BatchMetrics>,
}

// === impl Graph ===

impl Graph {
    pub(super) fn build(
        pipelines: Vec<Pipeline>,
        processors: &BTreeMap<ComponentId, Box<dyn ProcessorConfig>>,
        connectors: BTreeMap<ComponentId, Box<dyn ConnectorConfig>>,
        context: BuildContext,
    ) -> Self {
        let nodes = pipelines.into_iter();
        Self {
            nodes: nodes
                .map(|pipeline| Node::build(pipeline, processors, &context))
                .collect(),
            connectors,
            context,
        }
    }

    /// How much memory the payloads of all pipelines may take up: what the most generous one allows.
    /// Those without a limiter allow `default`.
    pub(super) fn memory_limit(&self, default: u64) -> u64 {
        let limits = self.nodes.iter().map(|node| {
            let limiter = node.limiter.as_ref();
            limiter.map_or(default, |limiter| limiter.limits().hard)
        });
        limits.max().unwrap_or(default)
    }

    /// What leads to an exporter, also through connectors: the signals, and the batches that the
    /// pipelines on the way ask for.
    pub(super) fn feeds(&self, exporter: &ComponentId) -> Vec<(Signal, Option<Batching>)> {
        let mut feeds = Vec::new();
        for node in &self.nodes {
            let mut receivers = node.pipeline.receivers.iter();
            if receivers.any(|id| !self.connectors.contains_key(id)) {
                self.follow(node, None, exporter, &mut feeds);
            }
        }
        feeds
    }

    /// Adds what leads to an exporter from a pipeline, before which `before` was said of batches.
    fn follow(
        &self,
        node: &Node,
        before: Option<&BatchRule>,
        exporter: &ComponentId,
        feeds: &mut Vec<(Signal, Option<Batching>)>,
    ) {
        let rule = node.batching.as_ref().or(before);
        for id in &node.pipeline.exporters {
            if id == exporter {
                feeds.push((node.pipeline.signal, rule.map(|rule| rule.batching)));
            }
            for (next, _) in self.behind(id, node.pipeline.signal) {
                self.follow(next, rule, exporter, feeds);
            }
        }
    }

    /// The pipelines that the connector of this name leads to from one of a signal; none if it is no
    /// connector.
    fn behind<'a>(
        &'a self,
        id: &'a ComponentId,
        signal: Signal,
    ) -> impl Iterator<Item = (&'a Node, &'a dyn ConnectorConfig)> {
        let connector = self.connectors.get(id).map(|connector| &**connector);
        connector.into_iter().flat_map(move |connector| {
            let is_behind = move |next: &&Node| {
                next.pipeline.receivers.contains(id)
                    && connector.connects(signal, next.pipeline.signal)
            };
            let nodes = self.nodes.iter().filter(is_behind);
            nodes.map(move |next| (next, connector))
        })
    }

    /// Lets readiness fail where a limiter says so.
    pub(super) fn watch_memory(&self, memory: &Arc<Budget>) {
        for limiter in self.nodes.iter().filter_map(|node| node.limiter.clone()) {
            if limiter.limits().fails_readiness {
                let memory = memory.clone();
                let readiness = &self.context.readiness;
                readiness.fails_while(move || limiter.pressure(&memory) == Pressure::Hard);
            }
        }
    }

    /// The pipelines of a signal that take from a receiver.
    pub(super) fn routes(
        &self,
        receiver: &ComponentId,
        signal: Signal,
        destinations: &Destinations,
    ) -> Vec<Route> {
        let nodes = self.nodes.iter().filter(|node| {
            node.pipeline.signal == signal && node.pipeline.receivers.contains(receiver)
        });
        nodes
            .map(|node| self.route(node, None, destinations))
            .collect()
    }

    /// A pipeline as seen from its entrance. What pipelines before it say of batches holds until a
    /// later one says otherwise.
    fn route(&self, node: &Node, before: Option<&BatchRule>, destinations: &Destinations) -> Route {
        let signal = node.pipeline.signal;
        let rule = node.batching.as_ref().or(before);
        let mut lanes = Vec::new();
        let mut onward = Vec::new();
        for id in &node.pipeline.exporters {
            if let Some(destination) = destinations.get(id) {
                let lane = destination.lane(signal, rule.map(|rule| rule.batching));
                lanes.push(match rule {
                    Some(rule) => {
                        let lane = lane.grouped(rule.grouping.clone());
                        lane.counted(rule.metrics.clone())
                    }
                    None => lane,
                });
            }
            for (next, connector) in self.behind(id, signal) {
                let mut route = self.route(next, rule, destinations);
                let context = named(id, &self.context);
                route.steps.insert(0, Step::new(connector.build(&context)));
                onward.push(route);
            }
        }
        Route {
            steps: node.steps.clone(),
            lanes,
            onward,
            limiter: node.limiter.clone(),
            flow: node.flow.clone(),
        }
    }
}

// === impl Node ===

impl Node {
    fn build(
        pipeline: Pipeline,
        configs: &BTreeMap<ComponentId, Box<dyn ProcessorConfig>>,
        context: &BuildContext,
    ) -> Self {
        let (name, signal) = (&pipeline.name, pipeline.signal);
        let mut node = Self {
            flow: (context.accounts).of_pipeline(name, signal, &context.registry),
            pipeline,
            steps: Vec::new(),
            batching: None,
            limiter: None,
        };
        for id in &node.pipeline.processors {
            let Some(config) = configs.get(id) else {
                continue;
            };
            match config.build(&named(id, context), signal) {
                Stage::Process(processor) => {
                    let step = Step::new(processor);
                    let step = step.counted(&id.to_string(), signal, &context.registry);
                    node.steps.push(step);
                }
                Stage::Batch(batching, grouping) => {
                    let metrics = BatchMetrics::new(&id.to_string(), &context.registry);
                    node.batching = Some(BatchRule {
                        batching,
                        grouping,
                        metrics: Arc::new(metrics),
                    });
                }
                Stage::Limit(limits) => {
                    let limiter = Limiter::new(limits);
                    let limiter = limiter.counted(&id.to_string(), signal, &context.registry);
                    let stricter = node
                        .limiter
                        .take_if(|known| known.limits().hard <= limits.hard);
                    node.limiter = stricter.or(Some(limiter));
                }
            }
        }
        node
    }
}

/// What a component of this name gets.
fn named(id: &ComponentId, context: &BuildContext) -> BuildContext {
    BuildContext {
        id: id.to_string(),
        ..context.clone()
    }
}
