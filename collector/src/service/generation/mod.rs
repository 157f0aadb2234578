//! What runs by one configuration, and how it comes about beside the one before.
//!
//! Everything that can fail happens in [`Prepared::new`], while the generation before runs on as if
//! nothing happened. Exporters and extensions whose options are the same are not built anew but kept,
//! with their queues, connections and files. Receivers whose options are the same go on as they are,
//! with their connections and what they are reading; only their intakes lead to the new pipelines,
//! which are always built anew.

mod delivery;
mod prepared;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Weak};

use tokio::sync::watch;
use tokio::task::JoinSet;

use self::delivery::Delivery;
pub(super) use self::prepared::Prepared;
use crate::config::{ComponentId, Node};
use crate::pipeline::{Extension, Gate, Phase, Ports, Receiver, StartError};
use crate::transport::Server;

/// See the module.
#[derive(Default)]
pub(super) struct Generation {
    pub(super) gate: Arc<Gate>,
    /// Those of the generations before it, as far as they are still there. What is begun behind them may
    /// come to destinations that it has kept.
    former_gates: Vec<Weak<Gate>>,
    pub(super) receivers: BTreeMap<ComponentId, Receiving>,
    pub(super) destinations: BTreeMap<ComponentId, Delivery>,
    pub(super) extensions: BTreeMap<ComponentId, Running>,
    pub(super) metrics: Option<Metrics>,
    ports: Ports,
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

/// A receiver that receives.
pub(super) struct Receiving {
    pub(super) receiver: Box<dyn Receiver>,
    options: Node,
}

/// The metrics' own port.
pub(super) struct Metrics {
    endpoint: String,
    pub(super) server: Server,
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
        let receivers = std::mem::take(&mut self.receivers).into_values();
        let mut stopping: JoinSet<()> = receivers.map(|one| one.receiver.stop()).collect();
        while stopping.join_next().await.is_some() {}
        self.gate.close().await;
        self.close_former_gates().await;
    }

    /// The same, when a successor receives: it has all intakes, and those receivers that stay.
    async fn leave_receiving(&mut self) {
        let receivers = std::mem::take(&mut self.receivers).into_values();
        let mut leaving: JoinSet<()> = receivers.map(|one| one.receiver.leave()).collect();
        while leaving.join_next().await.is_some() {}
        self.hand_over_gates().await;
    }

    /// Lets nothing more into its queues, nor into those that it has from generations before it: what
    /// still comes there goes on to its successor.
    async fn hand_over_gates(&mut self) {
        self.gate.hand_over().await;
        self.close_former_gates().await;
    }

    async fn close_former_gates(&mut self) {
        for gate in self.former_gates.iter().filter_map(Weak::upgrade) {
            gate.hand_over().await;
        }
    }

    /// The gates behind which a successor may find something going on.
    fn gates(&self) -> Vec<Weak<Gate>> {
        let former = self.former_gates.iter();
        let former = former.filter(|gate| gate.strong_count() > 0).cloned();
        former.chain([Arc::downgrade(&self.gate)]).collect()
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
