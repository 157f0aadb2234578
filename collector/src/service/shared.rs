//! What outlives a configuration: metrics, the memory budget, and the accounts.

use std::collections::BTreeMap;
use std::sync::Arc;

use spanmesh_otlp::Signal;

use super::final_account::FinalAccount;
use crate::config::ComponentId;
use crate::pipeline::{
    Accounts, Budget, BuildContext, Intakes, Ports, Readiness, Status, default_limit, total,
};
use crate::telemetry::{Registry, register_process};

/// See the module.
pub(super) struct Shared {
    pub(super) registry: Registry,
    pub(super) memory: Arc<Budget>,
    pub(super) readiness: Readiness,
    pub(super) status: Status,
    accounts: Accounts,
    /// The intakes of every receiver that there ever was, which those of the same name share.
    pub(super) intakes: BTreeMap<ComponentId, Intakes>,
}

// === impl Shared ===

impl Shared {
    pub(super) fn new() -> Self {
        let shared = Self {
            registry: Registry::default(),
            memory: Budget::new(default_limit()),
            readiness: Readiness::default(),
            status: Status::default(),
            accounts: Accounts::default(),
            intakes: BTreeMap::new(),
        };
        register_process(&shared.registry);
        shared.register_memory();
        shared.register_build();
        shared
    }

    pub(super) fn context(&self, id: &impl ToString, ports: &Ports) -> BuildContext {
        BuildContext {
            id: id.to_string(),
            registry: self.registry.clone(),
            readiness: self.readiness.clone(),
            status: self.status.clone(),
            ports: ports.clone(),
            accounts: self.accounts.clone(),
        }
    }

    /// Where everything went so far.
    pub(super) fn account(&self) -> FinalAccount {
        let mut sums = FinalAccount::default();
        for (id, account) in self.accounts.all() {
            for signal in Signal::all() {
                let totals = account.totals(signal);
                if totals.accepted + totals.recovered > 0 {
                    sums.destinations.push((id.clone(), signal, totals));
                }
            }
        }
        for (pipeline, signal, items) in self.accounts.flows() {
            if items.received > 0 {
                sums.pipelines.push((pipeline, signal, items));
            }
        }
        for intakes in self.intakes.values() {
            let (accepted, refused) = intakes.totals();
            sums.received += accepted;
            sums.refused += refused;
        }
        sums
    }

    fn register_build(&self) {
        self.registry.gauge(
            "spanmesh_build_info",
            "1, with the version as a label.",
            &[("version", env!("CARGO_PKG_VERSION"))],
            || 1.0,
        );
    }

    fn register_memory(&self) {
        if let Some(total) = total() {
            self.registry.gauge(
                "spanmesh_process_memory_limit_bytes",
                "Memory that the process could use: the limit of its cgroup, or the host's memory.",
                &[],
                move || total as f64,
            );
        }
        let used = self.memory.clone();
        self.registry.gauge(
            "spanmesh_memory_budget_used_bytes",
            "Bytes of payloads that wait or are on their way.",
            &[],
            move || used.used() as f64,
        );
        let memory = self.memory.clone();
        self.registry.gauge(
            "spanmesh_memory_budget_bytes",
            "Bytes of payloads that may wait or be on their way.",
            &[],
            move || memory.limit() as f64,
        );
    }
}
