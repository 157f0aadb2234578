//! Reading in order.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Bound;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;

use crate::frame::{HEADER, Header};
use crate::log::Located;
use crate::mark::Mark;
use crate::scan::{find_header, header_at};
use crate::segment::SegmentId;
use crate::shared::{Shared, State};

/// Reads the records that are not done, each once.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    /// Everything before is read, done, or reported as damaged.
    expected: Mark,
    position: Option<Position>,
    /// Segments up to this one hold nothing more.
    passed: Option<SegmentId>,
    /// What is known to be damaged and not yet reported.
    damaged: VecDeque<(Mark, Mark)>,
}

/// What comes next in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A record as it was appended.
    Record(Record),
    /// Records that cannot be read.
    Damaged {
        /// Where they began.
        from: Mark,
        /// Where they ended. The items between the marks are those that are lost, unless so much is
        /// damaged that nobody knows.
        to: Mark,
    },
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it begins.
    pub from: Mark,
    /// Where it ends.
    pub to: Mark,
    /// What was appended.
    pub payload: Bytes,
}

#[derive(Debug)]
struct Position {
    id: SegmentId,
    file: File,
    offset: u64,
}

/// What the state says of the place where the reader is.
enum Place {
    /// There is nothing more to read.
    End,
    /// What is expected is done.
    Done(Mark),
    /// The segment that it is in, with the length; or the one to open.
    Open(SegmentId, u64),
    /// Everything up to here is missing.
    Missing(Mark),
}

// === impl Reader ===

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            expected: Mark::default(),
            position: None,
            passed: None,
            damaged: VecDeque::new(),
        }
    }

    /// Goes on at a record whose append said where it is.
    pub fn seek(&mut self, located: &Located) {
        self.expected = located.from;
        self.position = None;
        self.passed = None;
        self.damaged.clear();
        // Without the file its segment is looked for, which says what is wrong.
        if let Ok(file) = File::open(located.id.path(&self.shared.directory)) {
            self.position = Some(Position {
                id: located.id,
                file,
                offset: located.offset,
            });
        }
    }

    /// How far it has read.
    pub fn read_to(&self) -> Mark {
        self.expected
    }

    /// The next record before `until`; `None` if there is none. What is behind it stays for later.
    ///
    /// # Errors
    /// A segment that cannot be opened. Another call tries again.
    pub fn read(&mut self, until: Mark) -> io::Result<Option<Found>> {
        loop {
            if let Some((from, to)) = self.damaged.pop_front() {
                return Ok(Some(Found::Damaged { from, to }));
            }
            let place = self.place(&self.shared.lock(), until);
            let (id, length) = match place {
                Place::End => return Ok(None),
                Place::Done(end) => {
                    self.expected = end;
                    continue;
                }
                Place::Missing(end) => {
                    self.miss(end);
                    continue;
                }
                Place::Open(id, length) => (id, length),
            };
            let Some(position) = self.position.as_mut().filter(|at| at.id == id) else {
                self.open(id)?;
                continue;
            };
            let Some(header) = header_at(&position.file, id.salt, position.offset, length) else {
                let from = position.offset.saturating_add(1);
                match find_header(&position.file, id.salt, from, length) {
                    Some(offset) => position.offset = offset,
                    None => self.pass(id),
                }
                continue;
            };
            let offset = position.offset;
            if header.before.records > self.expected.records {
                self.miss(if header.before.records < until.records {
                    header.before
                } else {
                    until
                });
                continue;
            }
            position.offset = offset + header.record_bytes();
            if header.before.records < self.expected.records {
                continue;
            }
            let found = read_payload(&position.file, id.salt, offset, &header);
            self.expected = header.after();
            return Ok(Some(found));
        }
    }

    fn place(&self, state: &State, until: Mark) -> Place {
        let end = if until.records < state.end.records {
            until
        } else {
            state.end
        };
        if let Some(end) = state.done.end_of(self.expected.records) {
            return Place::Done(end);
        }
        if self.expected.records >= end.records {
            return Place::End;
        }
        if let Some(position) = &self.position
            && let Some(&length) = state.segments.get(&position.id)
            && position.offset < length
        {
            return Place::Open(position.id, length);
        }
        let passed = self.position.as_ref().map(|position| position.id);
        let lower = match passed.max(self.passed) {
            Some(id) => Bound::Excluded(id),
            None => Bound::Unbounded,
        };
        let mut chosen = None;
        for (id, length) in state.segments.range((lower, Bound::Unbounded)) {
            if chosen.is_some() && id.first > self.expected.records {
                break;
            }
            chosen = Some((*id, *length));
        }
        match chosen {
            Some((id, length)) => Place::Open(id, length),
            None => Place::Missing(end),
        }
    }

    fn open(&mut self, id: SegmentId) -> io::Result<()> {
        match File::open(id.path(&self.shared.directory)) {
            Ok(file) => {
                self.position = Some(Position {
                    id,
                    file,
                    offset: 0,
                });
            }
            // Deleted, since it is done, or by somebody else.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.pass(id),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn pass(&mut self, id: SegmentId) {
        self.position = None;
        self.passed = self.passed.max(Some(id));
    }

    /// What lies before `to` and is not done cannot be read.
    fn miss(&mut self, to: Mark) {
        let missing = self.shared.lock().done.missing(self.expected, to);
        self.damaged.extend(missing);
        self.expected = to;
    }
}

fn read_payload(file: &File, salt: u64, offset: u64, header: &Header) -> Found {
    let (from, to) = (header.before, header.after());
    let mut payload = vec![0; header.length];
    let read = file.read_exact_at(&mut payload, offset + HEADER as u64);
    if read.is_err() || !header.fits(salt, &payload) {
        return Found::Damaged { from, to };
    }
    Found::Record(Record {
        from,
        to,
        payload: payload.into(),
    })
}
