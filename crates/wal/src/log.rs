//! Opening and appending.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::cursor;
use crate::done::Done;
use crate::frame::{HEADER, Header, MAX_PAYLOAD};
use crate::lock::Lock;
use crate::mark::Mark;
use crate::scan::{find_header, header_at};
use crate::segment::{self, SegmentId};
use crate::shared::{Handle, Shared, State};
use crate::spares::Spares;

/// How a log is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether an append waits until the disk has it.
    pub fsync: bool,
    /// How many bytes of the disk the segments may take up.
    pub max_bytes: u64,
    /// How many bytes a segment has at most, unless a single record is larger.
    pub segment_bytes: u64,
    /// How long to wait for a directory that another process has open.
    pub lock_timeout: Duration,
}

/// The one who appends to a log.
#[derive(Debug)]
pub struct Log {
    shared: Arc<Shared>,
    options: Options,
    active: Option<Active>,
    /// Segments that are done, to be written over.
    spares: Spares,
    /// Whether the active segment may have bytes behind its last record, from a write that failed.
    torn: bool,
    cut: u64,
    _lock: Lock,
}

/// What is appended.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The record.
    pub payload: Bytes,
    /// How many items it counts as.
    pub items: u64,
}

/// Where a record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Where it begins.
    pub from: Mark,
    /// Where it ends.
    pub to: Mark,
    pub(crate) id: SegmentId,
    pub(crate) offset: u64,
}

/// Why a record was not appended. Nothing of it is kept.
#[derive(Clone, Debug)]
pub enum AppendError {
    /// The log has reached its limit.
    Full {
        /// In bytes.
        limit: u64,
    },
    /// The record is larger than the log may ever be.
    TooLarge {
        /// In bytes.
        limit: u64,
    },
    /// The disk is full or fails.
    Failed(Arc<io::Error>),
    /// The log is closed.
    Closed,
}

/// Why a log cannot be opened.
#[derive(Debug)]
pub enum OpenError {
    /// Another process has it open.
    InUse(PathBuf),
    /// A file or directory cannot be read or written.
    Failed(PathBuf, io::Error),
}

#[derive(Debug)]
struct Active {
    id: SegmentId,
    file: File,
    /// Bytes of whole records.
    length: u64,
    /// Bytes of the file, which may hold what was there before it was written over.
    allocated: u64,
}

/// Records that are written together.
#[derive(Default)]
struct Group {
    headers: Vec<[u8; HEADER]>,
    payloads: Vec<Bytes>,
    /// Which of the results are theirs.
    results: Vec<usize>,
    bytes: u64,
}

// === impl Log ===

impl Log {
    /// Opens the log of a directory, which is made if its parent is there. What is damaged does not
    /// keep it from being opened.
    ///
    /// # Errors
    /// Another process has it, or the directory cannot be read or written.
    pub fn open(directory: &Path, options: Options) -> Result<Self, OpenError> {
        let failed = |error| OpenError::Failed(directory.to_owned(), error);
        match fs::create_dir(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            _ => {}
        }
        let lock = Lock::acquire(directory, options.lock_timeout).map_err(failed)?;
        let Some(lock) = lock else {
            return Err(OpenError::InUse(directory.to_owned()));
        };
        Self::recover(directory, options, lock).map_err(failed)
    }

    fn recover(directory: &Path, options: Options, lock: Lock) -> io::Result<Self> {
        let spares = Spares::new(directory)?;
        let mut segments: BTreeMap<SegmentId, u64> =
            segment::list(directory)?.into_iter().collect();
        let cursor = cursor::read(directory)?;
        let mut end = Mark::default();
        let mut active = None;
        let mut cut = 0;
        for (index, (&id, length)) in segments.iter_mut().rev().enumerate() {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .open(id.path(directory))?;
            let last = match index {
                0 => last_whole_record(&file, id.salt, *length),
                _ => records(&file, id.salt, *length).pop(),
            };
            if index == 0 {
                let whole = last.map_or(0, |(_, end)| end);
                cut = *length - whole;
                if cut > 0 {
                    file.set_len(whole)?;
                    file.sync_all()?;
                }
                *length = whole;
                file.seek(SeekFrom::Start(whole))?;
                end.records = id.first;
                active = Some(Active {
                    id,
                    file,
                    length: whole,
                    allocated: whole,
                });
            }
            if let Some((header, _)) = last {
                let after = header.after();
                end = Mark {
                    records: end.records.max(after.records),
                    ..after
                };
                break;
            }
        }
        let done = match cursor {
            Some(done) => done,
            None => done_before(directory, &segments),
        };
        if done.end().records > end.records {
            end = done.end();
        }
        let state = State {
            segments,
            end,
            done,
            // The first checkpoint tidies up.
            changed: true,
            commits: 0,
        };
        Ok(Self {
            shared: Shared::new(directory.to_owned(), state),
            options,
            active,
            spares,
            torn: false,
            cut,
            _lock: lock,
        })
    }

    /// The log for everybody else.
    pub fn handle(&self) -> Handle {
        Handle(self.shared.clone())
    }

    /// How many bytes at the end of the log were not a whole record when it was opened, and were cut
    /// off.
    pub fn cut_bytes(&self) -> u64 {
        self.cut
    }

    /// Appends records, and returns when all of them are kept, or are not. The results are in the
    /// order of the entries.
    pub fn append(&mut self, entries: &[Entry]) -> Vec<Result<Located, AppendError>> {
        let mut results = Vec::with_capacity(entries.len());
        let mut failure = self.mend().err();
        let mut group = Group::default();
        let mut end = self.shared.lock().end;
        for entry in entries {
            if let Some(error) = &failure {
                results.push(Err(error.clone()));
                continue;
            }
            let size = (HEADER + entry.payload.len()) as u64;
            if entry.payload.len() > MAX_PAYLOAD || size > self.options.max_bytes {
                let limit = self.options.max_bytes.min(MAX_PAYLOAD as u64);
                results.push(Err(AppendError::TooLarge { limit }));
                continue;
            }
            if self.lacks_room(&group, size) {
                failure = self.flush(&mut group, &mut results).err();
                if failure.is_none() {
                    self.make_room();
                }
                if failure.is_none() && self.lacks_room(&group, size) {
                    let limit = self.options.max_bytes;
                    results.push(Err(AppendError::Full { limit }));
                    continue;
                }
            }
            let used = self
                .active
                .as_ref()
                .map(|active| active.length + group.bytes);
            let full = |used: u64| used > 0 && used + size > self.options.segment_bytes;
            if failure.is_none() && used.is_none_or(full) {
                let flushed = self.flush(&mut group, &mut results);
                failure = flushed.and_then(|()| self.roll(end)).err();
            }
            let (Some(active), None) = (&self.active, &failure) else {
                let error = failure.get_or_insert(AppendError::Closed).clone();
                results.push(Err(error));
                // What failed before it has taken nothing.
                continue;
            };
            let header = Header::new(active.id.salt, end, entry.items, &entry.payload);
            let located = Located {
                from: end,
                to: header.after(),
                id: active.id,
                offset: active.length + group.bytes,
            };
            group.results.push(results.len());
            group.headers.push(header.encode(active.id.salt));
            group.payloads.push(entry.payload.clone());
            group.bytes += size;
            end = located.to;
            results.push(Ok(located));
        }
        // A failure is told to each entry of the group.
        let _ = self.flush(&mut group, &mut results);
        results
    }

    /// Writes down what is done, and deletes the segments of which nothing else is left.
    ///
    /// # Errors
    /// The cursor cannot be written, or a segment cannot be deleted. Another call tries again.
    pub fn checkpoint(&mut self) -> io::Result<()> {
        let active = self.active.as_ref().map(|active| active.id);
        self.remove_done(active)
    }

    /// The same at the end, when even the segment that is written to may go.
    ///
    /// # Errors
    /// As for [`Self::checkpoint`].
    pub fn close(mut self) -> io::Result<()> {
        self.shared.lock().changed = true;
        self.active = None;
        self.remove_done(None)?;
        self.spares.clear()
    }

    fn remove_done(&mut self, active: Option<SegmentId>) -> io::Result<()> {
        let done: Done = {
            let mut state = self.shared.lock();
            if !std::mem::take(&mut state.changed) {
                return Ok(());
            }
            state.done.clone()
        };
        let directory = self.shared.directory.clone();
        let directory = directory.as_path();
        let written = cursor::write(directory, &done, self.options.fsync);
        let removed = written.and_then(|()| {
            let removable = {
                let mut state = self.shared.lock();
                // What became done meanwhile is not in the cursor yet.
                let now = std::mem::replace(&mut state.done, done);
                let removable = state.removable(active);
                state.done = now;
                removable
            };
            for id in removable {
                self.spares.keep_or_remove(&id.path(directory))?;
                self.shared.lock().segments.remove(&id);
            }
            Ok(())
        });
        if removed.is_err() {
            self.shared.lock().changed = true;
        }
        removed
    }

    fn lacks_room(&self, group: &Group, size: u64) -> bool {
        let stored = self.shared.lock().stored_bytes();
        let behind = self.active.as_ref().map_or(0, Active::unused);
        // What is written now goes over what is allocated first.
        let more = (group.bytes + size).max(behind);
        stored + self.spares.bytes() + more > self.options.max_bytes
    }

    /// Deletes whatever is done, also the active segment if all of it is.
    fn make_room(&mut self) {
        let (all_done, id) = {
            let mut state = self.shared.lock();
            state.changed = true;
            let id = self.active.as_ref().map(|active| active.id);
            let from = id.map_or(0, |id| id.first);
            (state.done.covers(from, state.end.records), id)
        };
        // If it fails there is as little room as before, which is what the client hears.
        if self.remove_done(id.filter(|_| !all_done)).is_ok() && all_done {
            self.active = None;
        }
        // What is only kept to be written over goes first; if that fails it still counts.
        let _ = self.spares.clear();
        if let Some(active) = &mut self.active
            && active.file.set_len(active.length).is_ok()
        {
            active.allocated = active.length;
        }
    }

    /// Takes away what a failed write has left behind.
    fn mend(&mut self) -> Result<(), AppendError> {
        if !self.torn {
            return Ok(());
        }
        if let Some(active) = &mut self.active {
            active.file.set_len(active.length)?;
            active.allocated = active.length;
            active.file.seek(SeekFrom::Start(active.length))?;
        }
        self.torn = false;
        // It failed for want of room, as a rule.
        self.make_room();
        Ok(())
    }

    /// Begins a segment.
    fn roll(&mut self, end: Mark) -> Result<(), AppendError> {
        let id = SegmentId {
            first: end.records,
            salt: random(),
        };
        if self.spares.is_empty() {
            // What is done since the last checkpoint is there to be written over. If it cannot be had, the
            // next checkpoint says so.
            let active = self.active.as_ref().map(|active| active.id);
            self.shared.lock().changed = true;
            let _ = self.remove_done(active);
        }
        let directory = &self.shared.directory;
        let path = id.path(directory);
        let file = match self.spares.take(&path)? {
            true => OpenOptions::new().write(true).open(&path)?,
            false => File::create_new(&path)?,
        };
        let allocated = file.metadata()?.len();
        if self.options.fsync {
            File::open(directory)?.sync_all()?;
        }
        self.shared.lock().segments.insert(id, 0);
        self.active = Some(Active {
            id,
            file,
            length: 0,
            allocated,
        });
        Ok(())
    }

    /// Writes a group and syncs it. On an error nothing of it is kept, and its results say so.
    fn flush(
        &mut self,
        group: &mut Group,
        results: &mut [Result<Located, AppendError>],
    ) -> Result<(), AppendError> {
        let group = std::mem::take(group);
        let Some(active) = &mut self.active else {
            return Ok(());
        };
        if group.results.is_empty() {
            return Ok(());
        }
        let written = write_all(&mut active.file, &group).and_then(|()| {
            if self.options.fsync {
                active.file.sync_data()?;
            }
            Ok(())
        });
        if let Err(error) = written {
            self.torn = true;
            let error = AppendError::from(error);
            for index in group.results {
                if let Some(result) = results.get_mut(index) {
                    *result = Err(error.clone());
                }
            }
            return Err(error);
        }
        active.length += group.bytes;
        active.allocated = active.allocated.max(active.length);
        let last = group.results.last().and_then(|index| results.get(*index));
        let mut state = self.shared.lock();
        state.segments.insert(active.id, active.length);
        state.commits += 1;
        if let Some(Ok(located)) = last {
            state.end = located.to;
        }
        Ok(())
    }
}

// === impl Active ===

impl Active {
    /// Bytes of the file behind the last record.
    fn unused(&self) -> u64 {
        self.allocated.saturating_sub(self.length)
    }
}

// === impl OpenError ===

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(path) => write!(f, "{} is used by another process", path.display()),
            Self::Failed(path, error) => write!(f, "cannot use {}: {error}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {}

// === impl AppendError ===

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { limit } => write!(f, "the log has reached its limit of {limit} bytes"),
            Self::TooLarge { limit } => {
                write!(f, "the record is larger than the limit of {limit} bytes")
            }
            Self::Failed(error) => error.fmt(f),
            Self::Closed => f.write_str("the log is closed"),
        }
    }
}

impl std::error::Error for AppendError {}

impl From<io::Error> for AppendError {
    fn from(error: io::Error) -> Self {
        Self::Failed(Arc::new(error))
    }
}

/// The records of a segment, and where each ends.
fn records(file: &File, salt: u64, length: u64) -> Vec<(Header, u64)> {
    let mut records = Vec::new();
    let mut offset = 0;
    loop {
        if let Some(header) = header_at(file, salt, offset, length) {
            offset += header.record_bytes();
            records.push((header, offset));
        } else {
            match find_header(file, salt, offset.saturating_add(1), length) {
                Some(next) => offset = next,
                None => return records,
            }
        }
    }
}

/// The last record of the segment that was written to last. The append of one behind it may have
/// stopped in the midst of its payload, over what was there before.
fn last_whole_record(file: &File, salt: u64, length: u64) -> Option<(Header, u64)> {
    records(file, salt, length)
        .into_iter()
        .rfind(|(header, end)| is_whole(file, salt, *end, header))
}

/// Whether the payload that ends here is the one of its header. One that cannot be read is left to the
/// reader, who counts it.
fn is_whole(file: &File, salt: u64, end: u64, header: &Header) -> bool {
    let mut payload = vec![0; header.length];
    let read = file.read_exact_at(&mut payload, end - header.length as u64);
    read.is_err() || header.fits(salt, &payload)
}

/// Without a cursor: what was in the log before the first record that is still there.
fn done_before(directory: &Path, segments: &BTreeMap<SegmentId, u64>) -> Done {
    let mut done = Done::default();
    for (&id, &length) in segments {
        let Ok(file) = File::open(id.path(directory)) else {
            continue;
        };
        let header = header_at(&file, id.salt, 0, length).or_else(|| {
            let offset = find_header(&file, id.salt, 1, length)?;
            header_at(&file, id.salt, offset, length)
        });
        if let Some(header) = header {
            done.insert(Mark::default(), header.before);
            break;
        }
    }
    done
}

fn write_all(file: &mut File, group: &Group) -> io::Result<()> {
    let parts = group.headers.iter().zip(&group.payloads);
    let mut slices: Vec<IoSlice<'_>> = parts
        .flat_map(|(header, payload)| [IoSlice::new(header), IoSlice::new(payload)])
        .collect();
    let mut rest = slices.as_mut_slice();
    // Nothing to write is no reason to call; it would look like a full disk.
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A number that nobody outside of the process can guess: the keys of the standard library's hash
/// maps come from the system.
fn random() -> u64 {
    use std::hash::BuildHasher as _;
    std::collections::hash_map::RandomState::new().hash_one(std::time::Instant::now())
}
