//! Tests of the entrance: who is let in, and who is told to come back.

use std::task::Poll;

use super::super::account::Account;
use super::super::budget::Budget;
use super::super::component::{Processed, Processor};
use super::super::gate::Gate;
use super::super::limiter::{Limiter, MemoryLimits, Pressure};
use super::super::options::{QueueOptions, Sizer};
use super::super::queue::{Lane, Queue};
use super::super::route::{Route, Step};
use super::refusal::RETRY_AFTER;
use super::*;
use crate::telemetry::Registry;

/// How long what nothing stops may take, on a machine that has other things to do, too.
const PATIENCE: Duration = Duration::from_secs(60);

/// A destination; nobody empties its queue.
struct Destination {
    account: Arc<Account>,
    queue: Arc<Queue>,
    lane: Lane,
}

/// One whose queue holds so many bytes.
fn destination(bytes: u64) -> Destination {
    let options = QueueOptions {
        queue_size: Some(bytes),
        ..QueueOptions::default()
    };
    destination_with(&options)
}

/// One for whose room clients wait.
fn blocking(requests: u64) -> Destination {
    destination_with(&QueueOptions {
        queue_size: Some(requests),
        sizer: Sizer::Requests,
        block_on_overflow: true,
        ..QueueOptions::default()
    })
}

fn destination_with(options: &QueueOptions) -> Destination {
    destination_within(options, 1_000_000)
}

/// One whose queue takes up at most so much memory.
fn destination_within(options: &QueueOptions, memory: u64) -> Destination {
    let account = Arc::new(Account::default());
    let queue = Arc::new(Queue::new(
        "test",
        account.clone(),
        options,
        memory,
        usize::MAX,
        None,
    ));
    let lane = queue.lane(Signal::Traces, None);
    Destination {
        account,
        queue,
        lane,
    }
}

fn intake(destinations: &[&Destination], memory: u64) -> Intake {
    intake_of(vec![route(destinations)], &Budget::new(memory))
}

fn route(destinations: &[&Destination]) -> Route {
    Route {
        steps: Vec::new(),
        onward: Vec::new(),
        limiter: None,
        flow: Arc::default(),
        lanes: destinations.iter().map(|d| d.lane.clone()).collect(),
    }
}

fn intake_of(routes: Vec<Route>, memory: &Arc<Budget>) -> Intake {
    let intakes = Intakes::default();
    let pipelines = Pipelines::new(routes, memory.clone(), Gate::new());
    intakes.lead_to(Signal::Traces, Some(pipelines));
    intakes.get(Signal::Traces).unwrap()
}

/// How many items were accepted and refused.
fn totals(intake: &Intake) -> (u64, u64) {
    let Entrance {
        accepted, refused, ..
    } = &*intake.entrance;
    (accepted.get(), refused.get())
}

/// Two empty spans in 8 bytes.
fn payload() -> Payload {
    let request = [0x0a, 0x06, 0x12, 0x04, 0x12, 0x00, 0x12, 0x00];
    Payload::parse(Signal::Traces, request.to_vec().into()).unwrap()
}

/// Why a payload is refused for the moment.
async fn refused(intake: &Intake) -> Overload {
    match intake.admit(payload(), intake.hold()).await {
        Err(Refusal::Overloaded { cause, retry_after }) => {
            assert_eq!(retry_after, RETRY_AFTER);
            cause
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_full_destination_loses_what_another_one_takes() {
    let (small, large) = (destination(8), destination(100));
    let intake = intake(&[&small, &large], 1_000_000);
    intake.admit(payload(), intake.hold()).await.unwrap();
    intake.admit(payload(), intake.hold()).await.unwrap();
    let small = small.account.totals(Signal::Traces);
    assert_eq!((small.accepted, small.queued), (4, 2));
    assert_eq!(small.dropped, [(DropReason::QueueFull, 2)]);
    assert_eq!(large.account.totals(Signal::Traces).queued, 4);
    assert_eq!(totals(&intake), (4, 0));
}

#[tokio::test]
async fn nothing_is_taken_if_nobody_has_room() {
    let (first, second) = (destination(8), destination(8));
    let intake = intake(&[&first, &second], 1_000_000);
    intake.admit(payload(), intake.hold()).await.unwrap();
    assert_eq!(refused(&intake).await, Overload::QueuesFull);
    for destination in [first, second] {
        let totals = destination.account.totals(Signal::Traces);
        assert_eq!((totals.accepted, totals.queued), (2, 2));
    }
    assert_eq!(totals(&intake), (2, 2));
}

#[tokio::test]
async fn the_memory_of_the_process_is_counted_once_for_all_destinations() {
    let (first, second) = (destination(100), destination(100));
    let size = payload().memory();
    let intake = intake(&[&first, &second], 2 * size + size / 2);
    intake.admit(payload(), intake.hold()).await.unwrap();
    intake.admit(payload(), intake.hold()).await.unwrap();
    assert_eq!(intake.pipelines.memory.used(), 2 * size);
    assert!(size > 200, "what is kept beside the bytes counts too");
    assert_eq!(refused(&intake).await, Overload::MemoryUsedUp);
}

#[tokio::test]
async fn nobody_is_let_in_once_the_gate_is_closed() {
    let destination = destination(100);
    let intake = intake(&[&destination], 1_000_000);
    intake.pipelines.gate.close().await;
    assert_eq!(refused(&intake).await, Overload::Stopping);
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
    let mut route = route(&[&destination]);
    route.steps.push(Step::new(Arc::new(LeaveOut)));
    let intake = intake_of(vec![route], &Budget::new(1_000_000));
    intake.admit(payload(), intake.hold()).await.unwrap();
    let totals = destination.account.totals(Signal::Traces);
    assert_eq!((totals.accepted, totals.sampled_out), (2, 1));
    assert_eq!(totals.dropped, [(DropReason::Processor, 1)]);
    assert_eq!(totals.queued, 0);
}

#[tokio::test]
async fn new_requests_are_refused_at_the_soft_limit_and_others_at_the_hard_one() {
    let destination = destination(1000);
    let size = payload().memory();
    let limits = |hard: u64| MemoryLimits {
        soft: size,
        hard,
        check_interval: Duration::from_secs(3600),
        fails_readiness: false,
    };
    let registry = Registry::default();
    let limiter = Limiter::new(limits(2 * size)).counted("m", Signal::Traces, &registry);
    // The limiter of a pipeline behind a connector counts, and the strictest one does.
    let mut route = route(&[&destination]);
    route.limiter = Some(Limiter::new(limits(50 * size)));
    let mut behind = route.clone();
    behind.limiter = Some(limiter.clone());
    behind.lanes.clear();
    route.onward.push(behind);
    let memory = Budget::new(100 * size);
    let intake = intake_of(vec![route], &memory);

    let (early, late) = (intake.begin().unwrap(), intake.begin().unwrap());
    intake.admit(payload(), early).await.unwrap();
    assert_eq!(limiter.pressure(&memory), Pressure::Soft);
    let refusal = intake.begin().unwrap_err();
    assert_eq!(refusal, Refusal::overloaded(Overload::MemoryUsedUp));
    // One that had begun may go on.
    intake.admit(payload(), late).await.unwrap();
    assert_eq!(memory.used(), 2 * size);
    deliver_one(&destination).await;
    deliver_one(&destination).await;
    assert_eq!(limiter.pressure(&memory), Pressure::None);

    let (early, late) = (intake.begin().unwrap(), intake.begin().unwrap());
    let mut third = intake.begin().unwrap();
    intake.admit(payload(), early).await.unwrap();
    intake.admit(payload(), late).await.unwrap();
    assert_eq!(
        third.resize(1),
        Err(Refusal::overloaded(Overload::MemoryUsedUp))
    );
    assert_eq!(limiter.pressure(&memory), Pressure::Hard);
    let refusal = intake.admit(payload(), third).await.unwrap_err();
    assert_eq!(refusal.retry_after(), Some(RETRY_AFTER));
    let metrics = registry.encode();
    for (outcome, items) in [("accepted", 8), ("refused", 2)] {
        let series = format!(
            "otelcol_processor_memory_limiter_{outcome}_spans{{processor=\"m\"}} {items}\n"
        );
        assert!(metrics.contains(&series), "{series} not in {metrics}");
    }
    assert_eq!(intake.hold().resize(2 * size + 1), Err(Refusal::TooLarge));
}

#[tokio::test]
async fn what_processors_add_takes_up_memory() {
    /// Says the same twice.
    struct Double;
    impl Processor for Double {
        fn process(&self, payload: Payload) -> Processed {
            let bytes = payload.bytes().repeat(2);
            let items = 2 * payload.items();
            Processed::whole(payload.rewritten(bytes, items))
        }
    }
    let (plain, doubled) = (destination(100), destination(100));
    let mut routes = vec![route(&[&plain]), route(&[&doubled])];
    routes[1].steps.push(Step::new(Arc::new(Double)));
    let memory = Budget::new(1_000_000);
    let intake = intake_of(routes.clone(), &memory);
    intake.admit(payload(), intake.hold()).await.unwrap();
    let size = payload().memory();
    let larger = size + payload().bytes().len() as u64;
    assert_eq!(memory.used(), size + larger);
    assert_eq!(doubled.account.totals(Signal::Traces).accepted, 4);
    // What does not fit after processing is refused, and nobody has taken a part of it.
    let tight = Budget::new(size + larger - 1);
    let intake = intake_of(routes, &tight);
    let refusal = intake.admit(payload(), intake.hold()).await.unwrap_err();
    assert_eq!(refusal, Refusal::TooLarge);
    assert_eq!(plain.account.totals(Signal::Traces).accepted, 2);
}

async fn deliver_one(destination: &Destination) {
    for parcel in destination.queue.next().await.unwrap().parcels {
        parcel.custody.sent(0);
    }
}

/// What a task does once it has run as far as it can.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn requests_that_wait_for_several_queues_do_not_stop_each_other() {
    let (first, second) = (blocking(2), blocking(2));
    let memory = 1_000_000;
    let there = intake(&[&first, &second], memory);
    let back = intake(&[&second, &first], memory);
    for _ in 0..2 {
        there.admit(payload(), there.hold()).await.unwrap();
    }
    let waiting: Vec<_> = [&there, &back, &there, &back]
        .into_iter()
        .map(|intake| {
            let intake = intake.clone();
            tokio::spawn(async move { intake.admit(payload(), intake.hold()).await })
        })
        .collect();
    settle().await;
    // One has room again: whoever waits for both must not take it and wait for the other.
    deliver_one(&first).await;
    settle().await;
    assert_eq!(first.queue.capacity().units.used(), 1);
    let deliveries = async {
        for _ in 0..5 {
            deliver_one(&first).await;
            deliver_one(&second).await;
            settle().await;
        }
        deliver_one(&second).await;
    };
    tokio::time::timeout(PATIENCE, deliveries).await.unwrap();
    for request in waiting {
        request.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn two_pipelines_of_one_destination_do_not_wait_for_each_other() {
    // Room for one of the two that each request asks for: it would wait for itself.
    let destination = blocking(1);
    let both = intake(&[&destination, &destination], 1_000_000);
    let admitted = tokio::time::timeout(PATIENCE, both.admit(payload(), both.hold()));
    admitted.await.unwrap().unwrap();
    let totals = destination.account.totals(Signal::Traces);
    assert_eq!((totals.accepted, totals.queued), (4, 2));
    assert_eq!(totals.dropped, [(DropReason::QueueFull, 2)]);

    // Room for both: they are let in together.
    let destination = blocking(2);
    let both = intake(&[&destination, &destination], 1_000_000);
    both.admit(payload(), both.hold()).await.unwrap();
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let both = both.clone();
            tokio::spawn(async move { both.admit(payload(), both.hold()).await })
        })
        .collect();
    let deliveries = async {
        for _ in 0..6 {
            settle().await;
            deliver_one(&destination).await;
        }
    };
    tokio::time::timeout(PATIENCE, deliveries).await.unwrap();
    for request in waiting {
        request.await.unwrap().unwrap();
    }
    assert_eq!(destination.account.totals(Signal::Traces).sent, 12);
}

#[tokio::test]
async fn what_never_fits_is_not_waited_for() {
    let destination = destination_with(&QueueOptions {
        queue_size: Some(1),
        sizer: Sizer::Items,
        block_on_overflow: true,
        ..QueueOptions::default()
    });
    let intake = intake(&[&destination], 1_000_000);
    let admitted = tokio::time::timeout(PATIENCE, intake.admit(payload(), intake.hold()));
    assert_eq!(admitted.await.unwrap(), Err(Refusal::TooLarge));
}

#[tokio::test]
async fn a_destination_takes_no_more_than_its_share_of_the_memory() {
    let many = QueueOptions {
        queue_size: Some(1_000_000),
        sizer: Sizer::Requests,
        ..QueueOptions::default()
    };
    let share = 2 * payload().memory();
    let (dead, healthy) = (
        destination_within(&many, share),
        destination_within(&many, share),
    );
    let intake = intake(&[&dead, &healthy], 2 * share);
    for _ in 0..10 {
        intake.admit(payload(), intake.hold()).await.unwrap();
        deliver_one(&healthy).await;
    }
    assert_eq!(healthy.account.totals(Signal::Traces).sent, 20);
    let dead = dead.account.totals(Signal::Traces);
    assert_eq!(dead.queued, 4);
    assert_eq!(dead.dropped, [(DropReason::QueueFull, 16)]);
}

#[tokio::test]
async fn what_never_fits_is_refused_for_good() {
    let size = payload().memory();
    let small = destination_within(&QueueOptions::default(), size - 1);
    let large = destination(100);
    // Larger than the budget; larger than every queue.
    for intake in [intake(&[&large], size - 1), intake(&[&small], 1_000_000)] {
        let refusal = intake.admit(payload(), intake.hold()).await.unwrap_err();
        assert_eq!((refusal, refusal.retry_after()), (Refusal::TooLarge, None));
    }
    // Larger than one queue only: that one loses it.
    let both = intake(&[&small, &large], 1_000_000);
    both.admit(payload(), both.hold()).await.unwrap();
    let small = small.account.totals(Signal::Traces);
    assert_eq!(small.dropped, [(DropReason::QueueFull, 2)]);
}

#[tokio::test]
async fn receivers_and_destinations_agree_although_a_client_gave_up() {
    let waited_for = destination_with(&QueueOptions {
        wait_for_result: true,
        ..QueueOptions::default()
    });
    let other = destination(100);
    let intake = intake(&[&waited_for, &other], 1_000_000);
    let client = tokio::spawn({
        let intake = intake.clone();
        async move { intake.admit(payload(), intake.hold()).await }
    });
    settle().await;
    client.abort();
    assert!(client.await.unwrap_err().is_cancelled());
    assert_eq!(totals(&intake), (2, 0));
    for destination in [&waited_for, &other] {
        let totals = destination.account.totals(Signal::Traces);
        assert_eq!(totals.accepted, 2);
    }
}

#[tokio::test]
async fn clients_of_a_slow_destination_hear_later_that_their_payload_was_taken() {
    const MIB: u64 = 1 << 20;
    let options = QueueOptions::default();
    let destination = destination_within(&options, 40 * MIB);
    let intake = intake(&[&destination], 1 << 30);
    let admitted = async || {
        let mut admitted = std::pin::pin!(intake.admit(payload(), intake.hold()));
        // Without a delay it has nothing to wait for.
        let first = std::future::poll_fn(|cx| Poll::Ready(admitted.as_mut().poll(cx))).await;
        let at_once = first.is_ready();
        match first {
            Poll::Ready(result) => result.unwrap(),
            Poll::Pending => admitted.await.unwrap(),
        }
        at_once
    };
    assert!(admitted().await);
    let memory = &destination.queue.capacity().memory;
    let _others = memory.try_reserve(22 * MIB).unwrap();
    assert!(!admitted().await);
    destination.queue.fails(true);
    assert!(admitted().await);
    destination.queue.fails(false);
    assert!(!admitted().await);
    assert_eq!(totals(&intake), (8, 0));
}

/// Entrances that lead to a destination.
fn leading_to(destination: &Destination) -> Intakes {
    let intakes = Intakes::default();
    intakes.lead_to(Signal::Traces, Some(pipelines(destination)));
    intakes
}

fn pipelines(destination: &Destination) -> Pipelines {
    let routes = vec![route(&[destination])];
    Pipelines::new(routes, Budget::new(1_000_000), Gate::new())
}

#[tokio::test]
async fn what_comes_while_configurations_change_goes_to_the_pipelines_of_the_new_one() {
    let (former, next) = (blocking(1), destination(100));
    let intakes = leading_to(&former);
    let intake = intakes.get(Signal::Traces).unwrap();
    intake.admit(payload(), intake.hold()).await.unwrap();
    let admit = || {
        let intake = intake.clone();
        tokio::spawn(async move { intake.admit(payload(), intake.hold()).await })
    };
    // One that waits for room, and one that comes too late.
    let early = admit();
    settle().await;
    intake.pipelines.gate.hand_over().await;
    let late = admit();
    settle().await;
    assert!(!early.is_finished() && !late.is_finished());
    intakes.lead_to(Signal::Traces, Some(pipelines(&next)));
    early.await.unwrap().unwrap();
    late.await.unwrap().unwrap();
    assert_eq!(former.account.totals(Signal::Traces).accepted, 2);
    assert_eq!(next.account.totals(Signal::Traces).accepted, 4);
    assert_eq!(totals(&intake), (6, 0));
    assert_eq!(intakes.totals(), (6, 0));
}

#[tokio::test]
async fn what_waits_for_the_next_configuration_takes_up_memory() {
    let (former, next) = (destination(100), destination(100));
    let size = payload().memory();
    let memory = Budget::new(2 * size);
    let lead_to = |destination: &Destination| {
        Pipelines::new(vec![route(&[destination])], memory.clone(), Gate::new())
    };
    let intakes = Intakes::default();
    intakes.lead_to(Signal::Traces, Some(lead_to(&former)));
    let intake = intakes.get(Signal::Traces).unwrap();
    intake.pipelines.gate.hand_over().await;
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let intake = intake.clone();
            tokio::spawn(async move { intake.admit(payload(), intake.hold()).await })
        })
        .collect();
    settle().await;
    assert_eq!(memory.used(), 2 * size);
    assert_eq!(refused(&intake).await, Overload::MemoryUsedUp);
    intakes.lead_to(Signal::Traces, Some(lead_to(&next)));
    for request in waiting {
        request.await.unwrap().unwrap();
    }
    assert_eq!(next.account.totals(Signal::Traces).accepted, 4);
    assert_eq!(memory.used(), 2 * size);
}

#[tokio::test]
async fn who_waits_for_room_goes_on_waiting_in_the_next_configuration() {
    let (full, other) = (blocking(1), destination(100));
    let memory = Budget::new(1_000_000);
    let intakes = Intakes::default();
    let lead_on = || {
        let routes = vec![route(&[&full, &other])];
        let pipelines = Pipelines::new(routes, memory.clone(), Gate::new());
        intakes.lead_to(Signal::Traces, Some(pipelines));
    };
    lead_on();
    let intake = intakes.get(Signal::Traces).unwrap();
    intake.admit(payload(), intake.hold()).await.unwrap();
    let waiting = tokio::spawn({
        let intake = intake.clone();
        async move { intake.admit(payload(), intake.hold()).await }
    });
    settle().await;
    intake.pipelines.gate.hand_over().await;
    lead_on();
    settle().await;
    assert!(!waiting.is_finished());
    assert_eq!(memory.used(), 2 * payload().memory());
    deliver_one(&full).await;
    waiting.await.unwrap().unwrap();
    for destination in [full, other] {
        let totals = destination.account.totals(Signal::Traces);
        assert_eq!((totals.accepted, totals.dropped_total()), (4, 0));
    }
}

#[tokio::test]
async fn clients_of_a_receiver_that_is_taken_out_are_told_to_try_again() {
    let destination = destination(100);
    let intakes = leading_to(&destination);
    let early = intakes.get(Signal::Traces).unwrap();
    early.pipelines.gate.hand_over().await;
    intakes.close();
    assert_eq!(refused(&early).await, Overload::Stopping);
    let late = intakes.get(Signal::Traces).unwrap();
    assert_eq!(refused(&late).await, Overload::Stopping);
    // Where only the signal is not taken any more, nothing will come of trying.
    intakes.lead_to(Signal::Traces, None);
    assert!(intakes.get(Signal::Traces).is_none());
}
