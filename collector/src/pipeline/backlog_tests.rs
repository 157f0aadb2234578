//! Tests of a queue on disk whose memory holds only a part of it.

use std::path::Path;

use super::super::account::Totals;
use super::super::gate::Gate;
use super::super::options::{Batching, QueueOptions, Sizer};
use super::super::queue::{Lane, Pushed, Queue};
use super::super::room::{self, Vacancy};
use super::super::storage::{Storage, StorageOptions};
use super::*;

/// A queue on disk for which there is memory for a few payloads, and no more.
fn queue(directory: &Path, options: &QueueOptions) -> (Arc<Queue>, Lane, Arc<Account>) {
    let storage = Storage {
        options: StorageOptions {
            directory: directory.to_owned(),
            fsync: false,
            max_bytes: 1 << 20,
            lock_timeout: Duration::ZERO,
        },
        memory: Budget::new(10_000),
    };
    let account = Arc::new(Account::default());
    let queue = Queue::new(
        "test",
        account.clone(),
        options,
        1000,
        10_000,
        Some(storage),
    );
    let queue = Arc::new(queue);
    let lane = queue.lane(
        Signal::Traces,
        Some(Batching {
            min_items: 0,
            max_items: 0,
            min_bytes: None,
            max_bytes: None,
            timeout: Duration::from_secs(3600),
        }),
    );
    queue.open().unwrap();
    (queue, lane, account)
}

/// A request of one span whose id is `number`.
fn payload(number: u64) -> Payload {
    let mut request = vec![0x0a, 0x0e, 0x12, 0x0c, 0x12, 0x0a, 0x12, 0x08];
    request.extend(number.to_be_bytes());
    Payload::parse(Signal::Traces, request.into()).unwrap()
}

async fn push(lane: &Lane, number: u64) -> bool {
    let payload = payload(number);
    let memory = Arc::new(Budget::new(1000).reserve_over(1));
    let entries = [(lane, payload.clone())];
    let rooms = room::reserve(&entries, &memory, &Gate::default())
        .await
        .unwrap();
    let Some(Vacancy::Room(room)) = rooms.into_iter().next() else {
        return false;
    };
    let Pushed::Storing(told) = lane.push(&payload, room) else {
        panic!("it is not on disk")
    };
    told.await.unwrap().unwrap();
    true
}

/// Takes the next load, and delivers it; the ids of its spans.
async fn deliver(queue: &Arc<Queue>) -> Vec<u64> {
    let load = queue.next().await.unwrap();
    let ids = load.parcels.iter().map(|parcel| {
        let id = parcel.bytes.last_chunk().unwrap();
        u64::from_be_bytes(*id)
    });
    let ids = ids.collect();
    load.parcels.into_iter().for_each(|parcel| parcel.sent(0));
    ids
}

fn totals(account: &Account) -> Totals {
    account.totals(Signal::Traces)
}

#[tokio::test]
async fn what_memory_does_not_hold_is_read_back_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (queue, lane, account) = queue(folder.path(), &QueueOptions::default());
    for number in 0..50 {
        assert!(push(&lane, number).await);
    }
    assert!(queue.capacity().memory.used() <= 1000);
    let mut arrived = Vec::new();
    for number in 50..100 {
        arrived.extend(deliver(&queue).await);
        assert!(push(&lane, number).await);
    }
    while arrived.len() < 100 {
        arrived.extend(deliver(&queue).await);
    }
    assert_eq!(arrived, (0..100).collect::<Vec<_>>());
    let totals = totals(&account);
    assert_eq!((totals.accepted, totals.sent, totals.queued), (100, 100, 0));
    assert_eq!(queue.capacity().units.used(), 0);
    assert_eq!(queue.capacity().memory.used(), 0);
}

#[tokio::test]
async fn what_memory_does_not_hold_is_taken_while_nothing_is_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let (queue, lane, account) = queue(folder.path(), &QueueOptions::default());
    for number in 0..50 {
        assert!(push(&lane, number).await);
    }
    // Consumers get something to try again with, also where what is on its way takes up the memory.
    let first = queue.next().await.unwrap();
    let second = queue.next().await.unwrap();
    assert!(queue.capacity().memory.used() > queue.capacity().memory.limit());
    assert!(push(&lane, 50).await, "the disk has room");
    assert_eq!(totals(&account).accepted, 51);
    first.kept();
    second.kept();
}

#[tokio::test]
async fn no_more_is_read_back_than_there_is_memory_for() {
    let folder = tempfile::tempdir().unwrap();
    let (queue, lane, _account) = queue(folder.path(), &QueueOptions::default());
    for number in 0..50 {
        assert!(push(&lane, number).await);
    }
    let one = payload(0).memory();
    for _ in 0..3 {
        let load = queue.next().await.unwrap();
        let memory = &queue.capacity().memory;
        // What is kept of small payloads is many times what they are themselves.
        assert!(memory.used() < memory.limit() + one, "{}", memory.used());
        load.parcels.into_iter().for_each(|parcel| parcel.sent(0));
    }
}

#[tokio::test]
async fn what_is_abandoned_is_there_for_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let first = queue(folder.path(), &QueueOptions::default());
    for number in 0..50 {
        assert!(push(&first.1, number).await);
    }
    assert_eq!(deliver(&first.0).await, [0, 1, 2]);
    // One that is on its way when the queue is given up.
    let load = first.0.next().await.unwrap();
    first.0.drain();
    first.0.abandon();
    assert!(first.0.next().await.is_none());
    load.kept();
    first.0.close();
    let left = totals(&first.2);
    assert_eq!((left.accepted, left.sent, left.queued), (50, 3, 47));

    let options = QueueOptions {
        queue_size: Some(10),
        sizer: Sizer::Requests,
        ..QueueOptions::default()
    };
    let (queue, lane, account) = queue(folder.path(), &options);
    assert_eq!(totals(&account).recovered, 47);
    // More than the queue may hold now, but it is there.
    assert_eq!(queue.capacity().units.used(), 47);
    assert!(!push(&lane, 99).await);
    let mut arrived = Vec::new();
    while arrived.len() < 47 {
        arrived.extend(deliver(&queue).await);
    }
    assert_eq!(arrived, (3..50).collect::<Vec<_>>());
    assert!(push(&lane, 99).await);
    queue.drain();
    assert_eq!(deliver(&queue).await, [99]);
    assert!(queue.next().await.is_none());
    let totals = totals(&account);
    assert_eq!((totals.accepted, totals.sent, totals.queued), (1, 48, 0));
}

#[tokio::test]
async fn draining_reads_back_everything() {
    let folder = tempfile::tempdir().unwrap();
    let (queue, lane, account) = queue(folder.path(), &QueueOptions::default());
    for number in 0..50 {
        assert!(push(&lane, number).await);
    }
    queue.drain();
    let consumers: Vec<_> = (0..3)
        .map(|_| {
            let queue = queue.clone();
            tokio::spawn(async move {
                while let Some(load) = queue.next().await {
                    load.parcels.into_iter().for_each(|parcel| parcel.sent(0));
                }
            })
        })
        .collect();
    for consumer in consumers {
        consumer.await.unwrap();
    }
    assert_eq!(totals(&account).sent, 50);
}
