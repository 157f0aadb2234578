//! The queue of one destination, in memory or on disk.
//!
//! Pipelines that feed the destination have a [`Lane`] for each signal, because batches hold one
//! signal and pipelines batch differently. All lanes share the destination's budget. Payloads are
//! not copied into batches: a batch is a list of them.
//!
//! On disk, a payload is in the queue once it is appended to the log of its exporter and signal, and
//! leaves the log when it is settled. Lanes of the same signal are one then, which batches as the
//! first of their pipelines does that says how. See [`super::backlog`] for what is not in memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use spanmesh_otlp::{Limits, Signal};
use spanmesh_wal::{AppendError, Located, Mark};
use tokio::sync::{Notify, oneshot};
use tracing::{info, warn};

use super::account::{Account, DropReason};
use super::backlog::{Backlog, Turn};
use super::budget::Budget;
use super::component::{BuildContext, StartError};
use super::options::{Batching, QueueOptions, Sizer};
use super::parcel::{Load, Parcel, Ticket};
use super::payload::Payload;
use super::result::{Outcome, Watcher};
use super::room::{Capacity, Room, Size};
use super::spool::Spool;
use super::storage::Storage;
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

#[derive(Debug)]
struct Waiting {
    signal: Signal,
    batching: Option<Batching>,
    parcels: VecDeque<Parcel>,
    items: u64,
    bytes: usize,
    /// `None` in memory, and on disk before the log is open.
    backlog: Option<Backlog>,
}

/// What became of a payload that came into a lane.
#[derive(Debug)]
pub(super) enum Pushed {
    /// The queue holds it; with what will become of it, if clients wait for that.
    Held(Option<Outcome>),
    /// It is on its way to the disk. If the answer is an error, the queue does not hold it.
    Storing(oneshot::Receiver<Result<(), AppendError>>),
}

/// How much of a queue on disk is in memory, in bytes: enough to feed the consumers.
const WINDOW_BYTES: u64 = 64 << 20;

enum Next {
    Load(Load),
    /// Read back what is behind in this lane.
    ReadBack(usize),
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

    /// Whether it leads to a disk.
    pub(super) fn is_stored(&self) -> bool {
        self.queue.storage.is_some()
    }

    /// Puts a payload into the room reserved for it.
    pub(super) fn push(&self, payload: &Payload, room: Room) -> Pushed {
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
        let wake = {
            let mut state = self.queue.lock();
            let draining = state.draining;
            let lane = &mut state.lanes[self.index];
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
    pub(super) fn not_stored(&self, payload: &Payload) {
        let custody = self.queue.account.accept(payload.signal(), payload.items());
        custody.dropped(DropReason::StorageFailed);
    }

    /// Says why the disk did not take a payload.
    pub(super) fn complain(&self, payload: &Payload, error: &AppendError) {
        if let Some(items) = self.queue.refusals.count(payload.items()) {
            let exporter = self.queue.name.as_str();
            warn!(exporter, items, "not taken by the storage: {error}");
        }
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
        let (size, memory) = match &storage {
            Some(storage) => (storage.options.max_bytes, memory.min(WINDOW_BYTES)),
            None => (memory, memory),
        };
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
            sizer: options.sizer,
            block_on_overflow: options.block_on_overflow,
            wait_for_result: options.wait_for_result,
            max_batch_bytes,
            storage,
            overflows: Throttle::default(),
            refusals: Throttle::default(),
        }
    }

    /// Opens the logs of a queue on disk, and takes up what an earlier process has left in them.
    /// Blocks as long as the disk does.
    ///
    /// # Errors
    /// A log that cannot be opened.
    pub(super) fn open(&self, context: &BuildContext) -> Result<(), StartError> {
        let Some(storage) = &self.storage else {
            return Ok(());
        };
        let mut state = self.lock();
        for lane in &mut state.lanes {
            let spool = Arc::new(Spool::open(&storage.options, &self.name, lane.signal)?);
            let capacity = storage.options.max_bytes;
            spool.register(&context.registry, &self.name, lane.signal, capacity);
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

    /// Closes the logs, and says what stays in them. Blocks as long as the disk does.
    pub(super) fn close(&self) {
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
    fn stored(&self, index: usize, payload: &Payload, room: Room, located: Located) {
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
    fn read_back(&self, index: usize) {
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
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.abandoned = self.storage.is_some();
        if state.abandoned {
            state.lanes.iter_mut().for_each(Waiting::keep);
        }
        drop(state);
        self.wake.notify_one();
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
            };
        }
        state.lanes.push(Waiting {
            signal,
            batching,
            parcels: VecDeque::new(),
            items: 0,
            bytes: 0,
            backlog: None,
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

// === impl Waiting ===

impl Waiting {
    /// Takes a parcel; says whether a consumer should look at it now.
    fn add(&mut self, parcel: Parcel, max_bytes: usize) -> bool {
        let first = self.parcels.is_empty();
        self.items += parcel.custody.items();
        self.bytes += parcel.bytes.len();
        self.parcels.push_back(parcel);
        first || self.is_full(max_bytes)
    }

    /// Its log, if it has one.
    fn log(&self) -> Option<(Signal, Arc<Spool>)> {
        let backlog = self.backlog.as_ref()?;
        Some((self.signal, backlog.spool.clone()))
    }

    /// Lets go of everything that is on disk, and leaves it there.
    fn keep(&mut self) {
        let Some(backlog) = &mut self.backlog else {
            return;
        };
        backlog.keep();
        self.parcels.drain(..).for_each(Parcel::kept);
        (self.items, self.bytes) = (0, 0);
    }

    /// When the oldest parcel has waited long enough; `None` if there is none.
    fn due(&self) -> Option<Instant> {
        let oldest = self.parcels.front()?;
        let wait = self.batching.map(|batching| batching.timeout);
        Some(oldest.entered + wait.unwrap_or_default())
    }

    fn is_full(&self, max_bytes: usize) -> bool {
        match self.batching {
            Some(batching) => {
                let enough = batching.min_bytes.is_some_and(|min| self.bytes >= min);
                self.items >= batching.min_items || enough || self.bytes >= max_bytes
            }
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

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
