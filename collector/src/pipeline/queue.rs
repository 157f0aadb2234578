//! The queue of one destination, in memory.
//!
//! Each pipeline that feeds the destination has a [`Lane`] of its own, because batches hold one
//! signal and pipelines batch differently. All lanes share the destination's budget. Payloads are
//! not copied into batches: a batch is a list of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use spanmesh_otlp::{Limits, Signal};
use tokio::sync::Notify;
use tracing::warn;

use super::account::{Account, Custody, DropReason};
use super::budget::Budget;
use super::options::{Batching, QueueOptions, Sizer};
use super::payload::Payload;
use super::result::{Outcome, Watcher};
use super::room::{Capacity, Room, Size};
use crate::telemetry::Throttle;

/// One pipeline's entrance to a destination.
#[derive(Clone, Debug)]
pub struct Lane {
    queue: Arc<Queue>,
    index: usize,
}

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
    sizer: Sizer,
    block_on_overflow: bool,
    wait_for_result: bool,
    max_batch_bytes: usize,
    overflows: Throttle,
}

#[derive(Debug, Default)]
struct State {
    lanes: Vec<Waiting>,
    /// Where the search for a full lane starts, so that none starves.
    turn: usize,
    draining: bool,
}

#[derive(Debug)]
struct Waiting {
    signal: Signal,
    batching: Option<Batching>,
    parcels: VecDeque<Parcel>,
    items: u64,
    bytes: usize,
}

/// A payload with everything that is held for it until it is delivered.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) bytes: Bytes,
    pub(super) custody: Custody,
    pub(super) room: Room,
    entered: Instant,
}

/// Parcels of one signal that travel together.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) signal: Signal,
    pub(super) parcels: Vec<Parcel>,
    /// How large a batch may be. A single parcel may be larger until it is split.
    pub(super) limits: Limits,
}

enum Next {
    Load(Load),
    WaitUntil(Instant),
    Wait,
    Done,
}

// === impl Lane ===

impl Lane {
    /// The queue that it leads to.
    pub(super) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// Puts a payload into the room reserved for it. Returns what will become of it if the queue is
    /// configured so that clients wait for that.
    pub(super) fn push(&self, payload: &Payload, room: Room) -> Option<Outcome> {
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
        };
        let wake = {
            let mut state = self.queue.lock();
            let draining = state.draining;
            let lane = &mut state.lanes[self.index];
            let first = lane.parcels.is_empty();
            lane.items += parcel.custody.items();
            lane.bytes += parcel.bytes.len();
            lane.parcels.push_back(parcel);
            first || draining || lane.is_full(self.queue.max_batch_bytes)
        };
        if wake {
            self.queue.wake.notify_one();
        }
        outcome
    }

    /// Counts a payload for which there was no room while other destinations took it.
    pub(super) fn overflow(&self, payload: &Payload) {
        let custody = self.queue.account.accept(payload.signal(), payload.items());
        custody.dropped(DropReason::QueueFull);
        if let Some(items) = self.queue.overflows.count(payload.items()) {
            let exporter = self.queue.name.as_str();
            warn!(exporter, items, "dropped: the queue is full");
        }
    }

    /// Counts items that a processor left out before they came here.
    pub(super) fn left_out(&self, signal: Signal, sampled_out: u64, dropped: u64) {
        let account = &self.queue.account;
        account.accept(signal, sampled_out).sampled_out();
        account
            .accept(signal, dropped)
            .dropped(DropReason::Processor);
    }
}

// === impl Queue ===

impl Queue {
    /// A queue that takes up at most `memory` bytes, and holds no more than its options say.
    pub(super) fn new(
        name: &str,
        account: Arc<Account>,
        options: &QueueOptions,
        memory: u64,
        max_batch_bytes: usize,
    ) -> Self {
        let capacity = Capacity {
            units: Budget::new(options.queue_size.unwrap_or(memory)),
            memory: Budget::new(memory),
        };
        Self {
            name: name.to_owned(),
            state: Mutex::default(),
            wake: Notify::new(),
            account,
            capacity,
            sizer: options.sizer,
            block_on_overflow: options.block_on_overflow,
            wait_for_result: options.wait_for_result,
            max_batch_bytes,
            overflows: Throttle::default(),
        }
    }

    pub(super) fn lane(self: &Arc<Self>, signal: Signal, batching: Option<Batching>) -> Lane {
        let mut state = self.lock();
        state.lanes.push(Waiting {
            signal,
            batching,
            parcels: VecDeque::new(),
            items: 0,
            bytes: 0,
        });
        Lane {
            queue: self.clone(),
            index: state.lanes.len() - 1,
        }
    }

    pub(super) fn capacity(&self) -> &Capacity {
        &self.capacity
    }

    /// Whether clients wait for room.
    pub(super) fn blocks_on_overflow(&self) -> bool {
        self.block_on_overflow
    }

    /// What a payload takes up here.
    pub(super) fn size_of(&self, payload: &Payload) -> Size {
        let units = match self.sizer {
            Sizer::Requests => 1,
            Sizer::Items => payload.items(),
            Sizer::Bytes => payload.bytes().len() as u64,
        };
        Size {
            units,
            memory: payload.memory(),
        }
    }

    /// From now on nothing waits for a batch to fill, and [`Self::next`] ends with the last parcel.
    pub(super) fn drain(&self) {
        self.lock().draining = true;
        self.wake.notify_waiters();
        self.wake.notify_one();
    }

    /// The next batch; `None` when the queue is drained.
    pub(super) async fn next(&self) -> Option<Load> {
        loop {
            let (next, more) = self.take(Instant::now());
            match next {
                Next::Load(load) => {
                    if more {
                        self.wake.notify_one();
                    }
                    return Some(load);
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
        } = &mut *state;
        let count = lanes.len();
        let mut deadline: Option<Instant> = None;
        for offset in 0..count {
            let index = (*turn + offset) % count;
            let lane = &mut lanes[index];
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
            None if *draining => Next::Done,
            None => Next::Wait,
        };
        (next, false)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the state whole: no code between its changes can fail.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Waiting ===

impl Waiting {
    /// When the oldest parcel has waited long enough; `None` if there is none.
    fn due(&self) -> Option<Instant> {
        let oldest = self.parcels.front()?;
        let wait = self.batching.map(|batching| batching.timeout);
        Some(oldest.entered + wait.unwrap_or_default())
    }

    fn is_full(&self, max_bytes: usize) -> bool {
        match self.batching {
            Some(batching) => self.items >= batching.min_items || self.bytes >= max_bytes,
            None => !self.parcels.is_empty(),
        }
    }

    /// Takes the oldest parcels, one at least, up to the limits of a batch.
    fn take(&mut self, max_bytes: usize) -> Load {
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
                    let enough = batching.min_items > 0 && items >= batching.min_items;
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

// === impl Load ===

impl Load {
    pub(super) fn items(&self) -> u64 {
        self.parcels
            .iter()
            .map(|parcel| parcel.custody.items())
            .sum()
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
            });
        }
        parts
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
