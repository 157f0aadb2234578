//! A queue on disk: opening and closing its logs, and what goes to them and comes back.

use std::sync::Arc;
use std::time::Instant;

use spanmesh_wal::{Located, Mark};
use tracing::info;

use super::super::backlog::Backlog;
use super::super::component::StartError;
use super::super::parcel::{Parcel, Ticket};
use super::super::payload::Payload;
use super::super::room::Room;
use super::super::spool::Spool;
use super::Queue;
use super::waiting::Waiting;
use crate::telemetry::Registry;

// === impl Queue ===

impl Queue {
    /// Opens the logs of a queue on disk, and takes up what an earlier process has left in them.
    /// Blocks as long as the disk does.
    ///
    /// # Errors
    /// A log that cannot be opened.
    pub(in crate::pipeline) fn open(&self) -> Result<(), StartError> {
        let Some(storage) = &self.storage else {
            return Ok(());
        };
        let mut state = self.lock();
        for lane in &mut state.lanes {
            let spool = Arc::new(Spool::open(&storage.options, &self.name, lane.signal)?);
            let pending = spool.handle().pending();
            if pending.records > 0 {
                let (exporter, signal) = (self.name.as_str(), lane.signal.name());
                let Mark { items, bytes, .. } = pending;
                info!(exporter, signal, items, bytes, "recovered from the storage");
            }
            let backlog = Backlog::recover(
                spool,
                storage.memory.clone(),
                &self.account,
                lane.signal,
                |pending| self.capacity.units.reserve_over(self.units_of(pending)),
            );
            lane.backlog = Some(backlog);
        }
        Ok(())
    }

    /// Exports the sizes of the logs.
    pub(in crate::pipeline) fn register(&self, registry: &Registry) {
        let Some(storage) = &self.storage else {
            return;
        };
        let capacity = storage.options.max_bytes;
        for (signal, spool) in self.lock().lanes.iter().filter_map(Waiting::log) {
            spool.register(registry, &self.name, signal, capacity);
        }
    }

    /// Closes the logs, and says what stays in them. Blocks as long as the disk does.
    pub(in crate::pipeline) fn close(&self) {
        let logs: Vec<_> = self.lock().lanes.iter().filter_map(Waiting::log).collect();
        for (signal, spool) in logs {
            let (pending, directory) = spool.close();
            if pending.records == 0 {
                continue;
            }
            let (exporter, signal) = (self.name.as_str(), signal.name());
            let Mark { items, bytes, .. } = pending;
            info!(
                exporter,
                signal, items, bytes, directory, "kept in the storage for the next start"
            );
        }
    }

    /// A payload is on disk.
    pub(super) fn stored(&self, index: usize, payload: &Payload, room: Room, located: Located) {
        let custody = self
            .account
            .accept_stored(payload.signal(), payload.items());
        let wake = {
            let mut state = self.lock();
            let (draining, abandoned) = (state.draining, state.abandoned);
            let lane = &mut state.lanes[index];
            let Some(backlog) = lane.backlog.as_mut().filter(|_| !abandoned) else {
                return custody.keep();
            };
            let memory = match backlog.is_empty() {
                true => self.capacity.memory.try_reserve(payload.memory()),
                false => None,
            };
            if let Some(memory) = memory {
                let parcel = Parcel {
                    bytes: payload.bytes().clone(),
                    custody,
                    room: room.with_memory(memory),
                    entered: Instant::now(),
                    ticket: Some(Ticket::new(&backlog.spool, located.from, located.to)),
                };
                lane.add(parcel, self.max_batch_bytes) || draining
            } else {
                let units = room.into_units();
                let units = units.unwrap_or_else(|| self.capacity.units.empty());
                backlog.add(custody, units, located);
                true
            }
        };
        if wake {
            self.wake.notify_one();
        }
    }

    /// Reads back a part of what is behind in a lane. Blocks as long as the disk does.
    pub(super) fn read_back(&self, index: usize) {
        let errand = {
            let mut state = self.lock();
            let memory = &self.capacity.memory;
            let free = memory.limit().saturating_sub(memory.used());
            let backlog = state.lanes[index].backlog.as_mut();
            backlog.and_then(|backlog| backlog.errand(free))
        };
        let Some(errand) = errand else { return };
        let haul = errand.run();
        let mut state = self.lock();
        let lane = &mut state.lanes[index];
        if let Some(backlog) = &mut lane.backlog {
            let units = |amount| self.units_of(amount);
            let parcels = backlog.unload(haul, &self.name, units, &self.capacity.memory);
            for parcel in parcels {
                lane.add(parcel, self.max_batch_bytes);
            }
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Leaves on disk what is there, for the next process.
    pub(in crate::pipeline) fn abandon(&self) {
        let mut state = self.lock();
        state.abandoned = self.storage.is_some();
        if state.abandoned {
            state.lanes.iter_mut().for_each(Waiting::keep);
        }
        drop(state);
        self.wake.notify_one();
    }
}
