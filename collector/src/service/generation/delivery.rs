//! A destination of a generation: what it was built from, and its deliveries.

use std::path::PathBuf;
use std::sync::Arc;

use spanmesh_otlp::Signal;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::Node;
use crate::pipeline::{Batching, Destination, Phase};

/// A destination that delivers.
pub(in crate::service) struct Delivery {
    pub(in crate::service) destination: Arc<Destination>,
    pub(in crate::service) tasks: JoinSet<()>,
    pub(in crate::service) phase: watch::Sender<Phase>,
    pub(super) wiring: Wiring,
}

/// What a destination was built from.
pub(super) struct Wiring {
    pub(super) options: Node,
    /// The folder of its queue, if it is on disk.
    pub(super) storage: Option<PathBuf>,
    /// What leads to it.
    pub(super) feeds: Vec<(Signal, Option<Batching>)>,
}

/// A destination that does not deliver yet; its queue may be open.
pub(super) struct Idle {
    pub(super) destination: Arc<Destination>,
    pub(super) phase: watch::Sender<Phase>,
    pub(super) wiring: Wiring,
}

// === impl Idle ===

impl Idle {
    /// The same with the tasks that deliver.
    pub(super) fn with(self, tasks: JoinSet<()>) -> Delivery {
        Delivery {
            destination: self.destination,
            tasks,
            phase: self.phase,
            wiring: self.wiring,
        }
    }
}

// === impl Delivery ===

impl Delivery {
    /// Ends it at once; what waits stays on disk for another one of its name.
    pub(super) async fn hand_over(mut self) {
        self.phase.send_replace(Phase::Abandoning);
        while self.tasks.join_next().await.is_some() {}
        self.destination.stop().await;
    }
}

// === impl Wiring ===

impl Wiring {
    /// Whether a destination that was built from this does what `other` asks for. In memory a queue takes
    /// whatever comes; on disk it has a log for each signal from the start.
    pub(super) fn serves(&self, other: &Self) -> bool {
        let is_fed_alike = self.storage.is_none() || self.feeds == other.feeds;
        self.options.says_the_same_as(&other.options) && is_fed_alike
    }
}
