//! Tests of the queue: what makes a batch, and who is woken.

use std::time::Duration;

use spanmesh_otlp::Limits;

use super::super::gate::Gate;
use super::super::room::Vacancy;
use super::*;

fn queue(max_batch_bytes: usize) -> Arc<Queue> {
    let options = QueueOptions::default();
    Arc::new(Queue::new(
        "test",
        Arc::default(),
        &options,
        1_000_000,
        max_batch_bytes,
        None,
    ))
}

fn batching(min_items: u64, max_items: u64) -> Option<Batching> {
    Some(Batching {
        min_items,
        max_items,
        min_bytes: None,
        max_bytes: None,
        timeout: Duration::from_secs(3600),
    })
}

/// A request of so many empty spans.
fn payload(items: u8) -> Payload {
    let scope: Vec<u8> = std::iter::repeat_n([0x12, 0x00], items.into())
        .flatten()
        .collect();
    let mut resource = vec![0x12, scope.len() as u8];
    resource.extend(scope);
    let mut request = vec![0x0a, resource.len() as u8];
    request.extend(resource);
    Payload::parse(Signal::Traces, request.into()).unwrap()
}

async fn push(lane: &Lane, items: u8) {
    let payload = payload(items);
    let memory = Arc::new(Budget::new(1_000_000).try_reserve(1).unwrap());
    let entries = [(lane, payload.clone())];
    let rooms = super::super::room::reserve(&entries, &memory, &Gate::default())
        .await
        .unwrap();
    let Some(Vacancy::Room(room)) = rooms.into_iter().next() else {
        panic!("there is no room")
    };
    assert!(matches!(lane.push(&payload, room), Pushed::Held(None)));
}

fn sizes(load: Load) -> Vec<u64> {
    let sizes = load.parcels.iter().map(|p| p.custody.items()).collect();
    for parcel in load.parcels {
        parcel.custody.sent(0);
    }
    sizes
}

#[tokio::test]
async fn without_batching_each_payload_travels_alone() {
    let queue = queue(1000);
    let lane = queue.lane(Signal::Traces, None);
    push(&lane, 3).await;
    push(&lane, 4).await;
    assert_eq!(sizes(queue.next().await.unwrap()), [3]);
    assert_eq!(sizes(queue.next().await.unwrap()), [4]);
}

#[tokio::test]
async fn a_batch_ends_with_the_payload_that_fills_it() {
    let queue = queue(10_000);
    let lane = queue.lane(Signal::Traces, batching(10, 0));
    for _ in 0..4 {
        push(&lane, 4).await;
    }
    assert_eq!(sizes(queue.next().await.unwrap()), [4, 4, 4]);
    assert!(matches!(queue.take(Instant::now()).0, Next::WaitUntil(_)));
}

#[tokio::test]
async fn a_batch_does_not_pass_its_limits() {
    let by_items = queue(10_000);
    let lane = by_items.lane(Signal::Traces, batching(10, 10));
    for _ in 0..4 {
        push(&lane, 4).await;
    }
    assert_eq!(sizes(by_items.next().await.unwrap()), [4, 4]);

    let by_bytes = queue(30);
    let lane = by_bytes.lane(Signal::Traces, batching(1000, 0));
    for _ in 0..4 {
        push(&lane, 4).await; // 12 bytes each
    }
    assert_eq!(sizes(by_bytes.next().await.unwrap()), [4, 4]);
}

#[tokio::test]
async fn a_batch_does_not_wait_longer_than_its_timeout() {
    let queue = queue(10_000);
    let timeout = Duration::from_millis(1);
    let lane = queue.lane(
        Signal::Traces,
        Some(Batching {
            min_items: 1000,
            max_items: 0,
            min_bytes: None,
            max_bytes: None,
            timeout,
        }),
    );
    push(&lane, 1).await;
    assert_eq!(sizes(queue.next().await.unwrap()), [1]);
}

#[tokio::test]
async fn draining_hands_out_everything_and_ends_every_consumer() {
    let queue = queue(10_000);
    let lane = queue.lane(Signal::Traces, batching(1000, 0));
    let logs = queue.lane(Signal::Logs, None);
    let consumers: Vec<_> = (0..3)
        .map(|_| {
            let queue = queue.clone();
            tokio::spawn(async move {
                let mut items = 0;
                while let Some(load) = queue.next().await {
                    items += sizes(load).iter().sum::<u64>();
                }
                items
            })
        })
        .collect();
    tokio::task::yield_now().await;
    push(&lane, 5).await;
    push(&lane, 6).await;
    drop(logs);
    queue.drain();
    let mut items = 0;
    for consumer in consumers {
        items += consumer.await.unwrap();
    }
    assert_eq!(items, 11);
    assert_eq!(queue.capacity().units.used(), 0);
    assert_eq!(queue.account.totals(Signal::Traces).queued, 0);
}

#[tokio::test]
async fn loads_know_the_limits_that_single_payloads_may_exceed() {
    let by_items = queue(10_000);
    let lane = by_items.lane(Signal::Traces, batching(10, 10));
    push(&lane, 25).await;
    push(&lane, 2).await;
    let load = by_items.next().await.unwrap();
    let limits = load.limits;
    let found: Vec<Vec<u64>> = load.split(limits).into_iter().map(sizes).collect();
    assert_eq!(found, [vec![10], vec![10], vec![5]]);

    let by_bytes = queue(30);
    let lane = by_bytes.lane(Signal::Traces, None);
    push(&lane, 25).await; // 54 bytes
    let load = by_bytes.next().await.unwrap();
    let limits = load.limits;
    let parts = load.split(limits);
    assert!(parts.len() > 1);
    assert!(parts.iter().all(|part| part.bytes() <= 30));
    assert_eq!(parts.iter().map(Load::items).sum::<u64>(), 25);
    parts.into_iter().for_each(|part| drop(sizes(part)));
}

#[tokio::test]
async fn a_batch_size_of_zero_waits_for_nothing() {
    let queue = queue(10_000);
    let lane = queue.lane(Signal::Traces, batching(0, 10));
    push(&lane, 4).await;
    assert_eq!(sizes(queue.next().await.unwrap()), [4]);
}

#[tokio::test]
async fn loads_are_split_by_items() {
    let queue = queue(10_000);
    let lane = queue.lane(Signal::Traces, batching(10, 0));
    push(&lane, 3).await;
    push(&lane, 7).await;
    let load = queue.next().await.unwrap();
    assert_eq!(load.items(), 10);
    let parts = load.split(Limits {
        items: 4,
        bytes: usize::MAX,
    });
    let found: Vec<Vec<u64>> = parts.into_iter().map(sizes).collect();
    assert_eq!(found, [vec![3], vec![4], vec![3]]);
    assert_eq!(queue.capacity().units.used(), 0);
    assert_eq!(queue.account.totals(Signal::Traces).sent, 10);
}
