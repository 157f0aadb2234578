//! What a queue on disk holds beyond that which is in memory.
//!
//! The queue in memory is a window on the log: what is appended goes into it directly, as long as it
//! has room and nothing is behind. From then on records are counted only, and read back in order when
//! there is room again.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use spanmesh_otlp::Signal;
use spanmesh_wal::{Found, Located, Mark};
use tracing::{error, warn};

use super::account::{Account, Custody, DropReason};
use super::budget::{Budget, Reservation};
use super::parcel::{Parcel, Ticket};
use super::payload::Payload;
use super::room::Room;
use super::spool::Spool;
use crate::telemetry::Throttle;

/// The log of a lane, and what of it is not in memory.
#[derive(Debug)]
pub(super) struct Backlog {
    pub(super) spool: Arc<Spool>,
    /// The memory of the process.
    memory: Arc<Budget>,
    behind: Option<Behind>,
    /// Whether somebody is reading back.
    reading: bool,
    /// When to try again, if reading failed.
    retry: Option<Instant>,
    failures: Throttle,
    damages: Throttle,
}

/// Records on disk that are not in memory. Invariant: nothing that comes after them is.
#[derive(Debug)]
struct Behind {
    custody: Custody,
    units: Reservation,
    /// Where the reader has to go first.
    seek: Option<Located>,
    /// Where the last of them ends.
    to: Mark,
}

/// Something to be read back.
#[derive(Debug)]
pub(super) struct Errand {
    spool: Arc<Spool>,
    seek: Option<Located>,
    until: Mark,
    bytes: u64,
}

/// What was read back.
#[derive(Debug)]
pub(super) struct Haul {
    found: Vec<Found>,
    read_to: Mark,
    result: io::Result<()>,
}

/// What a consumer can do about a backlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing: there is none, or somebody else is at it.
    None,
    /// Nothing before this moment.
    Later(Instant),
    /// Read back.
    Now,
}

/// So much is read back at once, in bytes of memory.
const ERRAND_BYTES: u64 = 8 << 20;
/// How long to wait when the disk could not be read.
const RETRY: Duration = Duration::from_secs(1);

// === impl Backlog ===

impl Backlog {
    /// The backlog of a log that has just been opened: everything that is in it.
    pub(super) fn recover(
        spool: Arc<Spool>,
        memory: Arc<Budget>,
        account: &Arc<Account>,
        signal: Signal,
        units: impl FnOnce(Mark) -> Reservation,
    ) -> Self {
        let pending = spool.handle().pending();
        let behind = (pending.records > 0).then(|| Behind {
            custody: account.recover(signal, pending.items),
            units: units(pending),
            seek: None,
            to: spool.handle().end(),
        });
        Self {
            spool,
            memory,
            behind,
            reading: false,
            retry: None,
            failures: Throttle::default(),
            damages: Throttle::default(),
        }
    }

    /// Whether everything that is on disk is in memory, too.
    pub(super) fn is_empty(&self) -> bool {
        self.behind.is_none() && !self.reading
    }

    /// Takes a record that has just been appended, and for which there is no place in memory.
    pub(super) fn add(&mut self, custody: Custody, units: Reservation, located: Located) {
        let to = located.to;
        match &mut self.behind {
            Some(behind) => {
                behind.custody.merge(custody);
                behind.units.merge(units);
                behind.to = to;
            }
            None => {
                self.behind = Some(Behind {
                    custody,
                    units,
                    seek: Some(located),
                    to,
                });
            }
        }
    }

    /// Whether to read back now.
    pub(super) fn turn(&self, now: Instant) -> Turn {
        match (&self.behind, self.retry) {
            (None, _) => Turn::None,
            (Some(_), _) if self.reading => Turn::None,
            (Some(_), Some(retry)) if now < retry => Turn::Later(retry),
            (Some(_), _) => Turn::Now,
        }
    }

    /// What to read back: as much as takes up `bytes` of memory, with the last record perhaps more. To be
    /// followed by [`Self::unload`].
    pub(super) fn errand(&mut self, bytes: u64) -> Option<Errand> {
        let behind = self.behind.as_mut().filter(|_| !self.reading)?;
        self.reading = true;
        Some(Errand {
            spool: self.spool.clone(),
            seek: behind.seek.take(),
            until: behind.to,
            bytes: bytes.min(ERRAND_BYTES),
        })
    }

    /// Makes parcels of what was read back. `units` is what records take up in the queue, and
    /// `window` its memory.
    pub(super) fn unload(
        &mut self,
        haul: Haul,
        exporter: &str,
        units: impl Fn(Mark) -> u64,
        window: &Arc<Budget>,
    ) -> Vec<Parcel> {
        self.reading = false;
        self.retry = haul.result.as_ref().err().map(|_| Instant::now() + RETRY);
        if let Err(error) = &haul.result
            && self.failures.count(1).is_some()
        {
            warn!(
                exporter,
                "the storage cannot be read, trying again: {error}"
            );
        }
        // Without it the queue was abandoned meanwhile, and everything stays on disk.
        let Some(behind) = &mut self.behind else {
            return Vec::new();
        };
        let mut parcels = Vec::new();
        for found in haul.found {
            match found {
                Found::Record(record) => {
                    let amount = record.to.since(record.from);
                    let memory = Payload::memory_of(record.payload.len());
                    parcels.push(Parcel {
                        bytes: record.payload,
                        custody: behind.custody.split(amount.items),
                        room: Room::new(
                            behind.units.split(units(amount)),
                            window.reserve_over(memory),
                            self.memory.reserve_over(memory),
                        ),
                        entered: Instant::now(),
                        ticket: Some(Ticket::new(&self.spool, record.from, record.to)),
                    });
                }
                Found::Damaged { from, to } => {
                    let lost = to.since(from);
                    let custody = behind.custody.split(lost.items);
                    custody.dropped(DropReason::StorageCorrupt);
                    drop(behind.units.split(units(lost)));
                    self.spool.done(from, to);
                    if let Some(items) = self.damages.count(lost.items) {
                        error!(exporter, items, "dropped: the storage on disk is damaged");
                    }
                }
            }
        }
        if haul.read_to.records >= behind.to.records
            && let Some(behind) = self.behind.take()
        {
            // Nothing, unless so much is damaged that its items could not be told.
            behind.custody.dropped(DropReason::StorageCorrupt);
        }
        parcels
    }

    /// Everything that is behind stays on disk, for the next process.
    pub(super) fn keep(&mut self) {
        if let Some(behind) = self.behind.take() {
            behind.custody.keep();
        }
    }
}

// === impl Errand ===

impl Errand {
    /// Reads; takes as long as the disk does.
    pub(super) fn run(self) -> Haul {
        let (found, read_to, result) = self.spool.read(self.seek.as_ref(), self.until, self.bytes);
        Haul {
            found,
            read_to,
            result,
        }
    }
}

#[cfg(test)]
#[path = "backlog_tests.rs"]
mod tests;
