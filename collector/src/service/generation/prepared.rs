//! A generation that comes about beside the one before it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spanmesh_otlp::Signal;
use tokio::sync::watch;

use super::delivery::{Delivery, Idle, Wiring};
use super::{Failure, Generation, Metrics, Receiving, Running, stop_extensions, stop_metrics};
use crate::config::{ComponentId, Node};
use crate::pipeline::{
    BoundReceiver, Destination, Gate, Intakes, Layout, Phase, Pipelines, Ports, ReceiverContext,
    StartError, Storage, StorageOptions, default_limit,
};
use crate::service::graph::{Destinations, Graph};
use crate::service::metrics_server;
use crate::service::plan::Plan;
use crate::service::shared::Shared;

/// A generation that is complete, but for what it keeps, and receives nothing yet.
#[derive(Default)]
pub(in crate::service) struct Prepared {
    gate: Arc<Gate>,
    /// Those that are new, or have other options.
    receivers: BTreeMap<ComponentId, Bound>,
    /// What the intakes of all receivers lead to.
    ways: Vec<Way>,
    /// Those that are new.
    destinations: BTreeMap<ComponentId, Idle>,
    /// Those of them that have started.
    deliveries: BTreeMap<ComponentId, Delivery>,
    /// How much memory the queue of each destination may take up.
    share: u64,
    extensions: BTreeMap<ComponentId, Running>,
    metrics: Option<Metrics>,
    /// Those of the generation before that stay.
    kept_destinations: BTreeSet<ComponentId>,
    kept_extensions: BTreeSet<ComponentId>,
    kept_receivers: BTreeSet<ComponentId>,
    keeps_metrics: bool,
    graph: Option<Graph>,
    layout: Layout,
    ports: Ports,
}

/// A receiver that has its ports, and what it was built from.
struct Bound {
    receiver: Box<dyn BoundReceiver>,
    options: Node,
}

/// The pipelines that take a signal from a receiver; `None` if none does.
struct Way {
    intakes: Intakes,
    signal: Signal,
    pipelines: Option<Pipelines>,
}

/// The part of the memory budget that the queues of all destinations share out among themselves; the
/// rest is for what is on its way.
const QUEUE_SHARE: f64 = 0.75;

// === impl Prepared ===

impl Prepared {
    /// Builds what a plan asks for and `before` does not have, and opens its ports.
    ///
    /// # Errors
    /// The first component that cannot start; those that had started are stopped again.
    pub(in crate::service) async fn new(
        plan: Plan,
        shared: &mut Shared,
        before: &Generation,
    ) -> Result<Self, StartError> {
        let mut prepared = Self {
            ports: before.ports.next(),
            ..Self::default()
        };
        match prepared.build(plan, shared, before).await {
            Ok(()) => Ok(prepared),
            Err(error) => {
                prepared.discard().await;
                Err(error)
            }
        }
    }

    async fn build(
        &mut self,
        mut plan: Plan,
        shared: &mut Shared,
        before: &Generation,
    ) -> Result<(), StartError> {
        if let Some(endpoint) = &plan.telemetry.metrics.endpoint {
            let kept = before.metrics.as_ref();
            let kept = kept.filter(|metrics| metrics.endpoint == *endpoint);
            self.keeps_metrics = kept.is_some();
            if let Some(kept) = kept {
                if let Some(address) = kept.server.address().tcp() {
                    self.ports.keep(address);
                }
            } else {
                let registry = shared.registry.clone();
                let server = metrics_server::start(endpoint, registry, &self.ports).await?;
                let endpoint = endpoint.clone();
                self.metrics = Some(Metrics { endpoint, server });
            }
        }
        self.layout = plan.layout();
        let context = shared.context(&"", &self.ports);
        let graph = Graph::build(plan.pipelines, &plan.processors, plan.connectors, context);
        let storages: BTreeMap<ComponentId, StorageOptions> = plan
            .extensions
            .iter()
            .filter_map(|(id, config)| Some((id.clone(), config.storage()?)))
            .collect();
        let mut changed_extensions = Vec::new();
        for (id, config) in plan.extensions {
            let options = plan.extension_options.remove(&id);
            let options = options.unwrap_or_else(Node::nothing);
            if let Some(running) = before.extensions.get(&id)
                && running.options.says_the_same_as(&options)
            {
                if let Some(address) = running.extension.address() {
                    self.ports.keep(address);
                }
                self.kept_extensions.insert(id);
                continue;
            }
            let context = shared.context(&id, &self.ports);
            let extension = config.start(context).await?;
            changed_extensions.push(id.to_string());
            let running = Running { extension, options };
            self.extensions.insert(id, running);
        }
        let count = plan.exporters.len().max(1) as f64;
        self.share = (graph.memory_limit(default_limit()) as f64 * QUEUE_SHARE / count) as u64;
        let mut destinations = Destinations::new();
        for (id, config) in plan.exporters {
            let options = plan.exporter_options.remove(&id);
            let options = options.unwrap_or_else(Node::nothing);
            let delivery = config.delivery();
            let storage = delivery.queue.storage.as_ref();
            let storage = storage.and_then(|id| storages.get(id)).cloned();
            let wiring = Wiring {
                options,
                storage: storage.as_ref().map(|options| options.directory.clone()),
                feeds: graph.feeds(&id),
            };
            let is_new = changed_extensions
                .iter()
                .any(|name| wiring.options.mentions(name));
            if let Some(delivery) = before.destinations.get(&id)
                && delivery.wiring.serves(&wiring)
                && !is_new
            {
                destinations.insert(id.clone(), delivery.destination.clone());
                self.kept_destinations.insert(id);
                continue;
            }
            let storage = storage.map(|options| Storage {
                options,
                memory: shared.memory.clone(),
            });
            let context = shared.context(&id, &self.ports);
            let building = context.clone();
            // To open a file takes as long as the disk does, and a pipe until somebody reads from it.
            let built = tokio::task::spawn_blocking(move || config.build(&building)).await;
            let exporter = built.unwrap_or_else(|panic| {
                Err(StartError(format!(
                    "exporter \"{id}\" cannot be built: {panic}"
                )))
            })?;
            let (phase, phases) = watch::channel(Phase::Running);
            let share = self.share;
            let destination =
                Destination::new(&context, exporter, delivery, share, storage, phases);
            destinations.insert(id.clone(), destination.clone());
            let idle = Idle {
                destination,
                phase,
                wiring,
            };
            self.destinations.insert(id, idle);
        }
        // Those that stay have their ports before others look for free ones.
        let (kept, new): (Vec<_>, Vec<_>) = plan.receivers.into_iter().partition(|(id, _)| {
            let options = plan.receiver_options.get(id);
            let is_new = |options: &Node| changed_extensions.iter().any(|x| options.mentions(x));
            let receiving = before.receivers.get(id).zip(options);
            receiving.is_some_and(|(receiving, options)| {
                receiving.options.says_the_same_as(options) && !is_new(options)
            })
        });
        for (id, _) in kept {
            if let Some(receiving) = before.receivers.get(&id) {
                receiving.receiver.keep(&self.ports);
            }
            self.find_ways(&id, &graph, &destinations, shared);
            self.kept_receivers.insert(id);
        }
        for (id, config) in new {
            let context = ReceiverContext {
                id: id.to_string(),
                registry: shared.registry.clone(),
                ports: self.ports.clone(),
                intakes: self.find_ways(&id, &graph, &destinations, shared),
            };
            let options = plan.receiver_options.remove(&id);
            let bound = Bound {
                receiver: config.bind(context).await?,
                options: options.unwrap_or_else(Node::nothing),
            };
            self.receivers.insert(id, bound);
        }
        self.graph = Some(graph);
        Ok(())
    }

    /// Notes where the intakes of a receiver will lead.
    fn find_ways(
        &mut self,
        id: &ComponentId,
        graph: &Graph,
        destinations: &Destinations,
        shared: &mut Shared,
    ) -> Intakes {
        let intakes = shared.intakes.entry(id.clone()).or_default().clone();
        for signal in Signal::all() {
            let routes = graph.routes(id, signal, destinations);
            let (memory, gate) = (shared.memory.clone(), self.gate.clone());
            self.ways.push(Way {
                intakes: intakes.clone(),
                signal,
                pipelines: (!routes.is_empty()).then(|| Pipelines::new(routes, memory, gate)),
            });
        }
        intakes
    }

    /// Starts it, with what it keeps of `before`, in which the rest stays behind.
    ///
    /// # Errors
    /// The first component that cannot start.
    pub(in crate::service) async fn start(
        mut self,
        shared: &Shared,
        before: &mut Generation,
    ) -> Result<Generation, Failure> {
        if let Err(failure) = self.start_destinations(before).await {
            self.discard().await;
            return Err(failure);
        }
        let mut deliveries = std::mem::take(&mut self.deliveries);
        for (id, delivery) in &deliveries {
            delivery.destination.show(&shared.context(id, &self.ports));
        }
        for id in &self.kept_destinations {
            if let Some(kept) = before.destinations.remove(id) {
                kept.destination.share_out(self.share);
                deliveries.insert(id.clone(), kept);
            }
        }
        if let Some(graph) = &self.graph {
            shared.memory.set_limit(graph.memory_limit(default_limit()));
            shared.readiness.clear();
            graph.watch_memory(&shared.memory);
        }
        shared.status.show(std::mem::take(&mut self.layout));
        let mut extensions = self.extensions;
        for id in self.kept_extensions {
            let kept = before.extensions.remove(&id);
            extensions.extend(kept.map(|kept| (id, kept)));
        }
        let metrics = match self.keeps_metrics {
            true => before.metrics.take(),
            false => self.metrics,
        };
        for way in self.ways {
            way.intakes.lead_to(way.signal, way.pipelines);
        }
        for (id, intakes) in &shared.intakes {
            if !self.kept_receivers.contains(id) && !self.receivers.contains_key(id) {
                intakes.close();
            }
        }
        let mut receivers = BTreeMap::new();
        for id in self.kept_receivers {
            if let Some(kept) = before.receivers.remove(&id) {
                kept.receiver.reread();
                receivers.insert(id, kept);
            }
        }
        for (id, Bound { receiver, options }) in self.receivers {
            let receiver = receiver.start();
            receivers.insert(id, Receiving { receiver, options });
        }
        for running in extensions.values() {
            running.extension.ready();
        }
        Ok(Generation {
            gate: self.gate,
            former_gates: before.gates(),
            receivers,
            destinations: deliveries,
            extensions,
            metrics,
            ports: self.ports,
        })
    }

    /// Opens queues, and when all are open, begins to deliver.
    async fn start_destinations(&mut self, before: &mut Generation) -> Result<(), Failure> {
        // Two cannot have the same folder open, and what can be refused comes first.
        let (mut heirs, mut others) = (Vec::new(), Vec::new());
        for (id, idle) in &self.destinations {
            match before.has_open(id, idle.wiring.storage.as_deref()) {
                true => heirs.push((id, idle)),
                false => others.push(idle),
            }
        }
        for idle in others {
            let opened = idle.destination.open().await;
            opened.map_err(Failure::Refused)?;
        }
        let fail = match heirs.is_empty() {
            true => Failure::Refused,
            false => Failure::Broken,
        };
        if !heirs.is_empty() {
            before.hand_over_gates().await;
        }
        for (id, idle) in heirs {
            if let Some(delivery) = before.destinations.remove(id) {
                delivery.hand_over().await;
            }
            idle.destination.open().await.map_err(fail)?;
        }
        while let Some(next) = self.destinations.first_entry() {
            let tasks = next.get().destination.start().map_err(fail)?;
            let (id, idle) = next.remove_entry();
            self.deliveries.insert(id, idle.with(tasks));
        }
        Ok(())
    }

    /// Stops what has started. What was found on disk stays there.
    async fn discard(self) {
        for delivery in self.deliveries.into_values() {
            delivery.hand_over().await;
        }
        for idle in self.destinations.into_values() {
            idle.destination.stop().await;
        }
        stop_extensions(self.extensions).await;
        stop_metrics(self.metrics).await;
    }
}
