//! Payloads that must not share a batch, because their clients sent other values of some headers.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use super::client::Client;

/// Which headers count. Clones are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// Their names, each of them once.
    pub keys: Arc<[HeaderName]>,
    /// For how many groups payloads may wait in a queue at the same time.
    pub limit: usize,
}

/// What the payloads of one group have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Group {
    keys: Arc<[HeaderName]>,
    /// The values of each key, in the order in which they were sent; none for a key that was not.
    values: Vec<Vec<HeaderValue>>,
}

// === impl Grouping ===

impl Grouping {
    /// The group of a client's payloads. Those whose client is not known are one group.
    pub(super) fn group(&self, client: Option<&Client>) -> Group {
        let values_of = |key: &HeaderName| match client {
            Some(client) => client.metadata.get_all(key).iter().cloned().collect(),
            None => Vec::new(),
        };
        Group {
            keys: self.keys.clone(),
            values: self.keys.iter().map(values_of).collect(),
        }
    }
}
