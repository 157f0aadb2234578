//! Room for one payload in all the queues that it goes to.
//!
//! Room is never held while other room is waited for: two requests that each hold what the other
//! one waits for would wait for ever.

use std::sync::Arc;

use super::budget::{Budget, Reservation};
use super::gate::Gate;
use super::payload::Payload;
use super::queue::{Lane, Queue};

/// What a queue may hold.
#[derive(Debug)]
pub(super) struct Capacity {
    /// In the unit of the queue's sizer.
    pub(super) units: Arc<Budget>,
    /// In bytes of memory, whatever the sizer: the destination's share of the memory budget.
    pub(super) memory: Arc<Budget>,
}

/// What payloads take up in a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) units: u64,
    pub(super) memory: u64,
}

/// What a parcel takes up: in its destination's queue, and in the memory of the process, which
/// destinations of the same payload share. Given back when the last part of it is gone.
#[derive(Clone, Debug)]
pub(super) struct Room {
    queue: Arc<Space>,
    memory: Arc<Reservation>,
}

/// Whether there is room for a payload in one queue.
#[derive(Debug)]
pub(super) enum Vacancy {
    /// Here it is.
    Room(Room),
    /// Not at the moment.
    Full,
    /// The whole queue is too small.
    Never,
}

/// Reserved capacity.
#[derive(Debug)]
struct Space {
    units: Reservation,
    memory: Reservation,
}

/// All that one queue shall hold of a payload, which comes to it from several pipelines if these
/// share the destination.
struct Demand<'a> {
    queue: &'a Arc<Queue>,
    size: Size,
    /// The entries, and what each takes up of `size`.
    parts: Vec<(usize, Size)>,
}

/// Reserves room for each entry. Where queues are configured so, waits until all of these have
/// room, or `gate` is in a hurry; otherwise answers at once. The answers are in the order of the
/// entries. `None` if one of these has no room, and another gate opens in place of this one: it is
/// waited for behind that.
pub(super) async fn reserve(
    entries: &[(&Lane, Payload)],
    memory: &Arc<Reservation>,
    gate: &Gate,
) -> Option<Vec<Vacancy>> {
    let mut vacancies = Vec::with_capacity(entries.len());
    let mut demands: Vec<Demand<'_>> = Vec::new();
    for (index, (lane, payload)) in entries.iter().enumerate() {
        let queue = lane.queue();
        let size = queue.size_of(payload);
        vacancies.push(Vacancy::Full);
        if !queue.capacity().holds(size) {
            vacancies[index] = Vacancy::Never;
            continue;
        }
        if !lane.has_place_for(payload) {
            continue;
        }
        match demands.iter_mut().find(|d| Arc::ptr_eq(d.queue, queue)) {
            Some(demand) if queue.capacity().holds(demand.size.plus(size)) => {
                demand.size = demand.size.plus(size);
                demand.parts.push((index, size));
            }
            // Together they are more than the queue ever holds, so the later one finds it full.
            Some(_) => {}
            None => demands.push(Demand {
                queue,
                size,
                parts: vec![(index, size)],
            }),
        }
    }
    let spaces = spaces(&demands, gate).await?;
    for (demand, space) in demands.into_iter().zip(spaces) {
        let mut whole = space;
        for (index, size) in demand.parts {
            let part = match &mut whole {
                Some(whole) => Some(whole.split(size)),
                // Not all of it fits; a part may.
                None => demand.queue.capacity().try_reserve(size),
            };
            if let Some(part) = part {
                vacancies[index] = Vacancy::Room(Room {
                    queue: Arc::new(part),
                    memory: memory.clone(),
                });
            }
        }
    }
    Some(vacancies)
}

/// What could be reserved for each demand as a whole; `None` as in [`reserve`].
async fn spaces(demands: &[Demand<'_>], gate: &Gate) -> Option<Vec<Option<Space>>> {
    let mut waits = true;
    loop {
        let mut spaces = Vec::with_capacity(demands.len());
        let mut lacking = None;
        for demand in demands {
            let space = demand.queue.capacity().try_reserve(demand.size);
            if space.is_none() && demand.queue.blocks_on_overflow() {
                if waits {
                    lacking = Some(demand);
                    break;
                }
                if gate.has_successor() {
                    return None;
                }
            }
            spaces.push(space);
        }
        let Some(demand) = lacking else {
            return Some(spaces);
        };
        drop(spaces);
        tokio::select! {
            () = demand.queue.capacity().vacant(demand.size) => {}
            () = gate.hurried() => waits = false,
        }
    }
}

// === impl Room ===

impl Room {
    /// Room for what was on a disk, and is in memory now.
    pub(super) fn new(units: Reservation, memory: Reservation, process: Reservation) -> Self {
        Self {
            queue: Arc::new(Space { units, memory }),
            memory: Arc::new(process),
        }
    }

    /// The same room, and memory in the queue.
    pub(super) fn with_memory(self, memory: Reservation) -> Self {
        // A room that has not been in a queue yet has no parts.
        match Arc::try_unwrap(self.queue) {
            Ok(Space { units, .. }) => Self {
                queue: Arc::new(Space { units, memory }),
                memory: self.memory,
            },
            Err(queue) => Self { queue, ..self },
        }
    }

    /// What it takes up of the queue, without the memory, which is given back.
    pub(super) fn into_units(self) -> Option<Reservation> {
        Arc::into_inner(self.queue).map(|space| space.units)
    }
}

// === impl Capacity ===

impl Capacity {
    /// Whether so much fits if nothing else is there.
    fn holds(&self, size: Size) -> bool {
        size.units <= self.units.limit() && size.memory <= self.memory.limit()
    }

    fn try_reserve(&self, size: Size) -> Option<Space> {
        Some(Space {
            units: self.units.try_reserve(size.units)?,
            memory: self.memory.try_reserve(size.memory)?,
        })
    }

    /// Waits until so much is free. By the time that this returns somebody else may have taken it.
    async fn vacant(&self, size: Size) {
        self.units.vacant(size.units).await;
        self.memory.vacant(size.memory).await;
    }
}

// === impl Size ===

impl Size {
    fn plus(self, other: Self) -> Self {
        Self {
            units: self.units.saturating_add(other.units),
            memory: self.memory.saturating_add(other.memory),
        }
    }
}

// === impl Space ===

impl Space {
    fn split(&mut self, size: Size) -> Self {
        Self {
            units: self.units.split(size.units),
            memory: self.memory.split(size.memory),
        }
    }
}
