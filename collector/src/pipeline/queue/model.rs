//! The queue in memory against a model of it: whatever comes, goes, fails and is split in whatever
//! order, each item is handed out once, in the order of its lane, in batches as configured; and room is
//! given out and taken back to the last unit.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use proptest::prelude::*;
use spanmesh_otlp::Limits;
use spanmesh_otlp::view::{self, Span};

use super::super::account::DropReason;
use super::super::gate::Gate;
use super::super::room::{Vacancy, reserve};
use super::*;

/// Units that the queue holds.
const ROOM: u64 = 60;
/// Bytes of a batch: one payload always fits, two large ones do not.
const BATCH_BYTES: usize = 150;
/// At least and at most so many items in the batches of each lane; `None` for single payloads.
const LANES: [Option<(u64, u64)>; 3] = [None, Some((10, 15)), Some((4, 0))];

/// What happens to a queue.
#[derive(Clone, Debug)]
enum Step {
    /// A payload of so many spans comes into a lane.
    Push(usize, u64),
    /// A consumer looks for a batch.
    Take,
    /// One of the batches that are on their way is delivered.
    Deliver(prop::sample::Index),
    /// One of them is given up.
    GiveUp(prop::sample::Index),
    /// One of them is refused for its size, and goes on in parts of so many items.
    Split(prop::sample::Index, usize),
}

/// A payload as the model knows it: its spans are numbered.
#[derive(Clone, Debug)]
struct Known {
    first: u64,
    items: u64,
    bytes: usize,
}

struct Model {
    queue: Arc<Queue>,
    lanes: Vec<Lane>,
    sizer: Sizer,
    waiting: Vec<VecDeque<Known>>,
    /// What is on its way.
    taken: Vec<Load>,
    /// Payloads that are not settled, by their first number, and how many of their items are not.
    open: BTreeMap<u64, (Known, u64)>,
    next: u64,
    sent: Vec<u64>,
    given_up: u64,
}

/// A request with a span for each number, which is its id.
fn payload(first: u64, items: u64) -> Payload {
    let spans: Vec<u8> = (first..first + items)
        .flat_map(|number| {
            let mut span = vec![0x12, 10, 0x12, 8];
            span.extend(number.to_be_bytes());
            span
        })
        .collect();
    let mut request = vec![0x0a, spans.len() as u8 + 2, 0x12, spans.len() as u8];
    request.extend(spans);
    Payload::parse(Signal::Traces, request.into()).unwrap()
}

/// The numbers of the spans in a batch.
fn numbers(load: &Load) -> Vec<u64> {
    load.parcels
        .iter()
        .flat_map(|parcel| {
            let spans = view::items(Signal::Traces, &parcel.bytes);
            spans.map(|span| u64::from_be_bytes(Span::new(span).span_id.try_into().unwrap()))
        })
        .collect()
}

// === impl Model ===

impl Model {
    fn new(sizer: Sizer) -> Self {
        let options = QueueOptions {
            queue_size: Some(ROOM),
            sizer,
            ..QueueOptions::default()
        };
        let account = Arc::default();
        let queue = Queue::new("test", account, &options, 1_000_000, BATCH_BYTES, None);
        let queue = Arc::new(queue);
        let batching = |(min_items, max_items)| Batching {
            min_items,
            max_items,
            min_bytes: None,
            max_bytes: None,
            timeout: Duration::from_secs(3600),
        };
        Self {
            lanes: LANES
                .map(|lane| queue.lane(Signal::Traces, lane.map(batching)))
                .into(),
            queue,
            sizer,
            waiting: vec![VecDeque::new(); LANES.len()],
            taken: Vec::new(),
            open: BTreeMap::new(),
            next: 0,
            sent: Vec::new(),
            given_up: 0,
        }
    }

    fn units(&self, known: &Known) -> u64 {
        match self.sizer {
            Sizer::Requests => 1,
            Sizer::Items => known.items,
            Sizer::Bytes => known.bytes as u64,
        }
    }

    fn used(&self) -> u64 {
        self.open.values().map(|(known, _)| self.units(known)).sum()
    }

    async fn push(&mut self, lane: usize, items: u64) {
        let payload = payload(self.next, items);
        let known = Known {
            first: self.next,
            items,
            bytes: payload.bytes().len(),
        };
        let memory = Arc::new(Budget::new(1_000_000).try_reserve(1).unwrap());
        let entries = [(&self.lanes[lane], payload.clone())];
        let vacancies = reserve(&entries, &memory, &Gate::default()).await;
        let vacancy = vacancies.unwrap().remove(0);
        let units = self.units(&known);
        match vacancy {
            Vacancy::Room(room) => {
                assert!(self.used() + units <= ROOM, "there was no room");
                self.lanes[lane].push(&payload, room);
                self.next += items;
                self.open.insert(known.first, (known.clone(), items));
                self.waiting[lane].push_back(known);
            }
            Vacancy::Full => assert!(units <= ROOM && self.used() + units > ROOM),
            Vacancy::Never => assert!(units > ROOM),
        }
    }

    /// Whether a batch of the lane need not wait for more.
    fn is_full(&self, lane: usize) -> bool {
        let waiting = &self.waiting[lane];
        let items: u64 = waiting.iter().map(|known| known.items).sum();
        let bytes: usize = waiting.iter().map(|known| known.bytes).sum();
        let min = LANES[lane].map_or(1, |(min, _)| min);
        items >= min || bytes >= BATCH_BYTES
    }

    fn take(&mut self, draining: bool) -> bool {
        let ready = |lane: usize| {
            let is_due = draining && !self.waiting[lane].is_empty();
            is_due || self.is_full(lane)
        };
        let ready: Vec<usize> = (0..LANES.len()).filter(|lane| ready(*lane)).collect();
        let Next::Load(load) = self.queue.take(Instant::now()).0 else {
            assert!(ready.is_empty(), "lanes {ready:?} had a batch");
            return false;
        };
        let found = numbers(&load);
        let lane = ready
            .into_iter()
            .find(|lane| self.waiting[*lane].front().map(|known| known.first) == Some(found[0]))
            .expect("a batch begins with what has waited longest in a lane that has one");
        self.check_batch(lane, &load);
        let mut expected = Vec::new();
        for _ in &load.parcels {
            let known = self.waiting[lane].pop_front().unwrap();
            expected.extend(known.first..known.first + known.items);
        }
        assert_eq!(found, expected);
        self.taken.push(load);
        true
    }

    /// Checks that a batch is neither too large nor smaller than it need be.
    fn check_batch(&self, lane: usize, load: &Load) {
        let waiting = &self.waiting[lane];
        let (parcels, items) = (load.parcels.len(), load.items());
        let Some((min, max)) = LANES[lane] else {
            assert_eq!(parcels, 1);
            return;
        };
        let max = if max == 0 { u64::MAX } else { max };
        if parcels > 1 {
            assert!(items <= max && load.bytes() <= BATCH_BYTES);
            let last = &waiting[parcels - 1];
            assert!(items - last.items < min, "it was full before its last one");
        }
        if let Some(next) = waiting.get(parcels) {
            let would_fit = items + next.items <= max && load.bytes() + next.bytes <= BATCH_BYTES;
            assert!(
                items >= min || !would_fit,
                "there was room for the next one"
            );
        }
    }

    fn settle(&mut self, load: usize, is_sent: bool) {
        let load = self.taken.swap_remove(load);
        let found = numbers(&load);
        assert_eq!(found.len() as u64, load.items());
        for number in &found {
            let (&first, (_, left)) = self.open.range_mut(..=number).next_back().unwrap();
            *left -= 1;
            if *left == 0 {
                self.open.remove(&first);
            }
        }
        if is_sent {
            load.parcels.into_iter().for_each(|parcel| parcel.sent(0));
            self.sent.extend(found);
        } else {
            self.given_up += load.items();
            for parcel in load.parcels {
                parcel.dropped(DropReason::RetriesExhausted);
            }
        }
    }

    fn split(&mut self, load: usize, items: usize) {
        let load = self.taken.swap_remove(load);
        let whole = numbers(&load);
        let bytes = usize::MAX;
        let parts = load.split(Limits { items, bytes });
        assert!(parts.iter().all(|part| part.items() <= items as u64));
        assert_eq!(parts.iter().flat_map(numbers).collect::<Vec<_>>(), whole);
        self.taken.extend(parts);
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Push(lane, items) => self.push(*lane, *items).await,
            Step::Take => drop(self.take(false)),
            _ if self.taken.is_empty() => {}
            Step::Deliver(load) => self.settle(load.index(self.taken.len()), true),
            Step::GiveUp(load) => self.settle(load.index(self.taken.len()), false),
            Step::Split(load, items) => self.split(load.index(self.taken.len()), *items),
        }
        self.check();
    }

    fn check(&self) {
        assert_eq!(self.queue.capacity().units.used(), self.used());
        let totals = self.queue.account.totals(Signal::Traces);
        let queued = self.open.values().map(|(_, left)| left).sum::<u64>();
        assert_eq!((totals.accepted, totals.queued), (self.next, queued));
        let dropped: u64 = totals.dropped.iter().map(|(_, items)| items).sum();
        assert_eq!(
            (totals.sent, dropped),
            (self.sent.len() as u64, self.given_up)
        );
    }

    /// Hands out and delivers what is left.
    fn finish(mut self) {
        self.queue.drain();
        while self.take(true) {}
        while !self.taken.is_empty() {
            self.settle(0, true);
        }
        self.check();
        assert!(self.open.is_empty() && self.waiting.iter().all(VecDeque::is_empty));
        let delivered = self.sent.len() as u64;
        self.sent.sort_unstable();
        self.sent.dedup();
        assert_eq!(self.sent.len() as u64, delivered, "some came twice");
        assert_eq!(delivered + self.given_up, self.next);
    }
}

fn step() -> impl Strategy<Value = Step> {
    let load = || any::<prop::sample::Index>();
    prop_oneof![
        6 => (0..LANES.len(), 1..10_u64).prop_map(|(lane, items)| Step::Push(lane, items)),
        4 => Just(Step::Take),
        2 => load().prop_map(Step::Deliver),
        1 => load().prop_map(Step::GiveUp),
        1 => (load(), 1..8_usize).prop_map(|(load, items)| Step::Split(load, items)),
    ]
}

proptest! {
    #[test]
    fn what_comes_in_goes_out_once_and_in_order(
        sizer in prop_oneof![Just(Sizer::Requests), Just(Sizer::Items), Just(Sizer::Bytes)],
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut model = Model::new(sizer);
            for step in &steps {
                model.step(step).await;
            }
            model.finish();
        });
    }
}
