//! The entrance of the pipelines.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use spanmesh_otlp::Signal;
use spanmesh_wal::AppendError;

use super::account::DropReason;
use super::budget::Budget;
use super::gate::Gate;
use super::hold::Hold;
use super::limiter::Limiter;
use super::payload::Payload;
use super::queue::Pushed;
use super::room::{self, Vacancy};
use super::route::{Passage, Route};
use crate::telemetry::{Counter, Registry};

/// Where a receiver gives its payloads of one signal. Clones are the same entrance.
#[derive(Clone, Debug)]
pub struct Intake {
    inner: Arc<Inner>,
    /// The metrics of the transport that this clone is for.
    accepted: Counter,
    refused: Counter,
    failed: Counter,
    malformed: Counter,
    too_large: Counter,
    overloaded: Counter,
    unauthenticated: Counter,
}

/// The intakes of a receiver: one for each signal that a pipeline takes from it.
#[derive(Clone, Debug, Default)]
pub struct Intakes {
    /// Indexed as in [`Signal::all`].
    intakes: [Option<Intake>; 3],
}

/// Why a client has to keep its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The collector does not take it at the moment.
    Overloaded {
        /// Why.
        cause: Overload,
        /// When the client should try again.
        retry_after: Duration,
    },
    /// The collector never takes it, because it is larger than the memory budget, or than every queue
    /// that it would go to.
    TooLarge,
    /// The client waited for the result, and the destination did not take the payload.
    NotDelivered {
        /// Why.
        reason: DropReason,
        /// When the client should try again; `None` if that makes no sense.
        retry_after: Option<Duration>,
    },
}

/// What is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overload {
    /// Every queue is full.
    QueuesFull,
    /// The memory budget is used up.
    MemoryUsedUp,
    /// The disk is full or does not work.
    StorageFailed,
    /// The collector is stopping.
    Stopping,
}

#[derive(Debug)]
struct Inner {
    signal: Signal,
    routes: Vec<Route>,
    /// Whether any of them leads to a queue on disk.
    stores: bool,
    memory: Arc<Budget>,
    /// The strictest one of all pipelines.
    limiter: Option<Limiter>,
    gate: Arc<Gate>,
    /// The sums over all transports.
    accepted: Counter,
    refused: Counter,
}

/// How long a refused client should wait. Queues that are full empty themselves within seconds or
/// not at all.
const RETRY_AFTER: Duration = Duration::from_secs(1);

// === impl Intake ===

impl Intake {
    /// The entrance of `routes` for one receiver, behind `gate`. Payloads in any queue take up
    /// `memory`.
    pub fn new(signal: Signal, routes: Vec<Route>, memory: Arc<Budget>, gate: Arc<Gate>) -> Self {
        let limiters = routes.iter().filter_map(Route::limiter);
        let limiter = limiters
            .min_by_key(|limiter| limiter.limits().hard)
            .cloned();
        Self {
            inner: Arc::new(Inner {
                signal,
                stores: routes.iter().any(Route::stores),
                routes,
                memory,
                limiter,
                gate,
                accepted: Counter::default(),
                refused: Counter::default(),
            }),
            accepted: Counter::default(),
            refused: Counter::default(),
            failed: Counter::default(),
            malformed: Counter::default(),
            too_large: Counter::default(),
            overloaded: Counter::default(),
            unauthenticated: Counter::default(),
        }
    }

    /// The same entrance, with metrics for what comes over `transport`.
    fn over(&self, receiver: &str, transport: &str, registry: &Registry) -> Self {
        let (accepted, refused, failed) = match self.inner.signal {
            Signal::Traces => (
                "otelcol_receiver_accepted_spans",
                "otelcol_receiver_refused_spans",
                "otelcol_receiver_failed_spans",
            ),
            Signal::Logs => (
                "otelcol_receiver_accepted_log_records",
                "otelcol_receiver_refused_log_records",
                "otelcol_receiver_failed_log_records",
            ),
            Signal::Metrics => (
                "otelcol_receiver_accepted_metric_points",
                "otelcol_receiver_refused_metric_points",
                "otelcol_receiver_failed_metric_points",
            ),
        };
        let labels = [("receiver", receiver), ("transport", transport)];
        let rejected = |reason| {
            let signal = self.inner.signal.name();
            registry.counter(
                "spanmesh_receiver_rejected_requests",
                "Requests that were not taken, and whose items are not known.",
                &[labels[0], labels[1], ("signal", signal), ("reason", reason)],
            )
        };
        Self {
            inner: self.inner.clone(),
            accepted: registry.counter(accepted, "Items taken from clients.", &labels),
            refused: registry.counter(
                refused,
                "Items not taken from clients, which were told to try again.",
                &labels,
            ),
            failed: registry.counter(
                failed,
                "Items taken whose clients were told that a destination did not take them.",
                &labels,
            ),
            malformed: rejected("malformed"),
            too_large: rejected("too_large"),
            overloaded: rejected("overloaded"),
            unauthenticated: rejected("unauthenticated"),
        }
    }

    /// Counts a request that could not be read.
    pub fn malformed(&self) {
        self.malformed.add(1);
    }

    /// Counts a request of a client that did not show who it is.
    pub fn unauthenticated(&self) {
        self.unauthenticated.add(1);
    }

    /// Counts a request that was too large.
    pub fn too_large(&self) {
        self.too_large.add(1);
    }

    /// What a request takes up while it is being read: nothing yet.
    pub fn hold(&self) -> Hold {
        let limiter = self.inner.limiter.as_ref();
        Hold::new(&self.inner.memory, limiter, self.overloaded.clone())
    }

    /// The same for a request of which nothing has been read yet.
    ///
    /// # Errors
    /// So much memory is used that no new request is read.
    pub fn begin(&self) -> Result<Hold, Refusal> {
        let Inner {
            memory, limiter, ..
        } = &*self.inner;
        let limit = limiter.as_ref().map_or(memory.limit(), |l| l.limits().soft);
        if memory.used() >= limit {
            self.overloaded.add(1);
            return Err(Refusal::overloaded(Overload::MemoryUsedUp));
        }
        Ok(self.hold())
    }

    /// Takes a payload into the queues of all destinations. When this returns, the queues hold it, or,
    /// where clients wait for the result, the destination has it. It returns a little later where a queue
    /// grows because its destination takes less than comes in, see [`super::pace`].
    ///
    /// `hold` is what the request took up so far; it is resized to what the payload takes up.
    ///
    /// A destination without room loses the payload, and counts that, if another one has room.
    ///
    /// # Errors
    /// No destination has room, the memory budget is used up, the payload is too large for both, or
    /// the collector is stopping: nothing was taken. Or the client waited for the result, and there was none.
    pub async fn admit(&self, payload: Payload, hold: Hold) -> Result<(), Refusal> {
        if !self.inner.stores {
            return self.take(payload, hold).await;
        }
        // What is on its way to a disk arrives there, so it has to be accounted for even if the client
        // goes before it is told.
        let intake = self.clone();
        let taken = tokio::spawn(async move { intake.take(payload, hold).await });
        taken
            .await
            .unwrap_or(Err(Refusal::not_delivered(DropReason::Lost)))
    }

    async fn take(&self, payload: Payload, mut hold: Hold) -> Result<(), Refusal> {
        let inner = &*self.inner;
        let items = payload.items();
        if items == 0 {
            return Ok(());
        }
        let Some(pass) = inner.gate.enter() else {
            return Err(self.refuse(items, Refusal::overloaded(Overload::Stopping)));
        };
        if let Err(refusal) = hold.fit(payload.memory()) {
            return Err(self.refuse(items, refusal));
        }
        let mut passage = Passage::default();
        for route in &inner.routes {
            route.send(payload.clone(), &mut passage);
        }
        drop(payload);
        // Processors may have made it larger, and pipelines different from each other.
        if let Err(refusal) = hold.fit(passage.memory()) {
            return Err(self.refuse(items, refusal));
        }
        let memory = Arc::new(hold.into_reservation());
        let Passage { entries, .. } = &passage;
        let vacancies = room::reserve(entries, &memory, &inner.gate).await;
        let has_room = |vacancy: &Vacancy| matches!(vacancy, Vacancy::Room(_));
        if !entries.is_empty() && !vacancies.iter().any(has_room) {
            let too_large = vacancies.iter().all(|v| matches!(v, Vacancy::Never));
            let refusal = match too_large {
                true => Refusal::TooLarge,
                false => Refusal::overloaded(inner.overload()),
            };
            return Err(self.refuse(items, refusal));
        }
        let mut outcomes = Vec::new();
        let mut storing = Vec::new();
        let mut held = entries.is_empty();
        let mut full = Vec::new();
        for ((lane, payload), vacancy) in entries.iter().zip(vacancies) {
            match vacancy {
                Vacancy::Room(room) => match lane.push(payload, room) {
                    Pushed::Held(outcome) => {
                        held = true;
                        outcomes.extend(outcome);
                    }
                    Pushed::Storing(told) => storing.push((lane, payload, told)),
                },
                Vacancy::Full | Vacancy::Never => full.push((lane, payload)),
            }
        }
        let mut failed = Vec::new();
        for (lane, payload, told) in storing {
            match told.await.unwrap_or(Err(AppendError::Closed)) {
                Ok(()) => held = true,
                Err(error) => {
                    lane.complain(payload, &error);
                    failed.push((lane, payload));
                }
            }
        }
        if !held {
            let refusal = Refusal::overloaded(Overload::StorageFailed);
            return Err(self.refuse(items, refusal));
        }
        for (lane, payload) in full {
            lane.overflow(payload);
        }
        for (lane, payload) in failed {
            lane.not_stored(payload);
        }
        let delay = entries.iter().filter_map(|(lane, _)| lane.queue().delay());
        let delay = delay.max();
        passage.settle(inner.signal);
        // The queues have it, whatever the client gets to hear, or whether it is still there.
        inner.accepted.add(items);
        self.accepted.add(items);
        if let Some(limiter) = &inner.limiter {
            limiter.count_accepted(items);
        }
        // What comes now must not hold up the gate, nor what was delivered meanwhile.
        drop(pass);
        drop(memory);
        for outcome in outcomes {
            // A sender that is gone without a word would be a defect, and counted as such.
            if let Err(reason) = outcome.await.unwrap_or(Err(DropReason::Lost)) {
                self.failed.add(items);
                return Err(Refusal::not_delivered(reason));
            }
        }
        if let Some(delay) = delay {
            tokio::time::sleep(delay).await;
        }
        Ok(())
    }

    /// What counts how many items are accepted and refused, over all transports.
    pub fn counters(&self) -> (Counter, Counter) {
        (self.inner.accepted.clone(), self.inner.refused.clone())
    }

    /// How many items were accepted and refused, over all transports.
    pub fn totals(&self) -> (u64, u64) {
        (self.inner.accepted.get(), self.inner.refused.get())
    }

    fn refuse(&self, items: u64, refusal: Refusal) -> Refusal {
        if let (Some(limiter), Some(Overload::MemoryUsedUp)) =
            (&self.inner.limiter, refusal.overload())
        {
            limiter.count_refused(items);
        }
        self.count_refused(items);
        refusal
    }

    fn count_refused(&self, items: u64) {
        self.inner.refused.add(items);
        self.refused.add(items);
    }
}

// === impl Inner ===

impl Inner {
    /// Why queues have no room.
    fn overload(&self) -> Overload {
        if self.gate.is_hurried() {
            // Nobody waits for room any more; without that there might have been some.
            Overload::Stopping
        } else {
            Overload::QueuesFull
        }
    }
}

// === impl Refusal ===

impl Refusal {
    pub(super) fn overloaded(cause: Overload) -> Self {
        Self::Overloaded {
            cause,
            retry_after: RETRY_AFTER,
        }
    }

    /// What is used up, if that is why.
    fn overload(&self) -> Option<Overload> {
        match self {
            Self::Overloaded { cause, .. } => Some(*cause),
            Self::TooLarge | Self::NotDelivered { .. } => None,
        }
    }

    fn not_delivered(reason: DropReason) -> Self {
        let retry_after = match reason {
            DropReason::QueueFull
            | DropReason::RetriesExhausted
            | DropReason::Shutdown
            | DropReason::StorageCorrupt
            | DropReason::StorageFailed
            | DropReason::Lost => Some(RETRY_AFTER),
            DropReason::Rejected
            | DropReason::Refused
            | DropReason::TooLarge
            | DropReason::Processor => None,
        };
        Self::NotDelivered {
            reason,
            retry_after,
        }
    }

    /// When the client should try again; `None` if that makes no sense.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Overloaded { retry_after, .. } => Some(*retry_after),
            Self::TooLarge => None,
            Self::NotDelivered { retry_after, .. } => *retry_after,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overloaded { cause, .. } => f.write_str(match cause {
                Overload::QueuesFull => "every queue is full, try again later",
                Overload::MemoryUsedUp => "the memory budget is used up, try again later",
                Overload::StorageFailed => "the storage on disk did not take it, try again later",
                Overload::Stopping => "the collector is stopping, try again later",
            }),
            Self::TooLarge => f.write_str(
                "the request is larger than the collector's queues or its memory budget",
            ),
            Self::NotDelivered { reason, .. } => {
                write!(f, "the destination did not take it: {}", reason.name())
            }
        }
    }
}

// === impl Intakes ===

impl Intakes {
    /// Sets the entrance of a signal.
    pub fn set(&mut self, signal: Signal, intake: Intake) {
        self.intakes[index(signal)] = Some(intake);
    }

    /// The same entrances, with metrics for what comes over `transport`.
    pub fn over(&self, receiver: &str, transport: &str, registry: &Registry) -> Self {
        let over = |intake: &Intake| intake.over(receiver, transport, registry);
        Self {
            intakes: self
                .intakes
                .each_ref()
                .map(|intake| intake.as_ref().map(over)),
        }
    }

    /// The entrance of a signal; `None` if no pipeline takes it from this receiver.
    pub fn get(&self, signal: Signal) -> Option<&Intake> {
        self.intakes[index(signal)].as_ref()
    }
}

const fn index(signal: Signal) -> usize {
    match signal {
        Signal::Traces => 0,
        Signal::Logs => 1,
        Signal::Metrics => 2,
    }
}

#[cfg(test)]
#[path = "intake_tests.rs"]
mod tests;
