//! From encoded records to acknowledged batches.
//!
//! Records are appended to one open batch per signal. A flush (on a tick, or when a batch is full)
//! seals it and queues it; the queue is sent to a collector's cluster by OTLP/gRPC or OTLP/HTTP
//! calls, a few at a time, in turn. A batch stays in memory until a collector has acknowledged it, has
//! refused it for good, or the configuration that made it had no time left to drain; whichever it
//! is, every record of it is counted (`stats`). The memory is bounded by [`Budget`]: over it, the
//! newest record is the one that is dropped.
//!
//! Spec: OTLP 1.11.

mod batch;
mod budget;
mod call;
mod complaint;
pub(crate) mod response;
mod retry;

use std::collections::VecDeque;
use std::rc::Rc;

pub(crate) use self::batch::OpenRecord;
pub use self::batch::{Envelope, Signal};
use self::batch::{OpenBatch, SealedBatch};
pub use self::budget::Budget;
use self::call::{FailedCall, MAX_LOGGED, Reply};
use self::complaint::Complaints;
use self::response::Partial;
use self::retry::{Backoff, Failure};
use crate::config::{Cluster, Export};
use crate::host::{Answer, CallToken, DispatchError, Host};
use crate::random::Random;
use crate::record::text;
use crate::stats::Stats;

/// So many calls are under way at once: enough for throughput over a slow network, few enough that
/// a collector that hangs does not hold every batch.
const MAX_IN_FLIGHT: usize = 4;
/// A batch of this many bytes is full: receivers commonly take 4 MiB, and a record may have many
/// long attributes.
const MAX_BATCH_BYTES: usize = 1024 * 1024;
/// So many used buffers are kept for the next batches.
const MAX_SPARE: usize = 2;

/// A batch that is postponed this often is given up.
const MAX_REFUSALS: u32 = 8;

/// The way out of one root context.
#[derive(Debug)]
pub struct Exporter {
    settings: Export,
    envelope: Envelope,
    stats: Rc<Stats>,
    budget: Budget,
    random: Random,
    traces: OpenBatch,
    logs: OpenBatch,
    queue: VecDeque<SealedBatch>,
    in_flight: Vec<InFlight>,
    spare: Vec<Vec<u8>>,
    backoff: Backoff,
    /// Which of the configured clusters is used.
    cluster: usize,
    /// For each of them the time of the monotonic clock before which its collector wants no call.
    left_alone: Vec<u64>,
    /// What this exporter holds of the budget.
    held: usize,
    complaints: Complaints,
}

/// A call that is not answered.
#[derive(Debug)]
struct InFlight {
    token: CallToken,
    batch: SealedBatch,
    /// Which of the configured clusters it went to.
    cluster: usize,
    /// By the monotonic clock.
    started: u64,
}

impl Exporter {
    /// An exporter without records.
    pub fn new(
        settings: Export,
        envelope: Envelope,
        stats: Rc<Stats>,
        budget: Budget,
        random: Random,
    ) -> Self {
        Self {
            traces: OpenBatch::new(&envelope, Vec::new()),
            logs: OpenBatch::new(&envelope, Vec::new()),
            left_alone: vec![0; settings.clusters.len()],
            settings,
            envelope,
            stats,
            budget,
            random,
            queue: VecDeque::new(),
            in_flight: Vec::new(),
            spare: Vec::new(),
            backoff: Backoff::default(),
            cluster: 0,
            held: 0,
            complaints: Complaints::default(),
        }
    }

    /// Adds the record whose fields `encode` appends.
    pub fn record(&mut self, signal: Signal, encode: impl FnOnce(&mut Vec<u8>)) {
        let stats = self.stats.of(signal);
        let batch = match signal {
            Signal::Traces => &mut self.traces,
            Signal::Logs => &mut self.logs,
        };
        stats.emitted.add(1);
        let record: OpenRecord = batch.begin();
        encode(batch.buffer());
        let bytes = batch.end(record);
        if self.budget.take(bytes, self.settings.max_queue_bytes) {
            self.held += bytes;
            return;
        }
        batch.take_back(bytes);
        stats.dropped_queue_full.add(1);
    }

    /// Whether a batch is full, so that a flush should not wait for the tick.
    pub fn is_full(&self) -> bool {
        self.batch_is_full(&self.traces) || self.batch_is_full(&self.logs)
    }

    /// Seals what there is, and sends what may be sent. While the collector fails, only full
    /// batches are sealed: many small ones would have to be sent one by one afterwards.
    pub fn flush(&mut self, host: &impl Host) {
        if !self.backoff.is_failing() || self.batch_is_full(&self.traces) {
            self.seal(Signal::Traces);
        }
        if !self.backoff.is_failing() || self.batch_is_full(&self.logs) {
            self.seal(Signal::Logs);
        }
        self.send(host, MAX_IN_FLIGHT);
    }

    /// Sends what waits for a retry whose time has come.
    pub fn resend(&mut self, host: &impl Host) {
        self.send(host, MAX_IN_FLIGHT);
    }

    /// Sends all that is left, at once.
    pub fn drain(&mut self, host: &impl Host) {
        self.seal(Signal::Traces);
        self.seal(Signal::Logs);
        self.backoff.succeed();
        self.left_alone.fill(0);
        self.send(host, usize::MAX);
    }

    /// Drops all that is left, and counts it.
    pub fn abandon(&mut self) {
        self.seal(Signal::Traces);
        self.seal(Signal::Logs);
        let in_flight = std::mem::take(&mut self.in_flight)
            .into_iter()
            .map(|call| call.batch);
        for batch in in_flight
            .chain(std::mem::take(&mut self.queue))
            .collect::<Vec<_>>()
        {
            self.stats
                .of(batch.signal)
                .dropped_shutdown
                .add(batch.records);
            self.release(batch);
        }
    }

    /// Whether there is nothing left to send or to wait for.
    pub fn is_idle(&self) -> bool {
        let open = self.traces.records() + self.logs.records();
        open == 0 && self.queue.is_empty() && self.in_flight.is_empty()
    }

    /// How many bytes of records are held.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Takes the answer to a call.
    pub fn answered(&mut self, host: &impl Host, token: CallToken, answer: Answer) {
        let Some(at) = self.in_flight.iter().position(|call| call.token == token) else {
            return;
        };
        let call = self.in_flight.swap_remove(at);
        let elapsed = host.monotonic_clock().saturating_sub(call.started);
        self.stats.export_latency.record(host, elapsed / 1_000_000);
        let reply = Reply::read(host, answer);
        self.replied(host, call.batch, call.cluster, reply);
        self.send(host, MAX_IN_FLIGHT);
    }

    fn batch_is_full(&self, batch: &OpenBatch) -> bool {
        batch.records() >= self.settings.max_records || batch.bytes() >= MAX_BATCH_BYTES
    }

    fn seal(&mut self, signal: Signal) {
        let open = match signal {
            Signal::Traces => &mut self.traces,
            Signal::Logs => &mut self.logs,
        };
        if open.records() == 0 {
            return;
        }
        let next = OpenBatch::new(&self.envelope, self.spare.pop().unwrap_or_default());
        let batch = std::mem::replace(open, next);
        self.queue.push_back(batch.seal(signal, &self.envelope));
    }

    fn send(&mut self, host: &impl Host, max_in_flight: usize) {
        // While the collector fails, one call at a time finds out whether it is back.
        let max_in_flight = if self.backoff.is_failing() {
            1
        } else {
            max_in_flight
        };
        while self.in_flight.len() < max_in_flight {
            if self.queue.is_empty() {
                return;
            }
            let started = host.monotonic_clock();
            if !self.backoff.allows(started) || self.is_left_alone(self.cluster, started) {
                return;
            }
            let Some(batch) = self.queue.pop_front() else {
                return;
            };
            let cluster = self.cluster;
            match self.start(host, &batch) {
                Ok(token) => self.in_flight.push(InFlight {
                    token,
                    batch,
                    cluster,
                    started,
                }),
                Err(error) => {
                    if error == DispatchError::UnknownCluster
                        && self.complaints.unknown_cluster.add(host, 1).is_some()
                    {
                        log::error!(
                            "exporter.clusters: Envoy has no cluster {:?}; records wait in the \
                             queue",
                            self.name(cluster)
                        );
                    }
                    self.replied(host, batch, cluster, Reply::not_started());
                }
            }
        }
    }

    fn start(&self, host: &impl Host, batch: &SealedBatch) -> Result<CallToken, DispatchError> {
        if batch.is_retry {
            self.stats.of(batch.signal).retried.add(batch.records);
        }
        let Some(cluster) = self.settings.clusters.get(self.cluster) else {
            return Err(DispatchError::UnknownCluster);
        };
        call::start(host, &self.settings, cluster, batch)
    }

    /// The name of a cluster.
    fn name(&self, cluster: usize) -> &str {
        self.settings
            .clusters
            .get(cluster)
            .map(Cluster::name)
            .unwrap_or_default()
    }

    fn replied(&mut self, host: &impl Host, batch: SealedBatch, cluster: usize, reply: Reply) {
        match reply {
            Reply::Accepted(partial) => self.accepted(host, batch, cluster, &partial),
            Reply::Failed(failed) => self.failed(host, batch, cluster, &failed),
        }
    }

    fn accepted(
        &mut self,
        host: &impl Host,
        batch: SealedBatch,
        cluster: usize,
        partial: &Partial,
    ) {
        if self.backoff.is_failing() {
            log::info!(
                "the collector in cluster {:?} accepts records again",
                self.name(cluster)
            );
        }
        self.backoff.succeed();
        self.leave_alone(cluster, 0);
        let rejected = partial.rejected.min(batch.records);
        let stats = self.stats.of(batch.signal);
        stats.sent.add(batch.records - rejected);
        stats.rejected.add(rejected);
        if (rejected > 0 || !partial.error_message.is_empty())
            && let Some(rejected) = self.complaints.rejected.add(host, rejected)
        {
            log::warn!(
                "the collector in cluster {:?} took a part only; rejected since the last such \
                 line: {rejected}; it says {:?}",
                self.name(cluster),
                text(&partial.error_message, MAX_LOGGED)
            );
        }
        self.release(batch);
    }

    fn failed(
        &mut self,
        host: &impl Host,
        mut batch: SealedBatch,
        cluster: usize,
        failed: &FailedCall,
    ) {
        self.stats.exports_failed.add(1);
        batch.is_retry = true;
        let is_given_up = match failed.failure {
            Failure::Unavailable => false,
            Failure::Postponed => {
                batch.refusals += 1;
                batch.refusals >= MAX_REFUSALS
            }
            Failure::Refused => true,
        };
        if is_given_up {
            if let Some(dropped) = self.complaints.refused.add(host, batch.records) {
                log::error!(
                    "the collector in cluster {:?} refuses records with {failed}; dropped since \
                     the last such line: {dropped}",
                    self.name(cluster)
                );
            }
            self.stats
                .of(batch.signal)
                .dropped_export_failed
                .add(batch.records);
            self.release(batch);
            return;
        }
        let now = host.monotonic_clock();
        let random = self.random.next();
        if !failed.hint.is_zero() {
            self.leave_alone(cluster, retry::end_of_hint(now, failed.hint, random));
        }
        // Otherwise another call to that cluster has failed before, and the next has taken over.
        if cluster == self.cluster {
            if !self.backoff.is_failing() {
                log::warn!(
                    "the collector in cluster {:?} fails with {failed}; records wait in the queue",
                    self.name(cluster)
                );
            }
            self.backoff.fail(now, random);
            self.next_cluster(now);
        }
        // To the end: one signal that a collector cannot take must not hold up the other.
        self.queue.push_back(batch);
    }

    /// Turns to the next of the configured clusters that may be asked, so that the retry goes there.
    fn next_cluster(&mut self, now: u64) {
        let count = self.settings.clusters.len().max(1);
        let mut following = (1..=count).map(|step| (self.cluster + step) % count);
        let found = following.find(|cluster| !self.is_left_alone(*cluster, now));
        self.cluster = found.unwrap_or((self.cluster + 1) % count);
    }

    fn is_left_alone(&self, cluster: usize, now: u64) -> bool {
        self.left_alone
            .get(cluster)
            .is_some_and(|until| now < *until)
    }

    fn leave_alone(&mut self, cluster: usize, until: u64) {
        if let Some(left_alone) = self.left_alone.get_mut(cluster) {
            *left_alone = until;
        }
    }

    fn release(&mut self, batch: SealedBatch) {
        self.budget.give_back(batch.budget_bytes);
        self.held = self.held.saturating_sub(batch.budget_bytes);
        if self.spare.len() < MAX_SPARE {
            self.spare.push(batch.into_buffer());
        }
    }
}

impl Drop for Exporter {
    /// A stream that outlives its root context may still have added a record; the other root
    /// contexts of the VM must not lose the room for it.
    fn drop(&mut self) {
        self.budget.give_back(self.held);
    }
}

#[cfg(test)]
mod tests;
