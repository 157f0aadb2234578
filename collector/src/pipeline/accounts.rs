//! The accounts of all destinations that there have been since the process started. A destination of
//! a new configuration goes on with the account of the one of the same name before it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use spanmesh_otlp::Signal;

use super::account::Account;
use crate::telemetry::Registry;

/// See the module. Clones are the same accounts.
#[derive(Clone, Debug, Default)]
pub struct Accounts(Arc<Mutex<BTreeMap<String, Arc<Account>>>>);

// === impl Accounts ===

impl Accounts {
    /// The account of an exporter, opened and exported as metrics on first use.
    pub fn of(&self, exporter: &str, registry: &Registry) -> Arc<Account> {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
        let accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        accounts
            .iter()
            .map(|(exporter, account)| (exporter.clone(), account.clone()))
            .collect()
    }
}
