//! Tests of the entrance: who is let in, and who is told to come back.

use super::super::account::Account;
use super::super::component::Processed;
use super::super::options::QueueOptions;
use super::super::queue::Queue;
use super::*;

/// A destination whose queue holds so many bytes; nobody empties it.
struct Destination {
    account: Arc<Account>,
    lane: Lane,
}

fn destination(bytes: u64) -> Destination {
    let account = Arc::new(Account::default());
    let options = QueueOptions::default();
    let queue = Arc::new(Queue::new(account.clone(), &options, bytes, usize::MAX));
    let lane = queue.lane(Signal::Traces, None);
    Destination { account, lane }
}

fn intake(destinations: &[&Destination], memory: u64) -> Intake {
    let route = Route {
        processors: Vec::new(),
        lanes: destinations.iter().map(|d| d.lane.clone()).collect(),
    };
    Intake::new(
        Signal::Traces,
        vec![route],
        Budget::new(memory),
        Gate::new(),
    )
}

/// Two empty spans in 8 bytes.
fn payload() -> Payload {
    let request = [0x0a, 0x06, 0x12, 0x04, 0x12, 0x00, 0x12, 0x00];
    Payload::parse(Signal::Traces, request.to_vec().into()).unwrap()
}

#[tokio::test]
async fn a_full_destination_loses_what_another_one_takes() {
    let (small, large) = (destination(8), destination(100));
    let intake = intake(&[&small, &large], 1000);
    intake.admit(payload()).await.unwrap();
    intake.admit(payload()).await.unwrap();
    let small = small.account.totals(Signal::Traces);
    assert_eq!((small.accepted, small.queued), (4, 2));
    assert_eq!(small.dropped, [(DropReason::QueueFull, 2)]);
    assert_eq!(large.account.totals(Signal::Traces).queued, 4);
    assert_eq!(intake.totals(), (4, 0));
}

#[tokio::test]
async fn nothing_is_taken_if_nobody_has_room() {
    let (first, second) = (destination(8), destination(8));
    let intake = intake(&[&first, &second], 1000);
    intake.admit(payload()).await.unwrap();
    let refusal = intake.admit(payload()).await.unwrap_err();
    assert_eq!(refusal.retry_after(), Some(RETRY_AFTER));
    for destination in [first, second] {
        let totals = destination.account.totals(Signal::Traces);
        assert_eq!((totals.accepted, totals.queued), (2, 2));
    }
    assert_eq!(intake.totals(), (2, 2));
}

#[tokio::test]
async fn the_memory_of_the_process_is_counted_once_for_all_destinations() {
    let (first, second) = (destination(100), destination(100));
    let intake = intake(&[&first, &second], 20);
    intake.admit(payload()).await.unwrap();
    intake.admit(payload()).await.unwrap();
    assert_eq!(intake.inner.memory.used(), 16);
    assert!(intake.admit(payload()).await.is_err());
}

#[tokio::test]
async fn nobody_is_let_in_once_the_gate_is_closed() {
    let destination = destination(100);
    let intake = intake(&[&destination], 1000);
    intake.inner.gate.close().await;
    assert!(intake.admit(payload()).await.is_err());
    assert_eq!(destination.account.totals(Signal::Traces).accepted, 0);
}

/// Leaves out every span, one on purpose and the others for another reason.
struct LeaveOut;

impl Processor for LeaveOut {
    fn process(&self, payload: Payload) -> Processed {
        Processed {
            payload: None,
            sampled_out: 1,
            dropped: payload.items() - 1,
        }
    }
}

#[tokio::test]
async fn what_processors_leave_out_is_accounted_for() {
    let destination = destination(100);
    let mut intake = intake(&[&destination], 1000);
    let inner = Arc::get_mut(&mut intake.inner).unwrap();
    inner.routes[0].processors.push(Arc::new(LeaveOut));
    intake.admit(payload()).await.unwrap();
    let totals = destination.account.totals(Signal::Traces);
    assert_eq!((totals.accepted, totals.sampled_out), (2, 1));
    assert_eq!(totals.dropped, [(DropReason::Processor, 1)]);
    assert_eq!(totals.queued, 0);
}
