//! The running collector.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use super::final_account::FinalAccount;
use super::generation::{Failure, Generation, Prepared};
use super::plan::Plan;
use super::reloads::Reloads;
use super::self_export::{Push, Pushing};
use super::shared::Shared;
use crate::config::Problems;
use crate::pipeline::{Intakes, Phase, Ports, StartError};
use crate::telemetry::logs::Style;

/// A running collector.
pub struct Service {
    shared: Shared,
    running: Generation,
    /// What runs by former configurations, until its queues are empty.
    retiring: JoinSet<()>,
    retired: Vec<watch::Sender<Phase>>,
    reloads: Reloads,
    pushing: Vec<Pushing>,
}

/// How long deliveries may take to notice that they are given up.
const ABANDON_TIMEOUT: Duration = Duration::from_secs(2);

// === impl Service ===

impl Service {
    /// Starts everything, receivers last.
    ///
    /// # Errors
    /// The first component that cannot start; those that had started are stopped again.
    pub async fn start(mut plan: Plan) -> Result<Self, StartError> {
        let mut shared = Shared::new();
        let (pushes, resource) = self_metrics(&mut plan);
        let pushing = start_pushes(pushes, &resource, &shared)?;
        let mut nothing = Generation::default();
        let prepared = Prepared::new(plan, &mut shared, &nothing).await?;
        let running = prepared.start(&shared, &mut nothing).await;
        let running = running.map_err(Failure::into_error)?;
        let reloads = Reloads::new(&shared.registry);
        info!(version = env!("CARGO_PKG_VERSION"), "ready");
        Ok(Self {
            shared,
            running,
            retiring: JoinSet::new(),
            retired: Vec::new(),
            reloads,
            pushing,
        })
    }

    /// Runs by another configuration from now on, if nothing is wrong with it and all of it can start;
    /// if not, nothing changes, which the log and the metrics say. Whether it runs by the new one.
    ///
    /// Ports that both have stay open, and what waits in queues is delivered. If the future is dropped
    /// before its end, what runs can only be stopped.
    ///
    /// # Errors
    /// Neither can run: a queue on disk could be closed, but not opened again.
    pub async fn reload(&mut self, plan: Result<Plan, Problems>) -> Result<bool, StartError> {
        let refusal = match plan {
            Ok(plan) => match self.replace(plan).await {
                Ok(()) => {
                    self.reloads.succeeded();
                    info!("the new configuration runs");
                    return Ok(true);
                }
                Err(Failure::Refused(StartError(problem))) => vec![problem],
                Err(Failure::Broken(error)) => return Err(error),
            },
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        };
        self.reloads.failed();
        for problem in refusal {
            error!("the former configuration runs on: {problem}");
        }
        Ok(false)
    }

    async fn replace(&mut self, mut plan: Plan) -> Result<(), Failure> {
        for warning in plan.warnings() {
            warn!("{warning}");
        }
        let style = Style::new(&plan.telemetry.logs);
        let style = style.map_err(|error| Failure::Refused(StartError(error)))?;
        let (pushes, resource) = self_metrics(&mut plan);
        let pushing = start_pushes(pushes, &resource, &self.shared).map_err(Failure::Refused)?;
        let prepared = Prepared::new(plan, &mut self.shared, &self.running).await;
        let prepared = prepared.map_err(Failure::Refused)?;
        let next = prepared.start(&self.shared, &mut self.running).await?;
        style.apply();
        let before = std::mem::replace(&mut self.running, next);
        for former in std::mem::replace(&mut self.pushing, pushing) {
            self.retiring.spawn(former.stop());
        }
        while self.retiring.try_join_next().is_some() {}
        // Those that have ended have nobody left who would listen.
        self.retired.retain(|phase| phase.receiver_count() > 0);
        self.retired.extend(before.phases());
        self.retiring.spawn(before.retire());
        Ok(())
    }

    /// Where it listens: the name of the component, the transport, the address.
    pub fn addresses(&self) -> Vec<(String, &'static str, SocketAddr)> {
        let mut addresses = Vec::new();
        for (id, receiving) in &self.running.receivers {
            for (transport, address) in receiving.receiver.addresses() {
                addresses.push((id.to_string(), transport, address));
            }
        }
        for (id, running) in &self.running.extensions {
            let address = running.extension.address();
            addresses.extend(address.map(|at| (id.to_string(), "http", at)));
        }
        let metrics = self.running.metrics.as_ref();
        let metrics = metrics.and_then(|metrics| metrics.server.address().tcp());
        addresses.extend(metrics.map(|at| ("metrics".to_owned(), "http", at)));
        addresses
    }

    /// Stops everything, receivers first. What waits is delivered within `drain_timeout` or dropped
    /// and counted.
    pub async fn stop(mut self, drain_timeout: Duration) -> FinalAccount {
        for running in self.running.extensions.values() {
            running.extension.stopping();
        }
        self.running.gate.hurry();
        if self.running.gate.has_successor() {
            // A reload was given up, so nothing comes of waiting for its pipelines.
            self.shared.intakes.values().for_each(Intakes::close);
        }
        self.running.stop_receiving().await;
        self.drain(drain_timeout).await;
        self.running.stop_destinations().await;
        let account = self.account();
        account.log(&self.shared.status.layout());
        // What the end has cost is in the last reading.
        let pushing = self.pushing.drain(..).map(Pushing::stop);
        pushing.collect::<JoinSet<()>>().join_all().await;
        self.running.stop_rest().await;
        account
    }

    /// Where everything went so far.
    pub fn account(&self) -> FinalAccount {
        self.shared.account()
    }

    async fn drain(&mut self, drain_timeout: Duration) {
        self.running.enter(Phase::Draining);
        let mut phases = self.running.phases();
        phases.append(&mut self.retired);
        let drained = async {
            self.running.delivered().await;
            while self.retiring.join_next().await.is_some() {}
        };
        let mut drained = std::pin::pin!(drained);
        if tokio::time::timeout(drain_timeout, &mut drained)
            .await
            .is_ok()
        {
            return;
        }
        warn!(?drain_timeout, "not everything could be delivered in time");
        for phase in phases {
            phase.send_replace(Phase::Abandoning);
        }
        if tokio::time::timeout(ABANDON_TIMEOUT, drained)
            .await
            .is_err()
        {
            warn!("some deliveries did not end");
        }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("addresses", &self.addresses())
            .finish_non_exhaustive()
    }
}

/// What a plan says of sending the collector's own metrics, and of their resource.
fn self_metrics(plan: &mut Plan) -> (Vec<Push>, BTreeMap<String, String>) {
    let resource = std::mem::take(&mut plan.telemetry.resource);
    (std::mem::take(&mut plan.pushes), resource)
}

fn start_pushes(
    pushes: Vec<Push>,
    resource: &BTreeMap<String, String>,
    shared: &Shared,
) -> Result<Vec<Pushing>, StartError> {
    let context = shared.context(&"service::telemetry::metrics", &Ports::default());
    let pushes = pushes.into_iter();
    pushes.map(|push| push.start(&context, resource)).collect()
}
