//! The accounts of all destinations and pipelines that there have been since the process started. One of
//! a new configuration goes on with the account of the one of the same name before it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use spanmesh_otlp::Signal;

use super::account::Account;
use super::flow::{Flow, FlowTotals};
use crate::telemetry::Registry;

/// See the module. Clones are the same accounts.
#[derive(Clone, Debug, Default)]
pub struct Accounts(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    destinations: BTreeMap<String, Arc<Account>>,
    pipelines: BTreeMap<String, (Signal, Arc<Flow>)>,
}

// === impl Accounts ===

impl Accounts {
    /// The account of an exporter, opened and exported as metrics on first use.
    pub fn of(&self, exporter: &str, registry: &Registry) -> Arc<Account> {
        let accounts = &mut self.lock().destinations;
        if let Some(account) = accounts.get(exporter) {
            return account.clone();
        }
        let account = Arc::new(Account::default());
        for signal in Signal::all() {
            account.register(registry, exporter, signal);
        }
        accounts.insert(exporter.to_owned(), account.clone());
        account
    }

    /// Every account with the name of its exporter, by name.
    pub fn all(&self) -> Vec<(String, Arc<Account>)> {
        let accounts = &self.lock().destinations;
        accounts
            .iter()
            .map(|(exporter, account)| (exporter.clone(), account.clone()))
            .collect()
    }

    /// What flows through a pipeline, exported as metrics on first use.
    pub fn of_pipeline(&self, pipeline: &str, signal: Signal, registry: &Registry) -> Arc<Flow> {
        let flows = &mut self.lock().pipelines;
        if let Some((_, flow)) = flows.get(pipeline) {
            return flow.clone();
        }
        let flow = Flow::new(pipeline, signal, registry);
        flows.insert(pipeline.to_owned(), (signal, flow.clone()));
        flow
    }

    /// What every pipeline had so far, by name.
    pub fn flows(&self) -> Vec<(String, Signal, FlowTotals)> {
        let flows = &self.lock().pipelines;
        flows
            .iter()
            .map(|(pipeline, (signal, flow))| (pipeline.clone(), *signal, flow.totals()))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
