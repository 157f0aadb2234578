//! The queue of one destination, in memory or on disk.
//!
//! Pipelines that feed the destination have a [`Lane`] for each signal, because batches hold one
//! signal and pipelines batch differently. All lanes share the destination's budget. Payloads are
//! not copied into batches: a batch is a list of them.
//!
//! On disk, a payload is in the queue once it is appended to the log of its exporter and signal, and
//! leaves the log when it is settled. Lanes of the same signal are one then, which batches as the
//! first of their pipelines does that says how. See [`super::backlog`] for what is not in memory.

mod disk;
mod groups;
mod lane;
mod waiting;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use spanmesh_otlp::Signal;
use spanmesh_wal::Mark;
use tokio::sync::Notify;

pub use self::lane::Lane;
pub(super) use self::lane::Pushed;
use self::waiting::Waiting;
use super::account::Account;
use super::backlog::Turn;
use super::budget::Budget;
use super::options::{Batching, QueueOptions, Sizer};
use super::pace::Pace;
use super::parcel::Load;
use super::payload::Payload;
use super::room::{Capacity, Size};
use super::storage::Storage;
use crate::telemetry::Throttle;

/// See the module.
#[derive(Debug)]
pub(super) struct Queue {
    /// The name of its destination.
    name: String,
    state: Mutex<State>,
    /// Wakes one consumer. Invariant: whenever payloads wait, some consumer either is awake, or
    /// waits with a timer, or finds a permit here.
    wake: Notify,
    account: Arc<Account>,
    capacity: Capacity,
    pace: Pace,
    /// Whether the options say how much it holds.
    is_sized: bool,
    sizer: Sizer,
    block_on_overflow: bool,
    wait_for_result: bool,
    max_batch_bytes: usize,
    /// Where it is, if that is on disk.
    storage: Option<Storage>,
    overflows: Throttle,
    refusals: Throttle,
}

#[derive(Debug, Default)]
struct State {
    lanes: Vec<Waiting>,
    /// Where the search for a full lane starts, so that none starves.
    turn: usize,
    draining: bool,
    /// What is on disk is left there.
    abandoned: bool,
}

/// How much of a queue on disk is in memory, in bytes: enough to feed the consumers.
const WINDOW_BYTES: u64 = 64 << 20;

/// How much a queue holds if its options do not say, and the memory that it takes up for that.
fn sizes(storage: Option<&Storage>, memory: u64) -> (u64, u64) {
    match storage {
        Some(storage) => (storage.options.max_bytes, memory.min(WINDOW_BYTES)),
        None => (memory, memory),
    }
}

enum Next {
    Load(Load),
    /// Read back what is behind in this lane.
    ReadBack(usize),
    WaitUntil(Instant),
    Wait,
    Done,
}

// === impl Queue ===

impl Queue {
    /// A queue that takes up at most `memory` bytes of memory, and holds no more than its options say.
    /// One on disk takes nothing before it is open.
    pub(super) fn new(
        name: &str,
        account: Arc<Account>,
        options: &QueueOptions,
        memory: u64,
        max_batch_bytes: usize,
        storage: Option<Storage>,
    ) -> Self {
        let (size, memory) = sizes(storage.as_ref(), memory);
        let capacity = Capacity {
            units: Budget::new(options.queue_size.unwrap_or(size)),
            memory: Budget::new(memory),
        };
        Self {
            name: name.to_owned(),
            state: Mutex::default(),
            wake: Notify::new(),
            account,
            capacity,
            pace: Pace::new(max_batch_bytes, memory),
            is_sized: options.queue_size.is_some(),
            sizer: options.sizer,
            block_on_overflow: options.block_on_overflow,
            wait_for_result: options.wait_for_result,
            max_batch_bytes,
            storage,
            overflows: Throttle::default(),
            refusals: Throttle::default(),
        }
    }

    /// The lane of a signal and its batches; pipelines that agree about both share it, so that the
    /// same lanes serve one configuration after the other.
    pub(super) fn lane(self: &Arc<Self>, signal: Signal, batching: Option<Batching>) -> Lane {
        let mut state = self.lock();
        let is_stored = self.storage.is_some();
        let same =
            |lane: &Waiting| lane.signal == signal && (is_stored || lane.batching == batching);
        if let Some(index) = state.lanes.iter().position(same) {
            let lane = &mut state.lanes[index];
            lane.batching = lane.batching.or(batching);
            return Lane {
                queue: self.clone(),
                index,
                grouping: None,
                metrics: None,
            };
        }
        state.lanes.push(Waiting::new(signal, batching));
        Lane {
            queue: self.clone(),
            index: state.lanes.len() - 1,
            grouping: None,
            metrics: None,
        }
    }

    /// From now on it takes up at most `memory` bytes of memory. What is there already stays.
    pub(super) fn set_memory(&self, memory: u64) {
        let (size, memory) = sizes(self.storage.as_ref(), memory);
        self.capacity.memory.set_limit(memory);
        if !self.is_sized {
            self.capacity.units.set_limit(size);
        }
    }

    pub(super) fn capacity(&self) -> &Capacity {
        &self.capacity
    }

    /// How long a client shall wait before it hears that its payload was taken.
    pub(super) fn delay(&self) -> Option<Duration> {
        if self.storage.is_some() {
            return None;
        }
        self.pace.delay(self.capacity.memory.used())
    }

    /// The destination takes nothing for the moment, or does again. Returns what was the case before.
    pub(super) fn fails(&self, failing: bool) -> bool {
        self.pace.suspend(failing)
    }

    /// Whether clients wait for room.
    pub(super) fn blocks_on_overflow(&self) -> bool {
        self.block_on_overflow
    }

    /// What a payload takes up here.
    pub(super) fn size_of(&self, payload: &Payload) -> Size {
        let bytes = payload.bytes().len() as u64;
        let units = self.units_of(Mark::default().after(payload.items(), bytes));
        // What is on disk takes up memory only as far as there is some.
        let memory = match &self.storage {
            Some(_) => 0,
            None => payload.memory(),
        };
        Size { units, memory }
    }

    /// What an amount is in the unit of the sizer.
    fn units_of(&self, amount: Mark) -> u64 {
        match self.sizer {
            Sizer::Requests => amount.records,
            Sizer::Items => amount.items,
            Sizer::Bytes => amount.bytes,
        }
    }

    /// From now on nothing waits for a batch to fill, and [`Self::next`] ends with the last parcel.
    pub(super) fn drain(&self) {
        self.lock().draining = true;
        self.wake.notify_waiters();
        self.wake.notify_one();
    }

    /// The next batch; `None` when the queue is drained.
    pub(super) async fn next(self: &Arc<Self>) -> Option<Load> {
        loop {
            let (next, more) = self.take(Instant::now());
            match next {
                Next::Load(load) => {
                    if more {
                        self.wake.notify_one();
                    }
                    return Some(load);
                }
                Next::ReadBack(index) => {
                    if more {
                        self.wake.notify_one();
                    }
                    let queue = self.clone();
                    // A panic in there is told on the standard error output; the queue goes on.
                    let _ = tokio::task::spawn_blocking(move || queue.read_back(index)).await;
                }
                Next::Done => {
                    // Consumers that came to wait after `drain` had woken everybody.
                    self.wake.notify_one();
                    return None;
                }
                Next::Wait => self.wake.notified().await,
                Next::WaitUntil(deadline) => {
                    // Either way the queue is looked at again.
                    let _ = tokio::time::timeout_at(deadline.into(), self.wake.notified()).await;
                }
            }
        }
    }

    /// What a consumer shall do now, and whether there is something left for another one.
    fn take(&self, now: Instant) -> (Next, bool) {
        let mut state = self.lock();
        let State {
            lanes,
            turn,
            draining,
            ..
        } = &mut *state;
        let count = lanes.len();
        let mut deadline: Option<Instant> = None;
        let mut unfinished = false;
        let half_empty = self.capacity.memory.used() < self.capacity.memory.limit() / 2;
        for offset in 0..count {
            let index = (*turn + offset) % count;
            let lane = &mut lanes[index];
            if let Some(backlog) = lane.backlog.as_ref().filter(|backlog| !backlog.is_empty()) {
                match backlog.turn(now) {
                    Turn::Now if half_empty || lane.parcels.is_empty() => {
                        let more = lanes.iter().any(|lane| !lane.parcels.is_empty());
                        return (Next::ReadBack(index), more);
                    }
                    Turn::Later(retry) => {
                        deadline = Some(deadline.map_or(retry, |earliest| earliest.min(retry)));
                    }
                    Turn::Now | Turn::None => unfinished = true,
                }
            }
            let Some(due) = lane.due() else { continue };
            if *draining || due <= now || lane.is_full(self.max_batch_bytes) {
                let load = lane.take(self.max_batch_bytes);
                *turn = (index + 1) % count;
                let more = lanes.iter().any(|lane| !lane.parcels.is_empty());
                return (Next::Load(load), more);
            }
            deadline = Some(deadline.map_or(due, |earliest| earliest.min(due)));
        }
        let next = match deadline {
            Some(deadline) => Next::WaitUntil(deadline),
            None if *draining && !unfinished => Next::Done,
            None => Next::Wait,
        };
        (next, false)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the state whole: no code between its changes can fail.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
