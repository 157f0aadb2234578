//! Tests of a destination whose exporter misbehaves, or whose disk does.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::super::budget::Budget;
use super::super::component::BoxFuture;
use super::super::gate::Gate;
use super::super::intake::{Intake, Intakes, Pipelines};
use super::super::payload::Payload;
use super::super::route::Route;
use super::super::storage::StorageOptions;
use super::*;
use crate::config::Span;

/// Panics for the first batch and takes the others.
#[derive(Default)]
struct Panicking(AtomicBool);

impl Exporter for Panicking {
    fn export<'a>(&'a self, _batch: &'a Batch) -> BoxFuture<'a, Result<Delivered, ExportError>> {
        Box::pin(async {
            assert!(self.0.swap(true, Ordering::Relaxed), "the first batch");
            Ok(Delivered::default())
        })
    }
}

/// Cannot be reached so often, and takes what comes then.
struct Away {
    attempts: AtomicUsize,
    unreachable: usize,
}

impl Exporter for Away {
    fn export<'a>(&'a self, _batch: &'a Batch) -> BoxFuture<'a, Result<Delivered, ExportError>> {
        Box::pin(async {
            if self.attempts.fetch_add(1, Ordering::Relaxed) >= self.unreachable {
                return Ok(Delivered::default());
            }
            let message = "nobody there".to_owned();
            Err(ExportError::Unreachable { message })
        })
    }
}

/// Fails for the first batch at once, for the second one when it is told to, and takes what comes then.
#[derive(Default)]
struct Late {
    attempts: AtomicUsize,
    may_fail: Notify,
}

impl Exporter for Late {
    fn export<'a>(&'a self, _batch: &'a Batch) -> BoxFuture<'a, Result<Delivered, ExportError>> {
        Box::pin(async {
            match self.attempts.fetch_add(1, Ordering::Relaxed) {
                0 => {}
                1 => self.may_fail.notified().await,
                _ => return Ok(Delivered::default()),
            }
            Err(ExportError::Retryable {
                message: "busy".to_owned(),
                after: None,
            })
        })
    }
}

/// Hangs when it is stopped.
struct Hanging;

impl Exporter for Hanging {
    fn export<'a>(&'a self, _batch: &'a Batch) -> BoxFuture<'a, Result<Delivered, ExportError>> {
        Box::pin(std::future::pending())
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

/// A destination with one consumer.
fn destination(exporter: Arc<dyn Exporter>, phase: watch::Receiver<Phase>) -> Arc<Destination> {
    destination_with(exporter, 1, None, phase)
}

fn destination_with(
    exporter: Arc<dyn Exporter>,
    num_consumers: usize,
    storage: Option<Storage>,
    phase: watch::Receiver<Phase>,
) -> Arc<Destination> {
    let context = BuildContext {
        id: "test".to_owned(),
        ..BuildContext::default()
    };
    let mut options = DeliveryOptions::in_order(1_000_000);
    options.queue.num_consumers = num_consumers;
    options.retry.max_elapsed_time = Span::seconds(30);
    Destination::new(&context, exporter, options, 1_000_000, storage, phase)
}

/// One whose queue is in a folder, and not open yet.
fn stored(folder: &Path, phase: &watch::Sender<Phase>) -> Arc<Destination> {
    let options = StorageOptions {
        directory: folder.to_owned(),
        fsync: false,
        max_bytes: 1 << 20,
        lock_timeout: Duration::ZERO,
    };
    let memory = Budget::new(1_000_000);
    let storage = Some(Storage { options, memory });
    let exporter = Arc::new(Away {
        attempts: AtomicUsize::new(0),
        unreachable: 0,
    });
    destination_with(exporter, 3, storage, phase.subscribe())
}

/// What leads to a destination and nowhere else.
fn intake(destination: &Destination) -> Intake {
    let route = Route {
        steps: Vec::new(),
        onward: Vec::new(),
        limiter: None,
        flow: Arc::default(),
        lanes: vec![destination.lane(Signal::Traces, None)],
    };
    let intakes = Intakes::default();
    let pipelines = Pipelines::new(vec![route], Budget::new(1_000_000), Gate::new());
    intakes.lead_to(Signal::Traces, Some(pipelines));
    intakes.get(Signal::Traces).unwrap()
}

fn payload() -> Payload {
    let request = [0x0a, 0x06, 0x12, 0x04, 0x12, 0x00, 0x12, 0x00];
    Payload::parse(Signal::Traces, request.to_vec().into()).unwrap()
}

#[tokio::test]
async fn a_delivery_that_panics_does_not_end_its_consumer() {
    let (phase, running) = watch::channel(Phase::Running);
    let destination = destination(Arc::new(Panicking::default()), running);
    let intake = intake(&destination);
    let mut tasks = destination.start().unwrap();
    for _ in 0..2 {
        intake.admit(payload(), intake.hold()).await.unwrap();
    }
    phase.send_replace(Phase::Draining);
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    let totals = destination.account().totals(Signal::Traces);
    assert_eq!((totals.accepted, totals.sent), (4, 2));
    assert_eq!(totals.dropped, [(DropReason::Lost, 2)]);
    assert_eq!(destination.in_flight.get(), destination.finished.get());
}

#[tokio::test(start_paused = true)]
async fn who_cannot_be_reached_is_looked_for_each_second() {
    let (_phase, running) = watch::channel(Phase::Running);
    let away = Away {
        attempts: AtomicUsize::new(0),
        unreachable: 20,
    };
    let destination = destination(Arc::new(away), running);
    let intake = intake(&destination);
    let _tasks = destination.start().unwrap();
    let began = Instant::now();
    intake.admit(payload(), intake.hold()).await.unwrap();
    while destination.account().totals(Signal::Traces).sent == 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // By `retry_on_failure` alone only the fifth or sixth attempt would come until then, and the batch
    // be given up after it.
    let took = began.elapsed().as_secs();
    assert!((20..22).contains(&took), "{took} s");
}

#[tokio::test(start_paused = true)]
async fn who_fails_after_another_one_got_through_tries_again_at_once() {
    let (_phase, running) = watch::channel(Phase::Running);
    let late = Arc::new(Late::default());
    let destination = destination_with(late.clone(), 2, None, running);
    let intake = intake(&destination);
    let _tasks = destination.start().unwrap();
    for _ in 0..2 {
        intake.admit(payload(), intake.hold()).await.unwrap();
    }
    let sent = async |items| {
        while destination.account().totals(Signal::Traces).sent < items {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    sent(2).await;
    assert_eq!(late.attempts.load(Ordering::Relaxed), 3);
    let began = Instant::now();
    late.may_fail.notify_one();
    sent(4).await;
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn what_cannot_be_read_back_stays_on_disk_when_deliveries_are_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let (phase, _) = watch::channel(Phase::Running);
    let first = stored(folder.path(), &phase);
    let intake = intake(&first);
    first.open().await.unwrap();
    for _ in 0..3 {
        intake.admit(payload(), intake.hold()).await.unwrap();
    }
    first.stop().await;

    let second = stored(folder.path(), &phase);
    let _lane = second.lane(Signal::Traces, None);
    second.open().await.unwrap();
    // A link to itself is there, and cannot be opened.
    let log = std::fs::read_dir(folder.path()).unwrap().next().unwrap();
    for file in std::fs::read_dir(log.unwrap().path()).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|suffix| suffix == "segment") {
            std::fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink(&path, &path).unwrap();
        }
    }
    let tasks = second.start().unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    phase.send_replace(Phase::Abandoning);
    let ended = tokio::time::timeout(Duration::from_secs(10), tasks.join_all());
    assert!(ended.await.is_ok(), "they wait for the disk");
    second.stop().await;
    let totals = second.account().totals(Signal::Traces);
    assert_eq!((totals.recovered, totals.queued), (6, 6));
}

#[tokio::test]
async fn an_exporter_that_does_not_stop_is_not_waited_for() {
    let (_phase, running) = watch::channel(Phase::Running);
    let destination = destination(Arc::new(Hanging), running);
    let stopped = tokio::time::timeout(20 * STOP_TIMEOUT, destination.stop());
    assert!(stopped.await.is_ok());
}
