//! Payloads in a queue, and on their way from there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use spanmesh_otlp::{Limits, Signal};
use spanmesh_wal::Mark;

use super::account::{Custody, DropReason};
use super::room::Room;
use super::spool::Spool;

/// A payload with everything that is held for it until it is delivered.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) bytes: Bytes,
    pub(super) custody: Custody,
    pub(super) room: Room,
    pub(super) entered: Instant,
    /// Its record on disk, if the queue is there; shared by the parts of a payload.
    pub(super) ticket: Option<Arc<Ticket>>,
}

/// A record on disk, which is done when all of its items are settled.
#[derive(Debug)]
pub(super) struct Ticket {
    spool: Arc<Spool>,
    from: Mark,
    to: Mark,
    open: AtomicU64,
}

/// Parcels of one signal that travel together.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) signal: Signal,
    pub(super) parcels: Vec<Parcel>,
    /// How large a batch may be. A single parcel may be larger until it is split.
    pub(super) limits: Limits,
}

// === impl Ticket ===

impl Ticket {
    /// A ticket for the record between two marks.
    pub(super) fn new(spool: &Arc<Spool>, from: Mark, to: Mark) -> Arc<Self> {
        Arc::new(Self {
            spool: spool.clone(),
            from,
            to,
            open: AtomicU64::new(to.since(from).items),
        })
    }

    fn settled(&self, items: u64) {
        if self.open.fetch_sub(items, Ordering::AcqRel) == items {
            self.spool.done(self.from, self.to);
        }
    }
}

// === impl Load ===

impl Load {
    pub(super) fn items(&self) -> u64 {
        self.parcels
            .iter()
            .map(|parcel| parcel.custody.items())
            .sum()
    }

    /// Whether it is on disk, too.
    pub(super) fn is_stored(&self) -> bool {
        self.parcels.iter().any(|parcel| parcel.ticket.is_some())
    }

    /// It stays on the disk that it is on, for the next process.
    pub(super) fn kept(self) {
        self.parcels.into_iter().for_each(Parcel::kept);
    }

    pub(super) fn bytes(&self) -> usize {
        self.parcels.iter().map(|parcel| parcel.bytes.len()).sum()
    }

    /// The same items in loads within `limits`, as far as single items allow. What is small enough
    /// stays as it is, without a copy.
    pub(super) fn split(self, limits: Limits) -> Vec<Self> {
        let signal = self.signal;
        let mut loads: Vec<Self> = Vec::new();
        let (mut items, mut bytes) = (0, 0);
        for parcel in self.parcels {
            for parcel in parcel.split(signal, limits) {
                items += parcel.items();
                bytes += parcel.bytes.len();
                match loads.last_mut() {
                    Some(load) if items <= limits.items && bytes <= limits.bytes => {
                        load.parcels.push(parcel);
                    }
                    _ => {
                        (items, bytes) = (parcel.items(), parcel.bytes.len());
                        loads.push(Self {
                            signal,
                            parcels: vec![parcel],
                            limits,
                        });
                    }
                }
            }
        }
        loads
    }
}

// === impl Parcel ===

impl Parcel {
    /// The destination took it, except for `rejected` items.
    pub(super) fn sent(self, rejected: u64) {
        self.settle(|custody| custody.sent(rejected));
    }

    /// It will not be delivered; at a shutdown not by this process, if it is on disk.
    pub(super) fn dropped(self, reason: DropReason) {
        match reason {
            DropReason::Shutdown if self.ticket.is_some() => self.kept(),
            _ => self.settle(|custody| custody.dropped(reason)),
        }
    }

    /// It stays on the disk that it is on, for the next process.
    pub(super) fn kept(self) {
        self.custody.keep();
    }

    fn settle(self, settle: impl FnOnce(Custody)) {
        let items = self.custody.items();
        settle(self.custody);
        if let Some(ticket) = self.ticket {
            ticket.settled(items);
        }
    }

    fn items(&self) -> usize {
        usize::try_from(self.custody.items()).unwrap_or(usize::MAX)
    }

    fn split(mut self, signal: Signal, limits: Limits) -> Vec<Self> {
        if self.items() <= limits.items && self.bytes.len() <= limits.bytes {
            return vec![self];
        }
        let mut parts = Vec::new();
        for (bytes, items) in spanmesh_otlp::split_within(signal, &self.bytes, limits) {
            parts.push(Self {
                bytes: bytes.into(),
                custody: self.custody.split(items as u64),
                room: self.room.clone(),
                entered: self.entered,
                ticket: self.ticket.clone(),
            });
        }
        parts
    }
}
