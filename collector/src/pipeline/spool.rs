//! The part of a queue that is on disk: one log for each exporter and signal.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use spanmesh_otlp::Signal;
use spanmesh_wal::{
    Appended, Committer, Entry, Found, Handle, Located, Log, Mark, Options, Reader,
};
use tracing::{info, warn};

use super::component::StartError;
use super::payload::Payload;
use super::storage::StorageOptions;
use crate::telemetry::{Registry, Throttle};

/// See the module.
#[derive(Debug)]
pub(super) struct Spool {
    directory: PathBuf,
    committer: Committer,
    reader: Mutex<Reader>,
}

/// A log is kept in this many segments if it is full,
const SEGMENTS: u64 = 32;
/// each of which has so many bytes at least and at most.
const SEGMENT_BYTES: (u64, u64) = (64 << 10, 16 << 20);

// === impl Spool ===

impl Spool {
    /// Opens the log of an exporter and a signal.
    ///
    /// # Errors
    /// Its folder cannot be used, or another process does.
    pub(super) fn open(
        options: &StorageOptions,
        exporter: &str,
        signal: Signal,
    ) -> Result<Self, StartError> {
        let directory = options.folder(exporter, signal.name());
        let (least, most) = SEGMENT_BYTES;
        let log = Log::open(
            &directory,
            Options {
                fsync: options.fsync,
                max_bytes: options.max_bytes,
                segment_bytes: (options.max_bytes / SEGMENTS).clamp(least, most),
                lock_timeout: options.lock_timeout,
            },
        )
        .map_err(|error| StartError(format!("exporter \"{exporter}\": storage: {error}")))?;
        if log.cut_bytes() > 0 {
            let bytes = log.cut_bytes();
            let directory = directory.display().to_string();
            info!(
                exporter,
                directory, bytes, "cut off what was no whole record at the end of the storage"
            );
        }
        let reader = Mutex::new(log.handle().reader());
        let thread = format!("wal-{}", signal.name());
        let (throttle, name) = (Throttle::default(), exporter.to_owned());
        let report = move |error: &io::Error| {
            if throttle.count(1).is_some() {
                let exporter = name.as_str();
                warn!(
                    exporter,
                    "the storage cannot write down what is delivered: {error}"
                );
            }
        };
        let committer = Committer::start(&thread, log, report)
            .map_err(|error| StartError(format!("exporter \"{exporter}\": storage: {error}")))?;
        Ok(Self {
            directory,
            committer,
            reader,
        })
    }

    /// Appends a payload; `appended` hears on another thread what became of it, in the order of the log.
    pub(super) fn append(&self, payload: Bytes, items: u64, appended: Appended) {
        self.committer.append(Entry { payload, items }, appended);
    }

    /// The records between two marks are settled.
    pub(super) fn done(&self, from: Mark, to: Mark) {
        self.handle().done(from, to);
    }

    /// Reads records before `until`, at least one, and no more once they take up so many `bytes` of
    /// memory as payloads. Goes on where the last call ended, or at `seek`. Says how far it came.
    ///
    /// # Errors
    /// A file that cannot be opened. What was read before it is not lost: it is returned first.
    pub(super) fn read(
        &self,
        seek: Option<&Located>,
        until: Mark,
        bytes: u64,
    ) -> (Vec<Found>, Mark, io::Result<()>) {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(located) = seek {
            reader.seek(located);
        }
        let mut found = Vec::new();
        let mut size = 0;
        while size < bytes || found.is_empty() {
            match reader.read(until) {
                Ok(Some(next)) => {
                    if let Found::Record(record) = &next {
                        size += Payload::memory_of(record.payload.len());
                    }
                    found.push(next);
                }
                Ok(None) => break,
                Err(error) => return (found, reader.read_to(), Err(error)),
            }
        }
        (found, reader.read_to(), Ok(()))
    }

    /// The log.
    pub(super) fn handle(&self) -> &Handle {
        self.committer.handle()
    }

    /// Writes down what is done, and gives the folder back. Says what stays in it.
    pub(super) fn close(&self) -> (Mark, String) {
        self.committer.close();
        (
            self.handle().pending(),
            self.directory.display().to_string(),
        )
    }

    /// Exports its size.
    pub(super) fn register(
        &self,
        registry: &Registry,
        exporter: &str,
        signal: Signal,
        capacity: u64,
    ) {
        let labels = [("exporter", exporter), ("signal", signal.name())];
        let handle = self.handle().clone();
        registry.gauge(
            "spanmesh_storage_size_bytes",
            "Bytes of the disk that the queue takes up.",
            &labels,
            move || handle.stored_bytes() as f64,
        );
        registry.gauge(
            "spanmesh_storage_capacity_bytes",
            "Bytes of the disk that the queue may take up.",
            &labels,
            move || capacity as f64,
        );
        let handle = self.handle().clone();
        registry.gauge(
            "spanmesh_storage_pending_bytes",
            "Bytes of payloads on disk that are not settled.",
            &labels,
            move || handle.pending().bytes as f64,
        );
        let handle = self.handle().clone();
        registry.gauge(
            "spanmesh_storage_pending_items",
            "Items on disk that are not settled.",
            &labels,
            move || handle.pending().items as f64,
        );
        let handle = self.handle().clone();
        registry.counter_from(
            "spanmesh_storage_commits",
            "Writes to the disk, each of which keeps everything that waited for it.",
            &labels,
            move || handle.commits() as f64,
        );
    }
}
