//! The running collector.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use spanmesh_otlp::Signal;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::final_account::FinalAccount;
use super::graph::{Destinations, Graph};
use super::metrics_server;
use super::plan::Plan;
use crate::config::ComponentId;
use crate::pipeline::{
    Budget, BuildContext, Destination, Extension, Gate, Intake, Intakes, Phase, Readiness,
    Receiver, ReceiverContext, StartError, Storage, StorageOptions, default_limit,
};
use crate::telemetry::{Registry, register_process};
use crate::transport::Server;

/// A running collector.
pub struct Service {
    registry: Registry,
    readiness: Readiness,
    phase: watch::Sender<Phase>,
    gate: Arc<Gate>,
    receivers: Vec<(String, Box<dyn Receiver>)>,
    intakes: Vec<Intake>,
    destinations: Vec<(Arc<Destination>, JoinSet<()>)>,
    extensions: Vec<(String, Box<dyn Extension>)>,
    metrics: Option<Server>,
}

/// The part of the memory budget that the queues of all destinations share out among themselves; the
/// rest is for what is on its way.
const QUEUE_SHARE: f64 = 0.75;
/// How long deliveries may take to notice that they are given up.
const ABANDON_TIMEOUT: Duration = Duration::from_secs(2);

// === impl Service ===

impl Service {
    /// Starts everything, receivers last.
    ///
    /// # Errors
    /// The first component that cannot start; those that had started are stopped again.
    pub async fn start(plan: Plan) -> Result<Self, StartError> {
        let mut service = Self {
            registry: Registry::default(),
            readiness: Readiness::default(),
            phase: watch::channel(Phase::Running).0,
            gate: Gate::new(),
            receivers: Vec::new(),
            intakes: Vec::new(),
            destinations: Vec::new(),
            extensions: Vec::new(),
            metrics: None,
        };
        match service.start_components(plan).await {
            Ok(()) => Ok(service),
            Err(error) => {
                service.stop(Duration::ZERO).await;
                Err(error)
            }
        }
    }

    /// Where it listens: the name of the component, the transport, the address.
    pub fn addresses(&self) -> Vec<(String, &'static str, SocketAddr)> {
        let mut addresses = Vec::new();
        for (id, receiver) in &self.receivers {
            for (transport, address) in receiver.addresses() {
                addresses.push((id.clone(), transport, address));
            }
        }
        for (id, extension) in &self.extensions {
            addresses.extend(extension.address().map(|at| (id.clone(), "http", at)));
        }
        let metrics = self.metrics.as_ref().map(Server::address);
        addresses.extend(metrics.map(|at| ("metrics".to_owned(), "http", at)));
        addresses
    }

    /// Stops everything, receivers first. What waits is delivered within `drain_timeout` or dropped
    /// and counted.
    pub async fn stop(mut self, drain_timeout: Duration) -> FinalAccount {
        for (_, extension) in &self.extensions {
            extension.stopping();
        }
        self.gate.hurry();
        let mut stopping = JoinSet::new();
        for (_, receiver) in self.receivers.drain(..) {
            stopping.spawn(receiver.stop());
        }
        while stopping.join_next().await.is_some() {}
        self.gate.close().await;
        self.drain(drain_timeout).await;
        let mut stopping = JoinSet::new();
        for (destination, _) in &self.destinations {
            let destination = destination.clone();
            stopping.spawn(async move { destination.stop().await });
        }
        while stopping.join_next().await.is_some() {}
        let account = self.account();
        account.log();
        for (_, extension) in self.extensions.drain(..) {
            extension.stop().await;
        }
        if let Some(metrics) = self.metrics.take() {
            metrics.stop().await;
        }
        account
    }

    /// Where everything went so far.
    pub fn account(&self) -> FinalAccount {
        let mut account = FinalAccount::default();
        for (destination, _) in &self.destinations {
            for signal in Signal::all() {
                let totals = destination.account().totals(signal);
                if totals.accepted + totals.recovered > 0 {
                    let id = destination.id().to_owned();
                    account.destinations.push((id, signal, totals));
                }
            }
        }
        for intake in &self.intakes {
            let (accepted, refused) = intake.totals();
            account.received += accepted;
            account.refused += refused;
        }
        account
    }

    async fn start_components(&mut self, plan: Plan) -> Result<(), StartError> {
        register_process(&self.registry);
        if let Some(endpoint) = &plan.telemetry.metrics.endpoint {
            let server = metrics_server::start(endpoint, self.registry.clone()).await?;
            self.metrics = Some(server);
        }
        let graph = Graph::build(
            plan.pipelines,
            &plan.processors,
            plan.connectors,
            self.context(&""),
        );
        let memory = Budget::new(graph.memory_limit(default_limit()));
        self.register_memory(&memory);
        graph.watch_memory(&memory);
        let storages: BTreeMap<ComponentId, StorageOptions> = plan
            .extensions
            .iter()
            .filter_map(|(id, config)| Some((id.clone(), config.storage()?)))
            .collect();
        for (id, config) in plan.extensions {
            let extension = config.start(self.context(&id)).await?;
            self.extensions.push((id.to_string(), extension));
        }
        let share = memory.limit() as f64 * QUEUE_SHARE / plan.exporters.len().max(1) as f64;
        let mut destinations = Destinations::new();
        for (id, config) in plan.exporters {
            let context = self.context(&id);
            let options = config.delivery();
            let exporter = config.build(&context)?;
            let phase = self.phase.subscribe();
            let storage = options.queue.storage.as_ref();
            let storage = storage
                .and_then(|id| storages.get(id))
                .map(|options| Storage {
                    options: options.clone(),
                    memory: memory.clone(),
                });
            let share = share as u64;
            let destination = Destination::new(&context, exporter, options, share, storage, phase);
            destinations.insert(id, destination);
        }
        // All ports are open before anything is received, or changed that another collector may use.
        let mut bound = Vec::new();
        for (id, config) in plan.receivers {
            let context = ReceiverContext {
                id: id.to_string(),
                registry: self.registry.clone(),
                intakes: self.intakes(&id, &graph, &destinations, &memory),
            };
            bound.push((id.to_string(), config.bind(context).await?));
        }
        for (id, destination) in destinations {
            destination.open(self.context(&id)).await?;
            let tasks = destination.start()?;
            self.destinations.push((destination, tasks));
        }
        for (id, receiver) in bound {
            self.receivers.push((id, receiver.start()));
        }
        for (_, extension) in &self.extensions {
            extension.ready();
        }
        info!(version = env!("CARGO_PKG_VERSION"), "ready");
        Ok(())
    }

    fn context(&self, id: &impl ToString) -> BuildContext {
        BuildContext {
            id: id.to_string(),
            registry: self.registry.clone(),
            readiness: self.readiness.clone(),
        }
    }

    fn intakes(
        &mut self,
        receiver: &ComponentId,
        graph: &Graph,
        destinations: &Destinations,
        memory: &Arc<Budget>,
    ) -> Intakes {
        let mut intakes = Intakes::default();
        for signal in Signal::all() {
            let routes = graph.routes(receiver, signal, destinations);
            if routes.is_empty() {
                continue;
            }
            let intake = Intake::new(signal, routes, memory.clone(), self.gate.clone());
            self.intakes.push(intake.clone());
            intakes.set(signal, intake);
        }
        intakes
    }

    async fn drain(&mut self, drain_timeout: Duration) {
        self.phase.send_replace(Phase::Draining);
        let phase = self.phase.clone();
        let drained = async {
            for (_, tasks) in &mut self.destinations {
                while tasks.join_next().await.is_some() {}
            }
        };
        let mut drained = std::pin::pin!(drained);
        if tokio::time::timeout(drain_timeout, &mut drained)
            .await
            .is_ok()
        {
            return;
        }
        warn!(?drain_timeout, "not everything could be delivered in time");
        phase.send_replace(Phase::Abandoning);
        if tokio::time::timeout(ABANDON_TIMEOUT, drained)
            .await
            .is_err()
        {
            warn!("some deliveries did not end");
        }
    }

    fn register_memory(&self, memory: &Arc<Budget>) {
        let used = memory.clone();
        self.registry.gauge(
            "spanmesh_memory_budget_used_bytes",
            "Bytes of payloads that wait or are on their way.",
            &[],
            move || used.used() as f64,
        );
        let limit = memory.limit();
        self.registry.gauge(
            "spanmesh_memory_budget_bytes",
            "Bytes of payloads that may wait or be on their way.",
            &[],
            move || limit as f64,
        );
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("addresses", &self.addresses())
            .finish_non_exhaustive()
    }
}
