//! What runs by one configuration, and how it comes about beside the one before.
//!
//! Everything that can fail happens in [`Prepared::new`], while the generation before runs on as if
//! nothing happened. Exporters and extensions whose options are the same are not built anew but kept,
//! with their queues, connections and files; receivers and pipelines are always built anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use spanmesh_otlp::Signal;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::graph::{Destinations, Graph};
use super::metrics_server;
use super::plan::Plan;
use super::shared::Shared;
use crate::config::{ComponentId, Node};
use crate::pipeline::{
    Batching, BoundReceiver, BuildContext, Destination, Extension, Gate, Intake, Intakes, Layout,
    Phase, Ports, Receiver, ReceiverContext, StartError, Storage, StorageOptions, default_limit,
};
use crate::transport::Server;

/// See the module.
#[derive(Default)]
pub(super) struct Generation {
    pub(super) gate: Arc<Gate>,
    pub(super) receivers: Vec<(String, Box<dyn Receiver>)>,
    pub(super) destinations: BTreeMap<ComponentId, Delivery>,
    pub(super) extensions: BTreeMap<ComponentId, Running>,
    pub(super) metrics: Option<Metrics>,
    ports: Ports,
}

/// A destination that delivers.
pub(super) struct Delivery {
    pub(super) destination: Arc<Destination>,
    pub(super) tasks: JoinSet<()>,
    pub(super) phase: watch::Sender<Phase>,
    wiring: Wiring,
}

/// What a destination was built from.
struct Wiring {
    options: Node,
    /// The folder of its queue, if it is on disk.
    storage: Option<PathBuf>,
    /// What leads to it.
    feeds: Vec<(Signal, Option<Batching>)>,
}

/// A destination that does not deliver yet.
struct Idle {
    destination: Arc<Destination>,
    phase: watch::Sender<Phase>,
    wiring: Wiring,
}

/// Why a generation did not start.
pub(super) enum Failure {
    /// The one before runs on.
    Refused(StartError),
    /// Nor can the one before.
    Broken(StartError),
}

/// An extension that runs.
pub(super) struct Running {
    pub(super) extension: Box<dyn Extension>,
    options: Node,
}

/// The metrics' own port.
pub(super) struct Metrics {
    endpoint: String,
    pub(super) server: Server,
}

/// A generation that is complete, but for what it keeps, and receives nothing yet.
#[derive(Default)]
pub(super) struct Prepared {
    gate: Arc<Gate>,
    receivers: Vec<(String, Box<dyn BoundReceiver>)>,
    /// Those that are new.
    destinations: BTreeMap<ComponentId, Idle>,
    extensions: BTreeMap<ComponentId, Running>,
    metrics: Option<Metrics>,
    /// Those of the generation before that stay.
    kept_destinations: BTreeSet<ComponentId>,
    kept_extensions: BTreeSet<ComponentId>,
    keeps_metrics: bool,
    graph: Option<Graph>,
    layout: Layout,
    ports: Ports,
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
    pub(super) async fn new(
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
        let share = graph.memory_limit(default_limit()) as f64 * QUEUE_SHARE / count;
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
            let exporter = config.build(&context)?;
            let (phase, phases) = watch::channel(Phase::Running);
            let share = share as u64;
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
        for (id, config) in plan.receivers {
            let context = ReceiverContext {
                id: id.to_string(),
                registry: shared.registry.clone(),
                ports: self.ports.clone(),
                intakes: intakes(&id, &graph, &destinations, &self.gate, shared),
            };
            self.receivers
                .push((id.to_string(), config.bind(context).await?));
        }
        self.graph = Some(graph);
        Ok(())
    }

    /// Starts it, with what it keeps of `before`, in which the rest stays behind.
    ///
    /// # Errors
    /// The first component that cannot start.
    pub(super) async fn start(
        mut self,
        shared: &Shared,
        before: &mut Generation,
    ) -> Result<Generation, Failure> {
        let deliveries = match self.start_destinations(shared, before).await {
            Ok(deliveries) => deliveries,
            Err(failure) => {
                self.discard().await;
                return Err(failure);
            }
        };
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
        let receivers = self.receivers.into_iter();
        let receivers = receivers.map(|(id, bound)| (id, bound.start())).collect();
        for running in extensions.values() {
            running.extension.ready();
        }
        Ok(Generation {
            gate: self.gate,
            receivers,
            destinations: deliveries,
            extensions,
            metrics,
            ports: self.ports,
        })
    }

    /// Opens queues and begins to deliver.
    async fn start_destinations(
        &mut self,
        shared: &Shared,
        before: &mut Generation,
    ) -> Result<BTreeMap<ComponentId, Delivery>, Failure> {
        let mut deliveries = BTreeMap::new();
        let mut heirs = Vec::new();
        for (id, idle) in std::mem::take(&mut self.destinations) {
            // Two cannot have the same folder open, and what can be refused comes first.
            if before.has_open(&id, idle.wiring.storage.as_deref()) {
                heirs.push((id, idle));
                continue;
            }
            let context = shared.context(&id, &self.ports);
            let delivery = idle.start(context).await.map_err(Failure::Refused)?;
            deliveries.insert(id, delivery);
        }
        if !heirs.is_empty() {
            before.gate.close().await;
        }
        for (id, idle) in heirs {
            if let Some(delivery) = before.destinations.remove(&id) {
                delivery.hand_over().await;
            }
            let context = shared.context(&id, &self.ports);
            let delivery = idle.start(context).await.map_err(Failure::Broken)?;
            deliveries.insert(id, delivery);
        }
        for id in &self.kept_destinations {
            let kept = before.destinations.remove(id);
            deliveries.extend(kept.map(|kept| (id.clone(), kept)));
        }
        Ok(deliveries)
    }

    async fn discard(self) {
        stop_extensions(self.extensions).await;
        stop_metrics(self.metrics).await;
    }
}

// === impl Idle ===

impl Idle {
    async fn start(self, context: BuildContext) -> Result<Delivery, StartError> {
        self.destination.open(context).await?;
        Ok(Delivery {
            tasks: self.destination.start()?,
            destination: self.destination,
            phase: self.phase,
            wiring: self.wiring,
        })
    }
}

// === impl Delivery ===

impl Delivery {
    /// Ends it at once; what waits stays on disk for another one of its name.
    async fn hand_over(mut self) {
        self.phase.send_replace(Phase::Abandoning);
        while self.tasks.join_next().await.is_some() {}
        self.destination.stop().await;
        self.destination.hand_over();
    }
}

// === impl Wiring ===

impl Wiring {
    /// Whether a destination that was built from this does what `other` asks for. In memory a queue takes
    /// whatever comes; on disk it has a log for each signal from the start.
    fn serves(&self, other: &Self) -> bool {
        let is_fed_alike = self.storage.is_none() || self.feeds == other.feeds;
        self.options.says_the_same_as(&other.options) && is_fed_alike
    }
}

// === impl Failure ===

impl Failure {
    pub(super) fn into_error(self) -> StartError {
        match self {
            Self::Refused(error) | Self::Broken(error) => error,
        }
    }
}

// === impl Generation ===

impl Generation {
    /// Takes nothing more; returns when what was begun is answered, and is in the queues or refused.
    pub(super) async fn stop_receiving(&mut self) {
        let receivers = self.receivers.drain(..);
        let mut stopping: JoinSet<()> = receivers.map(|(_, receiver)| receiver.stop()).collect();
        while stopping.join_next().await.is_some() {}
        self.gate.close().await;
    }

    /// The same, when a successor accepts from the same ports.
    async fn leave_receiving(&mut self) {
        let receivers = self.receivers.drain(..);
        let mut leaving: JoinSet<()> = receivers.map(|(_, receiver)| receiver.leave()).collect();
        while leaving.join_next().await.is_some() {}
        self.gate.close().await;
    }

    /// Whether a destination has its queue in this folder.
    fn has_open(&self, id: &ComponentId, folder: Option<&Path>) -> bool {
        let open = self.destinations.get(id);
        let open = open.and_then(|delivery| delivery.wiring.storage.as_deref());
        folder.is_some() && open == folder
    }

    /// Tells all deliveries how far the collector is.
    pub(super) fn enter(&self, phase: Phase) {
        for delivery in self.destinations.values() {
            delivery.phase.send_replace(phase);
        }
    }

    /// Returns when all deliveries have ended.
    pub(super) async fn delivered(&mut self) {
        for delivery in self.destinations.values_mut() {
            while delivery.tasks.join_next().await.is_some() {}
        }
    }

    /// Closes the destinations; for when their deliveries have ended.
    pub(super) async fn stop_destinations(&mut self) {
        let mut stopping = JoinSet::new();
        for delivery in self.destinations.values() {
            let destination = delivery.destination.clone();
            stopping.spawn(async move { destination.stop().await });
        }
        while stopping.join_next().await.is_some() {}
    }

    /// Ends what is left.
    pub(super) async fn stop_rest(self) {
        stop_extensions(self.extensions).await;
        stop_metrics(self.metrics).await;
    }

    /// What has to be told when the time to deliver is over.
    pub(super) fn phases(&self) -> Vec<watch::Sender<Phase>> {
        let deliveries = self.destinations.values();
        deliveries.map(|delivery| delivery.phase.clone()).collect()
    }

    /// Brings it to its end while its successor runs: extensions and ports at once, deliveries as soon
    /// as nothing waits any more, however long that takes.
    pub(super) async fn retire(mut self) {
        stop_extensions(std::mem::take(&mut self.extensions)).await;
        stop_metrics(self.metrics.take()).await;
        self.leave_receiving().await;
        self.enter(Phase::Draining);
        self.delivered().await;
        self.stop_destinations().await;
    }
}

fn intakes(
    id: &ComponentId,
    graph: &Graph,
    destinations: &Destinations,
    gate: &Arc<Gate>,
    shared: &mut Shared,
) -> Intakes {
    let mut intakes = Intakes::default();
    for signal in Signal::all() {
        let routes = graph.routes(id, signal, destinations);
        if routes.is_empty() {
            continue;
        }
        let intake = Intake::new(signal, routes, shared.memory.clone(), gate.clone());
        shared.intakes.push(intake.counters());
        intakes.set(signal, intake);
    }
    intakes
}

async fn stop_extensions(extensions: BTreeMap<ComponentId, Running>) {
    for running in extensions.into_values() {
        running.extension.stop().await;
    }
}

async fn stop_metrics(metrics: Option<Metrics>) {
    if let Some(metrics) = metrics {
        metrics.server.stop().await;
    }
}
