//! One pipeline's entrance to a queue.

use std::sync::Arc;
use std::time::Instant;

use spanmesh_otlp::Signal;
use spanmesh_wal::AppendError;
use tokio::sync::oneshot;
use tracing::warn;

use super::super::account::DropReason;
use super::super::batch_metrics::BatchMetrics;
use super::super::grouping::Grouping;
use super::super::parcel::Parcel;
use super::super::payload::Payload;
use super::super::result::{Outcome, Watcher};
use super::super::room::Room;
use super::Queue;

/// One pipeline's entrance to a destination.
#[derive(Clone, Debug)]
pub struct Lane {
    pub(super) queue: Arc<Queue>,
    pub(super) index: usize,
    /// What must not share batches.
    pub(super) grouping: Option<Grouping>,
    /// What counts its batches, from when it is used.
    pub(super) metrics: Option<Arc<BatchMetrics>>,
}

/// What became of a payload that came into a lane.
#[derive(Debug)]
pub(in crate::pipeline) enum Pushed {
    /// The queue holds it; with what will become of it, if clients wait for that.
    Held(Option<Outcome>),
    /// It is on its way to the disk. If the answer is an error, the queue does not hold it.
    Storing(oneshot::Receiver<Result<(), AppendError>>),
}

// === impl Lane ===

impl Lane {
    /// The queue that it leads to.
    pub(in crate::pipeline) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// The same entrance, behind which batches are counted by `metrics` from when it is used.
    #[must_use]
    pub fn counted(self, metrics: Arc<BatchMetrics>) -> Self {
        Self {
            metrics: Some(metrics),
            ..self
        }
    }

    /// Payloads come from now on.
    pub(in crate::pipeline) fn begin(&self) {
        let Some(metrics) = &self.metrics else {
            return;
        };
        let mut state = self.queue.lock();
        let groups = state.lanes[self.index].groups.values().copied();
        let own: Vec<usize> = groups.chain([self.index]).collect();
        for index in own {
            state.lanes[index].metrics = Some(metrics.clone());
        }
    }

    /// Whether it leads to a disk.
    pub(in crate::pipeline) fn is_stored(&self) -> bool {
        self.queue.storage.is_some()
    }

    /// Whether clients wait for room in it.
    pub(in crate::pipeline) fn waits(&self) -> bool {
        self.queue.block_on_overflow
    }

    /// Puts a payload into the room reserved for it.
    pub(in crate::pipeline) fn push(&self, payload: &Payload, room: Room) -> Pushed {
        if self.is_stored() {
            return Pushed::Storing(self.store(payload.clone(), room));
        }
        let mut custody = self.queue.account.accept(payload.signal(), payload.items());
        let outcome = self.queue.wait_for_result.then(|| {
            let (watcher, outcome) = Watcher::new(payload.items());
            custody.watch(watcher);
            outcome
        });
        let parcel = Parcel {
            bytes: payload.bytes().clone(),
            custody,
            room,
            entered: Instant::now(),
            ticket: None,
        };
        let grouping = self.grouping.as_ref();
        let group = grouping.map(|grouping| grouping.group(payload.client()));
        let wake = {
            let mut state = self.queue.lock();
            let draining = state.draining;
            let index = match group {
                Some(group) => state.lane_of(self.index, group),
                None => self.index,
            };
            let lane = &mut state.lanes[index];
            lane.add(parcel, self.queue.max_batch_bytes) || draining
        };
        if wake {
            self.queue.wake.notify_one();
        }
        Pushed::Held(outcome)
    }

    /// Sends a payload to the disk.
    fn store(&self, payload: Payload, room: Room) -> oneshot::Receiver<Result<(), AppendError>> {
        let (tell, told) = oneshot::channel();
        let spool = {
            let state = self.queue.lock();
            let backlog = state.lanes[self.index].backlog.as_ref();
            backlog.map(|backlog| backlog.spool.clone())
        };
        let Some(spool) = spool else {
            // The one who waits is not there yet, but nobody else has the other end.
            let _ = tell.send(Err(AppendError::Closed));
            return told;
        };
        let (queue, index) = (self.queue.clone(), self.index);
        let (bytes, items) = (payload.bytes().clone(), payload.items());
        spool.append(
            bytes,
            items,
            Box::new(move |result| {
                let result = result.map(|located| queue.stored(index, &payload, room, located));
                // Kept or not, whether or not somebody still waits to hear it.
                let _ = tell.send(result);
            }),
        );
        told
    }

    /// Counts a payload that the disk did not take while other destinations took theirs.
    pub(in crate::pipeline) fn not_stored(&self, payload: &Payload) {
        let custody = self.queue.account.accept(payload.signal(), payload.items());
        custody.dropped(DropReason::StorageFailed);
    }

    /// Says why the disk did not take a payload.
    pub(in crate::pipeline) fn complain(&self, payload: &Payload, error: &AppendError) {
        if let Some(items) = self.queue.refusals.count(payload.items()) {
            let exporter = self.queue.name.as_str();
            warn!(exporter, items, "not taken by the storage: {error}");
        }
    }

    /// Counts a payload for which there was no room while other destinations took it.
    pub(in crate::pipeline) fn overflow(&self, payload: &Payload) {
        let custody = self.queue.account.accept(payload.signal(), payload.items());
        custody.dropped(DropReason::QueueFull);
        if let Some(items) = self.queue.overflows.count(payload.items()) {
            let exporter = self.queue.name.as_str();
            warn!(exporter, items, "dropped: the queue is full");
        }
    }

    /// Counts items that a processor left out before they came here.
    pub(in crate::pipeline) fn left_out(&self, signal: Signal, sampled_out: u64, dropped: u64) {
        let account = &self.queue.account;
        account.accept(signal, sampled_out).sampled_out();
        account
            .accept(signal, dropped)
            .dropped(DropReason::Processor);
    }
}
