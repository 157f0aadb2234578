//! A queue on disk: a segmented write-ahead log with checksums.
//!
//! A directory holds one log:
//!
//! ```text
//! lock                                      held while a process has the log open
//! cursor                                    what is done, replaced by rename
//! 00000000000000000000-<salt>.segment       records, oldest first; the name has the first one's number
//! 00000000000000000412-<salt>.segment
//! 0.spare                               a segment that is done, to be written over
//! ```
//!
//! A record is a header of 48 bytes (see the module `frame`) and a payload. Each header says how many records,
//! items and payload bytes the log held before it, so that a gap says by itself how much is missing
//! from it. Headers and payloads have checksums (CRC-32C) that begin with the segment's salt: what a
//! client sends cannot pass for a header, even where a damaged one makes the reader search for the
//! next.
//!
//! - [`Log`] appends: many records, one `fdatasync`. It belongs to one thread.
//! - [`Committer`] is that thread: appends that arrive while it syncs share the next sync.
//! - [`Reader`] reads in order, leaves out what is done, and says what is damaged.
//! - [`Handle`] marks records as done, in any order. Segments that are done are written over
//!   or deleted.
//!
//! What is guaranteed: a record whose append has returned is read again after any end of the process,
//! and of the machine if `fsync` is on, unless it was marked as done. Records marked as done shortly before
//! an abrupt end may be read again. Damage costs the records that it touches and no others; what is
//! damaged at the very end of the log cannot be told from an append that never finished, and is cut
//! off.
//!
//! Left out: compaction inside of segments, encryption, and file systems on which `rename` or `flock`
//! do not work.
#![forbid(unsafe_code)]

mod committer;
mod cursor;
mod done;
mod frame;
mod lock;
mod log;
mod mark;
mod reader;
mod scan;
mod segment;
mod shared;
mod spares;

pub use self::committer::{Appended, Committer};
pub use self::log::{AppendError, Entry, Located, Log, OpenError, Options};
pub use self::mark::Mark;
pub use self::reader::{Found, Reader, Record};
pub use self::shared::Handle;
