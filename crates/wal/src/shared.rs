//! What the writer, the readers and those who finish records know together.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::done::Done;
use crate::mark::Mark;
use crate::reader::Reader;
use crate::segment::SegmentId;

/// An open log, for everybody but its writer. Clones are the same log.
#[derive(Clone, Debug)]
pub struct Handle(pub(crate) Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) directory: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(crate) struct State {
    /// The bytes of each segment that are written and synced.
    pub(crate) segments: BTreeMap<SegmentId, u64>,
    /// Behind the last record.
    pub(crate) end: Mark,
    pub(crate) done: Done,
    /// Whether `done` says more than the cursor's file.
    pub(crate) changed: bool,
    /// How often records were written and synced.
    pub(crate) commits: u64,
}

// === impl Handle ===

impl Handle {
    /// The records between two marks need not be read again.
    pub fn done(&self, from: Mark, to: Mark) {
        let mut state = self.0.lock();
        state.done.insert(from, to);
        state.changed = true;
    }

    /// How much is not done.
    pub fn pending(&self) -> Mark {
        let state = self.0.lock();
        state.end.since(state.done.total())
    }

    /// How many bytes of the disk the segments take up.
    pub fn stored_bytes(&self) -> u64 {
        self.0.lock().stored_bytes()
    }

    /// Behind the last record.
    pub fn end(&self) -> Mark {
        self.0.lock().end
    }

    /// How often records were written, and synced if so configured: many at a time, if many wait.
    pub fn commits(&self) -> u64 {
        self.0.lock().commits
    }

    /// A reader of everything that is not done.
    pub fn reader(&self) -> Reader {
        Reader::new(self.0.clone())
    }
}

// === impl Shared ===

impl Shared {
    pub(crate) fn new(directory: PathBuf, state: State) -> Arc<Self> {
        Arc::new(Self {
            directory,
            state: Mutex::new(state),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the state whole: no code between its changes can fail.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    pub(crate) fn stored_bytes(&self) -> u64 {
        self.segments.values().sum()
    }

    /// The segments of which every record is done, without the one that is written to.
    pub(crate) fn removable(&self, active: Option<SegmentId>) -> Vec<SegmentId> {
        let ids: Vec<SegmentId> = self.segments.keys().copied().collect();
        let ends = ids.iter().skip(1).map(|id| id.first);
        let ends = ends.chain([self.end.records]);
        ids.iter()
            .copied()
            .zip(ends)
            .filter(|(id, end)| Some(*id) != active && self.done.covers(id.first, *end))
            .map(|(id, _)| id)
            .collect()
    }
}
