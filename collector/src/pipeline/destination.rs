//! One exporter with its queue, its retries and its account.

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use spanmesh_otlp::{Limits, Signal};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::account::{Account, DropReason};
use super::component::{Batch, BuildContext, Delivered, ExportError, Exporter, StartError};
use super::lookout::Lookout;
use super::options::{Batching, DeliveryOptions, Sizer};
use super::parcel::Load;
use super::queue::{Lane, Queue};
use super::retry::Backoff;
use super::status::{Condition, ExporterStatus};
use super::storage::Storage;
use super::unwind::caught;
use crate::telemetry::{Counter, Registry, Throttle, excerpt};

/// How far the collector is with stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It is not.
    Running,
    /// What waits is sent now.
    Draining,
    /// The time for that is over: what still waits is dropped and counted.
    Abandoning,
}

/// See the module.
pub struct Destination {
    id: String,
    exporter: Arc<dyn Exporter>,
    options: DeliveryOptions,
    queue: Arc<Queue>,
    account: Arc<Account>,
    phase: watch::Receiver<Phase>,
    /// Whether the last attempt failed for the moment, and what was refused, for those who look from
    /// outside.
    status: ExporterStatus,
    /// Wakes those who wait for another attempt, because one went well.
    recovered: Notify,
    lookout: Lookout,
    /// What is said of batches that are dropped, and of those that are taken in part.
    drops: Throttle,
    rejections: Throttle,
    in_flight: Counter,
    finished: Counter,
}

/// Counts a batch as being in flight, as long as it exists.
struct InFlight<'a>(&'a Destination);

/// How long an exporter may take to close what it writes to.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest wait for another attempt of the one who looks whether the destination is there again,
/// and of all once the collector is stopping, whose time is limited.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

// === impl Destination ===

impl Destination {
    /// A destination whose queue takes up at most `queue_memory` bytes of memory, whatever its options
    /// say, and is on disk if there is a `storage`.
    pub fn new(
        context: &BuildContext,
        exporter: Arc<dyn Exporter>,
        options: DeliveryOptions,
        queue_memory: u64,
        storage: Option<Storage>,
        phase: watch::Receiver<Phase>,
    ) -> Arc<Self> {
        let account = context.accounts.of(&context.id, &context.registry);
        if let (Some(size), Sizer::Bytes) = (options.queue.queue_size, options.queue.sizer)
            && size > queue_memory
            && storage.is_none()
        {
            let exporter = context.id.as_str();
            warn!(
                exporter,
                "the queue holds {queue_memory} bytes, its share of the memory budget, which is \
                 less than its \"queue_size\" ({size})"
            );
        }
        let status = ExporterStatus::new(options.queue.sizer, options.queue.num_consumers);
        let (queue, max_batch_bytes) = (&options.queue, options.max_batch_bytes);
        let queue = Queue::new(
            &context.id,
            account.clone(),
            queue,
            queue_memory,
            max_batch_bytes,
            storage,
        );
        Arc::new(Self {
            id: context.id.clone(),
            exporter,
            options,
            queue: Arc::new(queue),
            account,
            phase,
            status,
            recovered: Notify::new(),
            lookout: Lookout::default(),
            drops: Throttle::default(),
            rejections: Throttle::default(),
            in_flight: Counter::default(),
            finished: Counter::default(),
        })
    }

    /// Its name in the configuration.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where its items went.
    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// A pipeline's entrance to it; `batching` is what the pipeline says of batches.
    pub fn lane(&self, signal: Signal, batching: Option<Batching>) -> Lane {
        self.queue
            .lane(signal, batching.or(self.options.queue.batch))
    }

    /// Opens the queue, if it is on disk, with what an earlier process has left in it. Comes before
    /// [`Self::start`]; [`Self::stop`] closes what was opened, also after an error.
    ///
    /// # Errors
    /// The storage cannot be used.
    pub async fn open(&self) -> Result<(), StartError> {
        let queue = self.queue.clone();
        let opened = tokio::task::spawn_blocking(move || queue.open());
        opened.await.unwrap_or_else(|panic| {
            let id = &self.id;
            Err(StartError(format!("exporter \"{id}\": storage: {panic}")))
        })
    }

    /// Shows how it is, in place of a former one of the same name; for when it runs.
    pub fn show(self: &Arc<Self>, context: &BuildContext) {
        self.register(&context.registry);
        self.queue.register(&context.registry);
        context.status.attach(&self.id, self.status.clone());
    }

    /// From now on its queue takes up at most so many bytes of memory. What is there already stays.
    pub fn share_out(&self, queue_memory: u64) {
        self.queue.set_memory(queue_memory);
    }

    /// Starts to deliver. The tasks end when the phase has become [`Phase::Draining`] and the queue
    /// is empty.
    ///
    /// # Errors
    /// Why the exporter cannot start.
    pub fn start(self: &Arc<Self>) -> Result<JoinSet<()>, StartError> {
        self.exporter
            .start()
            .map_err(|StartError(error)| StartError(format!("exporter \"{}\" {error}", self.id)))?;
        let mut tasks = JoinSet::new();
        for _ in 0..self.options.queue.num_consumers {
            let destination = self.clone();
            tasks.spawn(async move {
                while let Some(load) = destination.next().await {
                    if let Err(panic) = caught(destination.deliver(load)).await {
                        let exporter = destination.id.as_str();
                        error!(exporter, "a delivery panicked, its items are lost: {panic}");
                    }
                }
            });
        }
        let queue = self.queue.clone();
        let mut phase = self.phase.clone();
        tasks.spawn(async move {
            // An error means that the service is gone, which is a reason to drain, too.
            let _ = phase.wait_for(|phase| *phase >= Phase::Draining).await;
            queue.drain();
        });
        Ok(tasks)
    }

    /// The next load. Once deliveries are given up, what is on disk stays there; also what cannot be read
    /// back at the moment, which is not waited for.
    async fn next(&self) -> Option<Load> {
        let mut phase = self.phase.clone();
        tokio::select! {
            biased;
            () = abandoned(&mut phase) => self.queue.abandon(),
            load = self.queue.next() => return load,
        }
        self.queue.next().await
    }

    /// Closes the exporter and the queue on disk; for when the tasks of [`Self::start`] have ended.
    /// The exporter may take two seconds at most, the disk as long as it needs.
    pub async fn stop(&self) {
        self.queue.abandon();
        let queue = self.queue.clone();
        // A panic is told on the standard error output.
        let _ = tokio::task::spawn_blocking(move || queue.close()).await;
        let stopped = tokio::time::timeout(STOP_TIMEOUT, self.exporter.stop());
        if stopped.await.is_err() {
            let exporter = self.id.as_str();
            warn!(
                exporter,
                "the exporter did not stop within {STOP_TIMEOUT:?}"
            );
        }
    }

    async fn deliver(&self, load: Load) {
        // Single payloads are not cut when they are taken from the queue, but here, outside its lock.
        let limits = load.limits;
        // A stack, so that the parts of a split load go in order.
        let mut pending: Vec<Load> = load.split(limits).into_iter().rev().collect();
        while let Some(load) = pending.pop() {
            let in_flight = InFlight::new(self);
            let refused = self.attempt_until_settled(load).await;
            drop(in_flight);
            let Some(load) = refused else { continue };
            let half = Limits {
                items: usize::try_from(load.items().div_ceil(2)).unwrap_or(usize::MAX),
                ..load.limits
            };
            pending.extend(load.split(half).into_iter().rev());
        }
    }

    /// Sends a load until it is settled; returns it if it has to be split first.
    async fn attempt_until_settled(&self, load: Load) -> Option<Load> {
        let batch = load.batch();
        let mut backoff = Backoff::new(&self.options.retry, Instant::now());
        let mut watch = None;
        loop {
            let mut phase = self.phase.clone();
            let was_draining = *phase.borrow() >= Phase::Draining;
            let mut recovered = pin!(self.recovered.notified());
            // Enabled before the attempt, so that one that goes well meanwhile is not missed.
            recovered.as_mut().enable();
            let result = tokio::select! {
                biased;
                () = abandoned(&mut phase) => {
                    load.dropped(DropReason::Shutdown);
                    return None;
                }
                result = self.attempt(&batch) => result,
            };
            let (message, hint) = match result {
                Ok(delivered) => {
                    self.settle_sent(load, &delivered);
                    return None;
                }
                Err(ExportError::TooLarge { .. }) if batch.items > 1 => return Some(load),
                Err(ExportError::TooLarge { message }) => {
                    self.status.refuses(&message);
                    self.settle_dropped(load, DropReason::TooLarge, &message);
                    return None;
                }
                Err(ExportError::Permanent { message }) => {
                    self.status.refuses(&message);
                    self.settle_dropped(load, DropReason::Refused, &message);
                    return None;
                }
                Err(ExportError::Unreachable { message }) => {
                    watch = watch.or_else(|| self.lookout.begin());
                    (message, None)
                }
                Err(ExportError::Retryable { message, after }) => {
                    watch = None;
                    (message, after)
                }
            };
            self.status.fails(&message);
            if was_draining && load.is_stored() {
                // The next process tries again, and this one need not be waited for.
                self.queue.abandon();
                load.kept();
                return None;
            }
            let longest = match watch.is_some() || was_draining {
                true => LOOK_INTERVAL,
                false => Duration::MAX,
            };
            let Some(delay) = backoff.next(Instant::now(), hint, longest) else {
                self.settle_dropped(load, DropReason::RetriesExhausted, &message);
                return None;
            };
            // Said once an outage, not for every batch that waits for its end.
            if !self.queue.fails(true) {
                let exporter = self.id.as_str();
                let items = batch.items;
                warn!(
                    exporter,
                    items,
                    ?delay,
                    "delivery failed, trying again: {}",
                    excerpt(&message)
                );
            }
            let mut last = self.phase.clone();
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                // A hint of the destination is for this batch, whatever becomes of others.
                () = recovered, if hint.is_none() => {}
                // What was tried before the collector began to stop is tried again at once.
                () = draining(&mut phase), if !was_draining => {}
                () = abandoned(&mut last) => {}
            }
        }
    }

    async fn attempt(&self, batch: &Batch) -> Result<Delivered, ExportError> {
        let Some(timeout) = self.options.timeout else {
            return self.exporter.export(batch).await;
        };
        match tokio::time::timeout(timeout, self.exporter.export(batch)).await {
            Ok(result) => result,
            Err(_) => Err(ExportError::Retryable {
                message: format!("no answer within {timeout:?}"),
                after: None,
            }),
        }
    }

    fn settle_sent(&self, load: Load, delivered: &Delivered) {
        let exporter = self.id.as_str();
        self.status.works();
        if self.queue.fails(false) {
            info!(exporter, "delivery works again");
            self.recovered.notify_waiters();
        }
        if (delivered.rejected > 0 || !delivered.message.is_empty())
            && let Some(rejected) = self.rejections.count(delivered.rejected)
        {
            let message = excerpt(&delivered.message);
            warn!(
                exporter,
                rejected, "the destination took a part only: {message}"
            );
        }
        let mut rejected = delivered.rejected;
        for parcel in load.parcels {
            // Which of the items were refused is not said; their number is what counts.
            let here = rejected.min(parcel.custody.items());
            rejected -= here;
            parcel.sent(here);
        }
    }

    fn settle_dropped(&self, load: Load, reason: DropReason, message: &str) {
        if let Some(items) = self.drops.count(load.items()) {
            let exporter = self.id.as_str();
            let signal = load.signal.name();
            warn!(
                exporter,
                signal,
                items,
                reason = reason.name(),
                "dropped: {}",
                excerpt(message)
            );
        }
        load.dropped(reason);
    }

    /// Exports its gauges, which are gone when it is.
    fn register(self: &Arc<Self>, registry: &Registry) {
        let labels = [("exporter", self.id.as_str())];
        let gauge = |name, help, read: fn(&Self) -> f64| {
            let destination: Weak<Self> = Arc::downgrade(self);
            registry.gauge_while(name, help, &labels, move || {
                destination.upgrade().map(|destination| read(&destination))
            });
        };
        gauge(
            "otelcol_exporter_queue_size",
            "What waits or is on its way, in the unit of the queue's sizer.",
            |one| one.queue.capacity().units.used() as f64,
        );
        gauge(
            "otelcol_exporter_queue_capacity",
            "What may wait, in the unit of the queue's sizer.",
            |one| one.queue.capacity().units.limit() as f64,
        );
        gauge(
            "spanmesh_exporter_queue_memory_bytes",
            "Bytes of memory that the queue takes up.",
            |one| one.queue.capacity().memory.used() as f64,
        );
        gauge(
            "spanmesh_exporter_queue_memory_capacity_bytes",
            "Bytes of memory that the queue may take up.",
            |one| one.queue.capacity().memory.limit() as f64,
        );
        gauge(
            "spanmesh_exporter_failing",
            "1 while the destination does not take what it gets, 0 while it does.",
            |one| f64::from(u8::from(one.status.health().condition != Condition::Works)),
        );
        gauge(
            "otelcol_exporter_in_flight_requests",
            "Batches that are being sent or wait for another attempt.",
            |one| {
                let finished = one.finished.get();
                one.in_flight.get().saturating_sub(finished) as f64
            },
        );
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Destination").field(&self.id).finish()
    }
}

// === impl InFlight ===

impl<'a> InFlight<'a> {
    fn new(destination: &'a Destination) -> Self {
        destination.in_flight.add(1);
        Self(destination)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.finished.add(1);
    }
}

// === impl Load ===

impl Load {
    fn batch(&self) -> Batch {
        Batch {
            signal: self.signal,
            frames: self
                .parcels
                .iter()
                .map(|parcel| parcel.bytes.clone())
                .collect(),
            items: self.items(),
            bytes: self.bytes(),
        }
    }

    fn dropped(self, reason: DropReason) {
        for parcel in self.parcels {
            parcel.dropped(reason);
        }
    }
}

async fn draining(phase: &mut watch::Receiver<Phase>) {
    // An error means that the service is gone.
    let _ = phase.wait_for(|phase| *phase >= Phase::Draining).await;
}

async fn abandoned(phase: &mut watch::Receiver<Phase>) {
    let _ = phase.wait_for(|phase| *phase >= Phase::Abandoning).await;
}

#[cfg(test)]
#[path = "destination_tests.rs"]
mod tests;
