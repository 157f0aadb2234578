//! Tests of a destination whose exporter misbehaves.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::super::budget::Budget;
use super::super::component::BoxFuture;
use super::super::gate::Gate;
use super::super::intake::{Intake, Intakes, Pipelines};
use super::super::payload::Payload;
use super::super::route::Route;
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

/// A destination with one consumer, and the entrance to it.
fn destination(exporter: Arc<dyn Exporter>, phase: watch::Receiver<Phase>) -> Arc<Destination> {
    let context = BuildContext {
        id: "test".to_owned(),
        ..BuildContext::default()
    };
    let mut options = DeliveryOptions::in_order(1_000_000);
    options.retry.max_elapsed_time = Span::seconds(30);
    Destination::new(&context, exporter, options, 1_000_000, None, phase)
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

#[tokio::test]
async fn an_exporter_that_does_not_stop_is_not_waited_for() {
    let (_phase, running) = watch::channel(Phase::Running);
    let destination = destination(Arc::new(Hanging), running);
    let stopped = tokio::time::timeout(20 * STOP_TIMEOUT, destination.stop());
    assert!(stopped.await.is_ok());
}
