//! Where every item went.
//!
//! For each destination and signal: accepted + recovered = sent + sampled out + dropped + queued. The
//! equation holds by construction: items enter through [`Account::accept`], or from a disk through
//! [`Account::recover`], which return their [`Custody`], and a custody can only be settled once. One
//! that is forgotten counts as dropped, with the reason `lost`, and so shows the defect instead of
//! hiding it; unless the items are on a disk, where they stay queued for the next process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use spanmesh_otlp::Signal;

use super::result::Watcher;
use crate::telemetry::Registry;

/// The account of one destination.
#[derive(Debug, Default)]
pub struct Account {
    signals: [Columns; 3],
}

#[derive(Debug, Default)]
struct Columns {
    accepted: AtomicU64,
    recovered: AtomicU64,
    /// What destinations of this process left on a disk, and is counted already.
    left: AtomicU64,
    sent: AtomicU64,
    sampled_out: AtomicU64,
    dropped: [AtomicU64; DropReason::ALL.len()],
}

/// The responsibility for a number of items, until it is settled.
#[derive(Debug)]
#[must_use = "items that are not settled count as lost"]
pub struct Custody {
    account: Arc<Account>,
    signal: Signal,
    items: u64,
    /// Whether the items are on a disk.
    stored: bool,
    /// Who waits to hear what became of the items.
    watcher: Option<Arc<Watcher>>,
}

/// Why items did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DropReason {
    /// The destination's queue had no room while another one's had.
    QueueFull,
    /// The destination took the request but refused some of its items (partial success).
    Rejected,
    /// The destination refused the request for good.
    Refused,
    /// The destination did not take the request within `max_elapsed_time`.
    RetriesExhausted,
    /// A single item is larger than the destination allows.
    TooLarge,
    /// A processor dropped them.
    Processor,
    /// What the storage on disk held of them is damaged.
    StorageCorrupt,
    /// The storage on disk did not take them while another destination did.
    StorageFailed,
    /// The collector stopped before the destination took them.
    Shutdown,
    /// A defect of the collector.
    Lost,
}

/// The sums of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Taken from clients.
    pub accepted: u64,
    /// Found in the storage on disk at the start.
    pub recovered: u64,
    /// Taken by the destination.
    pub sent: u64,
    /// Left out on purpose.
    pub sampled_out: u64,
    /// Not delivered, by reason; only reasons that occurred.
    pub dropped: Vec<(DropReason, u64)>,
    /// Waiting or on their way.
    pub queued: u64,
}

// === impl Account ===

impl Account {
    /// Takes responsibility for items.
    pub fn accept(self: &Arc<Self>, signal: Signal, items: u64) -> Custody {
        let columns = self.columns(signal);
        columns.accepted.fetch_add(items, Ordering::Relaxed);
        self.custody(signal, items, false)
    }

    /// Takes responsibility for items that are on a disk.
    pub(super) fn accept_stored(self: &Arc<Self>, signal: Signal, items: u64) -> Custody {
        let columns = self.columns(signal);
        columns.accepted.fetch_add(items, Ordering::Relaxed);
        self.custody(signal, items, true)
    }

    /// Takes responsibility for items that an earlier process, or a predecessor in this one, has left on
    /// a disk. What this one has counted already is not counted again.
    pub(super) fn recover(self: &Arc<Self>, signal: Signal, items: u64) -> Custody {
        let columns = self.columns(signal);
        let less = |left: u64| Some(left.saturating_sub(items));
        let left = (columns.left).fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
        let known = left.unwrap_or_default();
        let recovered = items.saturating_sub(known);
        columns.recovered.fetch_add(recovered, Ordering::Relaxed);
        self.custody(signal, items, true)
    }

    fn custody(self: &Arc<Self>, signal: Signal, items: u64, stored: bool) -> Custody {
        Custody {
            account: self.clone(),
            signal,
            items,
            stored,
            watcher: None,
        }
    }

    /// The sums of one signal.
    pub fn totals(&self, signal: Signal) -> Totals {
        let columns = self.columns(signal);
        // What left is read before what entered, so that `queued` is never negative.
        let sent = columns.sent.load(Ordering::Acquire);
        let sampled_out = columns.sampled_out.load(Ordering::Acquire);
        let mut dropped = Vec::new();
        let mut all_dropped = 0;
        for (reason, counter) in DropReason::ALL.into_iter().zip(&columns.dropped) {
            let items = counter.load(Ordering::Acquire);
            all_dropped += items;
            if items > 0 {
                dropped.push((reason, items));
            }
        }
        let accepted = columns.accepted.load(Ordering::Acquire);
        let recovered = columns.recovered.load(Ordering::Acquire);
        let entered = accepted + recovered;
        Totals {
            accepted,
            recovered,
            sent,
            sampled_out,
            dropped,
            queued: entered.saturating_sub(sent + sampled_out + all_dropped),
        }
    }

    /// Exports the account as metrics of `exporter`.
    pub fn register(self: &Arc<Self>, registry: &Registry, exporter: &str, signal: Signal) {
        let names = Names::of(signal);
        let labels = [("exporter", exporter)];
        // All series of one reading come from one look at the account, so that they balance.
        let snapshot = Arc::new(Mutex::new(Totals::default()));
        let (account, target) = (self.clone(), snapshot.clone());
        registry.before_reading(move || {
            *target.lock().unwrap_or_else(PoisonError::into_inner) = account.totals(signal);
        });
        let read = |value: fn(&Totals) -> u64| {
            let snapshot = snapshot.clone();
            move || value(&snapshot.lock().unwrap_or_else(PoisonError::into_inner)) as f64
        };
        registry.counter_from(
            names.sent,
            "Items that the destination took.",
            &labels,
            read(|totals| totals.sent),
        );
        registry.counter_from(
            names.send_failed,
            "Items that the destination did not take.",
            &labels,
            read(|totals| totals.dropped_total() - totals.dropped_for(DropReason::QueueFull)),
        );
        registry.counter_from(
            names.enqueue_failed,
            "Items for which the queue had no room.",
            &labels,
            read(|totals| totals.dropped_for(DropReason::QueueFull)),
        );
        let labels = [("exporter", exporter), ("signal", signal.name())];
        registry.counter_from(
            "spanmesh_account_accepted_items",
            "Items taken for this destination; with those recovered, equals sent + sampled out + \
             dropped + queued.",
            &labels,
            read(|totals| totals.accepted),
        );
        registry.counter_from(
            "spanmesh_account_recovered_items",
            "Items found in the storage on disk at the start.",
            &labels,
            read(|totals| totals.recovered),
        );
        registry.counter_from(
            "spanmesh_account_sent_items",
            "Items that the destination took.",
            &labels,
            read(|totals| totals.sent),
        );
        registry.counter_from(
            "spanmesh_account_sampled_out_items",
            "Items left out on purpose.",
            &labels,
            read(|totals| totals.sampled_out),
        );
        registry.gauge(
            "spanmesh_account_queued_items",
            "Items waiting for this destination or on their way to it.",
            &labels,
            read(|totals| totals.queued),
        );
        for reason in DropReason::ALL {
            let snapshot = snapshot.clone();
            registry.counter_from(
                "spanmesh_account_dropped_items",
                "Items not delivered, by reason.",
                &[labels[0], labels[1], ("reason", reason.name())],
                move || {
                    let totals = snapshot.lock().unwrap_or_else(PoisonError::into_inner);
                    totals.dropped_for(reason) as f64
                },
            );
        }
    }

    fn columns(&self, signal: Signal) -> &Columns {
        match signal {
            Signal::Traces => &self.signals[0],
            Signal::Logs => &self.signals[1],
            Signal::Metrics => &self.signals[2],
        }
    }
}

struct Names {
    sent: &'static str,
    send_failed: &'static str,
    enqueue_failed: &'static str,
}

impl Names {
    const fn of(signal: Signal) -> Self {
        match signal {
            Signal::Traces => Self {
                sent: "otelcol_exporter_sent_spans",
                send_failed: "otelcol_exporter_send_failed_spans",
                enqueue_failed: "otelcol_exporter_enqueue_failed_spans",
            },
            Signal::Logs => Self {
                sent: "otelcol_exporter_sent_log_records",
                send_failed: "otelcol_exporter_send_failed_log_records",
                enqueue_failed: "otelcol_exporter_enqueue_failed_log_records",
            },
            Signal::Metrics => Self {
                sent: "otelcol_exporter_sent_metric_points",
                send_failed: "otelcol_exporter_send_failed_metric_points",
                enqueue_failed: "otelcol_exporter_enqueue_failed_metric_points",
            },
        }
    }
}

// === impl Custody ===

impl Custody {
    /// How many items it is about.
    pub fn items(&self) -> u64 {
        self.items
    }

    /// From now on `watcher` hears of what becomes of the items.
    pub(super) fn watch(&mut self, watcher: Arc<Watcher>) {
        self.watcher = Some(watcher);
    }

    /// The destination took the items, except for `rejected` of them.
    pub fn sent(mut self, rejected: u64) {
        let rejected = rejected.min(self.items);
        let columns = self.account.columns(self.signal);
        columns
            .sent
            .fetch_add(self.items - rejected, Ordering::Release);
        columns.dropped[DropReason::Rejected as usize].fetch_add(rejected, Ordering::Release);
        self.settled(None);
    }

    /// The items were left out on purpose.
    pub fn sampled_out(mut self) {
        let columns = self.account.columns(self.signal);
        columns.sampled_out.fetch_add(self.items, Ordering::Release);
        self.settled(None);
    }

    /// The items will not arrive.
    pub fn dropped(mut self, reason: DropReason) {
        self.settle_dropped(reason);
    }

    /// Takes `items` of the items out into a custody of their own; fewer if there are fewer.
    pub fn split(&mut self, items: u64) -> Self {
        let items = items.min(self.items);
        self.items -= items;
        Self {
            account: self.account.clone(),
            signal: self.signal,
            items,
            stored: self.stored,
            watcher: self.watcher.clone(),
        }
    }

    /// Takes the items of another custody over. Both are of the same account and signal.
    pub(super) fn merge(&mut self, mut other: Self) {
        self.items += std::mem::take(&mut other.items);
    }

    /// The items stay on the disk that they are on, and count as queued.
    pub(super) fn keep(self) {
        drop(self);
    }

    fn settle_dropped(&mut self, reason: DropReason) {
        let columns = self.account.columns(self.signal);
        columns.dropped[reason as usize].fetch_add(self.items, Ordering::Release);
        self.settled(Some(reason));
    }

    fn settled(&mut self, dropped: Option<DropReason>) {
        if let Some(watcher) = &self.watcher {
            watcher.settled(self.items, dropped);
        }
        self.items = 0;
    }
}

impl Drop for Custody {
    fn drop(&mut self) {
        if self.items > 0 && self.stored {
            let columns = self.account.columns(self.signal);
            columns.left.fetch_add(self.items, Ordering::AcqRel);
        } else if self.items > 0 {
            self.settle_dropped(DropReason::Lost);
        }
    }
}

// === impl DropReason ===

impl DropReason {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::QueueFull,
        Self::Rejected,
        Self::Refused,
        Self::RetriesExhausted,
        Self::TooLarge,
        Self::Processor,
        Self::StorageCorrupt,
        Self::StorageFailed,
        Self::Shutdown,
        Self::Lost,
    ];

    /// Its name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Rejected => "rejected",
            Self::Refused => "refused_by_destination",
            Self::RetriesExhausted => "retries_exhausted",
            Self::TooLarge => "too_large",
            Self::Processor => "processor",
            Self::StorageCorrupt => "storage_corrupt",
            Self::StorageFailed => "storage_failed",
            Self::Shutdown => "shutdown",
            Self::Lost => "lost",
        }
    }
}

// === impl Totals ===

impl Totals {
    /// Not delivered, whatever the reason.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().map(|(_, items)| items).sum()
    }

    /// Not delivered for one reason.
    pub fn dropped_for(&self, reason: DropReason) -> u64 {
        self.dropped
            .iter()
            .filter(|(other, _)| *other == reason)
            .map(|(_, items)| items)
            .sum()
    }
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
