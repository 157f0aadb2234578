//! What waits in one lane of a queue, and how batches form of it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use spanmesh_otlp::{Limits, Signal};

use super::super::backlog::Backlog;
use super::super::batch_metrics::BatchMetrics;
use super::super::grouping::Group;
use super::super::options::Batching;
use super::super::parcel::{Load, Parcel};
use super::super::spool::Spool;

/// See the module.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) signal: Signal,
    pub(super) batching: Option<Batching>,
    pub(super) parcels: VecDeque<Parcel>,
    items: u64,
    bytes: usize,
    /// `None` in memory, and on disk before the log is open.
    pub(super) backlog: Option<Backlog>,
    /// What counts its batches.
    pub(super) metrics: Option<Arc<BatchMetrics>>,
    /// The lanes of its groups.
    pub(super) groups: HashMap<Group, usize>,
}

// === impl Waiting ===

impl Waiting {
    pub(super) fn new(signal: Signal, batching: Option<Batching>) -> Self {
        Self {
            signal,
            batching,
            parcels: VecDeque::new(),
            items: 0,
            bytes: 0,
            backlog: None,
            metrics: None,
            groups: HashMap::new(),
        }
    }

    /// Takes a parcel; says whether a consumer should look at it now.
    pub(super) fn add(&mut self, parcel: Parcel, max_bytes: usize) -> bool {
        let first = self.parcels.is_empty();
        self.items += parcel.custody.items();
        self.bytes += parcel.bytes.len();
        self.parcels.push_back(parcel);
        first || self.is_full(max_bytes)
    }

    /// Its log, if it has one.
    pub(super) fn log(&self) -> Option<(Signal, Arc<Spool>)> {
        let backlog = self.backlog.as_ref()?;
        Some((self.signal, backlog.spool.clone()))
    }

    /// Lets go of everything that is on disk, and leaves it there.
    pub(super) fn keep(&mut self) {
        let Some(backlog) = &mut self.backlog else {
            return;
        };
        backlog.keep();
        self.parcels.drain(..).for_each(Parcel::kept);
        (self.items, self.bytes) = (0, 0);
    }

    /// Whether nothing waits.
    pub(super) fn is_idle(&self) -> bool {
        self.parcels.is_empty()
    }

    /// When the oldest parcel has waited long enough; `None` if there is none.
    pub(super) fn due(&self) -> Option<Instant> {
        let oldest = self.parcels.front()?;
        let wait = self.batching.map(|batching| batching.timeout);
        Some(oldest.entered + wait.unwrap_or_default())
    }

    pub(super) fn is_full(&self, max_bytes: usize) -> bool {
        match self.batching {
            Some(batching) => {
                let enough = batching.min_bytes.is_some_and(|min| self.bytes >= min);
                self.items >= batching.min_items || enough || self.bytes >= max_bytes
            }
            None => !self.parcels.is_empty(),
        }
    }

    /// Takes the oldest parcels, one at least, up to the limits of a batch.
    pub(super) fn take(&mut self, max_bytes: usize) -> Load {
        let mut parcels = Vec::new();
        let mut items = 0;
        let mut bytes = 0;
        while let Some(parcel) = self.parcels.front() {
            let items_after = items + parcel.custody.items();
            let bytes_after = bytes + parcel.bytes.len();
            let fits = match self.batching {
                _ if parcels.is_empty() => true,
                None => false,
                Some(batching) => {
                    let enough = (batching.min_items > 0 && items >= batching.min_items)
                        || batching.min_bytes.is_some_and(|min| bytes >= min);
                    let too_many = batching.max_items > 0 && items_after > batching.max_items;
                    !enough && !too_many && bytes_after <= max_bytes
                }
            };
            if !fits {
                break;
            }
            (items, bytes) = (items_after, bytes_after);
            parcels.extend(self.parcels.pop_front());
        }
        if let Some(metrics) = &self.metrics {
            metrics.sent(items, bytes, self.is_full(max_bytes));
        }
        self.items -= items;
        self.bytes -= bytes;
        let max_items = self.batching.map_or(0, |batching| batching.max_items);
        let limits = Limits {
            items: match usize::try_from(max_items) {
                Ok(0) | Err(_) => usize::MAX,
                Ok(items) => items,
            },
            bytes: max_bytes,
        };
        Load {
            signal: self.signal,
            parcels,
            limits,
        }
    }
}
