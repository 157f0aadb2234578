//! The entrance of the pipelines.
//!
//! A receiver that a new configuration does not change goes on as it is, with its connections and
//! with the requests that it is reading. Only its entrances lead elsewhere from then on, and a payload
//! that finds the pipelines of the former configuration closed goes to those of the new one.

mod entrance;
mod metrics;
mod refusal;

use std::sync::Arc;
use std::time::Duration;

use spanmesh_otlp::Signal;
use spanmesh_wal::AppendError;

pub use self::entrance::{Intakes, Pipelines};
pub(super) use self::metrics::RequestMetrics;
pub use self::refusal::{Overload, Refusal};

use self::entrance::Entrance;
use super::account::DropReason;
use super::budget::Reservation;
use super::hold::Hold;
use super::payload::Payload;
use super::queue::Pushed;
use super::result::Outcome;
use super::room::{self, Vacancy};
use super::route::Passage;

/// Where a receiver gives its payloads of one signal. Clones are the same entrance.
#[derive(Clone, Debug)]
pub struct Intake {
    signal: Signal,
    entrance: Arc<Entrance>,
    /// Those that were behind the entrance when a request began.
    pipelines: Arc<Pipelines>,
    metrics: Arc<RequestMetrics>,
}

/// A payload that queues hold.
struct Taken {
    /// What clients that wait for the results will hear.
    outcomes: Vec<Outcome>,
    /// How much later the client hears that it was taken.
    delay: Option<Duration>,
}

/// A payload that pipelines did not take.
struct Refused {
    refusal: Refusal,
    /// The payload and the memory that it takes up, if others could take it.
    rest: Option<(Payload, Reservation)>,
}

// === impl Intake ===

impl Intake {
    /// Counts a request that could not be read.
    pub fn malformed(&self) {
        self.metrics.malformed();
    }

    /// Counts a request of a client that did not show who it is.
    pub fn unauthenticated(&self) {
        self.metrics.unauthenticated();
    }

    /// Counts a request that was too large.
    pub fn too_large(&self) {
        self.metrics.too_large();
    }

    /// What a request takes up while it is being read: nothing yet.
    pub fn hold(&self) -> Hold {
        self.pipelines.hold(&self.metrics)
    }

    /// The same for a request of which nothing has been read yet.
    ///
    /// # Errors
    /// So much memory is used that no new request is read.
    pub fn begin(&self) -> Result<Hold, Refusal> {
        let Pipelines {
            memory, limiter, ..
        } = &*self.pipelines;
        let limit = limiter.as_ref().map_or(memory.limit(), |l| l.limits().soft);
        if memory.used() >= limit {
            self.metrics.overloaded();
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
        let items = payload.items();
        if items == 0 {
            self.metrics.succeeded();
            return Ok(());
        }
        let mut pipelines = self.pipelines.clone();
        let mut attempt = (payload, hold);
        let taken = loop {
            let (payload, hold) = attempt;
            let refused = match self.take_or_store(&pipelines, payload, hold).await {
                Ok(taken) => break taken,
                Err(refused) => refused,
            };
            let rest = refused.rest.filter(|_| pipelines.gate.has_successor());
            let Some((payload, memory)) = rest else {
                return Err(self.refuse(&pipelines, items, refused.refusal));
            };
            // The configuration has changed in between, which is no reason to send anybody away. What
            // waits for the next one takes up its memory meanwhile.
            let Some(next) = self.entrance.after(&pipelines).await else {
                return Err(self.refuse(&pipelines, items, refused.refusal));
            };
            attempt = (payload, next.hold(&self.metrics).with(memory));
            pipelines = next;
        };
        // What comes now holds up neither the gate nor what was delivered meanwhile.
        for outcome in taken.outcomes {
            // A sender that is gone without a word would be a defect, and counted as such.
            if let Err(reason) = outcome.await.unwrap_or(Err(DropReason::Lost)) {
                self.metrics.failed(items);
                return Err(Refusal::not_delivered(reason));
            }
        }
        if let Some(delay) = taken.delay {
            tokio::time::sleep(delay).await;
        }
        self.metrics.succeeded();
        Ok(())
    }

    async fn take_or_store(
        &self,
        pipelines: &Arc<Pipelines>,
        payload: Payload,
        hold: Hold,
    ) -> Result<Taken, Refused> {
        if !pipelines.stores {
            return self.take(pipelines, payload, hold).await;
        }
        // What is on its way to a disk arrives there, so it has to be accounted for even if the client
        // goes before it is told.
        let (intake, pipelines) = (self.clone(), pipelines.clone());
        let taken = tokio::spawn(async move { intake.take(&pipelines, payload, hold).await });
        taken
            .await
            .unwrap_or_else(|_| Err(Refused::at_all(Refusal::not_delivered(DropReason::Lost))))
    }

    /// Takes a payload into queues.
    async fn take(
        &self,
        pipelines: &Pipelines,
        payload: Payload,
        mut hold: Hold,
    ) -> Result<Taken, Refused> {
        let items = payload.items();
        hold.fit(payload.memory()).map_err(Refused::at_all)?;
        let Some(pass) = pipelines.gate.enter() else {
            return Err(Refused::here(payload, hold.into_reservation()));
        };
        let untouched = pipelines.waits.then(|| payload.clone());
        let mut passage = Passage::default();
        for route in &pipelines.routes {
            route.send(payload.clone(), &mut passage);
        }
        drop(payload);
        // Processors may have made it larger, and pipelines different from each other.
        hold.fit(passage.memory()).map_err(Refused::at_all)?;
        let memory = Arc::new(hold.into_reservation());
        let Passage { entries, .. } = &passage;
        let reserved = room::reserve(entries, &memory, &pipelines.gate).await;
        let Some(vacancies) = reserved else {
            drop(passage);
            return Err(Refused::unprocessed(untouched, memory));
        };
        let has_room = |vacancy: &Vacancy| matches!(vacancy, Vacancy::Room(_));
        if !entries.is_empty() && !vacancies.iter().any(has_room) {
            if vacancies.iter().all(|v| matches!(v, Vacancy::Never)) {
                return Err(Refused::at_all(Refusal::TooLarge));
            }
            let refusal = Refusal::overloaded(pipelines.overload());
            return Err(Refused::at_all(refusal));
        }
        let mut outcomes = Vec::new();
        let mut storing = Vec::new();
        let mut held = entries.is_empty();
        let mut full = Vec::new();
        let mut delay = None;
        for ((lane, payload), vacancy) in entries.iter().zip(vacancies) {
            match vacancy {
                Vacancy::Room(room) => match lane.push(payload, room) {
                    Pushed::Held(outcome) => {
                        held = true;
                        // Who waits for the outcome waits long enough; a queue that is full has no say.
                        match outcome {
                            Some(outcome) => outcomes.push(outcome),
                            None => delay = delay.max(lane.queue().delay()),
                        }
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
            return Err(Refused::at_all(refusal));
        }
        for (lane, payload) in full {
            lane.overflow(payload);
        }
        for (lane, payload) in failed {
            lane.not_stored(payload);
        }
        passage.settle(self.signal);
        // The queues have it, whatever the client gets to hear, or whether it is still there.
        self.entrance.accepted.add(items);
        self.metrics.taken(items);
        if let Some(limiter) = &pipelines.limiter {
            limiter.count_accepted(items);
        }
        drop(pass);
        Ok(Taken { outcomes, delay })
    }

    fn refuse(&self, pipelines: &Pipelines, items: u64, refusal: Refusal) -> Refusal {
        if let (Some(limiter), Some(Overload::MemoryUsedUp)) =
            (&pipelines.limiter, refusal.overload())
        {
            limiter.count_refused(items);
        }
        self.entrance.refused.add(items);
        self.metrics.refused(items, refusal.retry_after().is_some());
        refusal
    }
}

// === impl Refused ===

impl Refused {
    /// No other pipelines would take it either.
    fn at_all(refusal: Refusal) -> Self {
        Self {
            refusal,
            rest: None,
        }
    }

    /// Those that come next may take it.
    fn here(payload: Payload, memory: Reservation) -> Self {
        Self {
            refusal: Refusal::overloaded(Overload::Stopping),
            rest: Some((payload, memory)),
        }
    }

    /// The same of a payload as it was before processors made it smaller or larger; `memory` is what it
    /// took up then.
    fn unprocessed(payload: Option<Payload>, memory: Arc<Reservation>) -> Self {
        if let Some((payload, mut memory)) = payload.zip(Arc::into_inner(memory))
            && memory.resize(payload.memory())
        {
            return Self::here(payload, memory);
        }
        Self::at_all(Refusal::overloaded(Overload::MemoryUsedUp))
    }
}

#[cfg(test)]
mod tests;
