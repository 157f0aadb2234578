//! `file`: writes OTLP JSON, one batch a line.
//!
//! A batch counts as sent when the operating system has it: nothing is buffered here, so that
//! neither a crash of the collector nor a full disk loses what was counted. What the file held before
//! is removed only when the collector has its ports: one that fails to start, because another one runs
//! already, does no harm to the other's file.
//!
//! Left out: `format: proto`, `compression`, `rotation` and `group_by`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use spanmesh_otlp::json;

use crate::config::{Problems, Section, Span};
use crate::pipeline::{
    Batch, BoxFuture, BuildContext, Delivered, DeliveryOptions, ExportError, Exporter,
    ExporterConfig, ExporterFactory, StartError,
};

/// Makes `file` exporters.
#[derive(Debug)]
pub struct Factory;

#[derive(Debug, Deserialize)]
struct Options {
    /// Where to write.
    path: PathBuf,
    /// Whether what the file holds already is kept.
    #[serde(default)]
    append: bool,
    /// How each batch is written.
    #[serde(default, rename = "format")]
    _format: Format,
    /// Accepted for the sake of existing files; every batch is written at once.
    #[serde(default, rename = "flush_interval")]
    _flush_interval: Span,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
}

struct FileExporter {
    path: PathBuf,
    append: bool,
    file: Arc<Mutex<File>>,
}

/// A line is at most so long before it becomes JSON.
const MAX_BATCH_BYTES: usize = 16 << 20;

// === impl Factory ===

impl ExporterFactory for Factory {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn configure(&self, section: &Section<'_>) -> Result<Box<dyn ExporterConfig>, Problems> {
        let options: Options = section.read()?;
        let folder = options.path.parent();
        let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
        if folder.is_some_and(|folder| !folder.is_dir()) {
            let path = options.path.display();
            let message =
                format!("path: expected a file in a folder that is there, but found {path}");
            return Err(section.problem(message).into());
        }
        Ok(Box::new(options))
    }
}

// === impl Options ===

impl ExporterConfig for Options {
    fn delivery(&self) -> DeliveryOptions {
        DeliveryOptions::in_order(MAX_BATCH_BYTES)
    }

    fn build(self: Box<Self>, context: &BuildContext) -> Result<Arc<dyn Exporter>, StartError> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .map_err(|error| {
                let (id, path) = (&context.id, self.path.display());
                StartError(format!("exporter \"{id}\" cannot open {path}: {error}"))
            })?;
        Ok(Arc::new(FileExporter {
            path: self.path,
            append: self.append,
            file: Arc::new(Mutex::new(file)),
        }))
    }
}

// === impl FileExporter ===

impl Exporter for FileExporter {
    fn start(&self) -> Result<(), StartError> {
        if self.append {
            return Ok(());
        }
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let emptied = match file.metadata() {
            Ok(metadata) if metadata.is_file() => file.set_len(0),
            // A pipe or a device holds nothing that could be removed.
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        emptied.map_err(|error| {
            let path = self.path.display();
            StartError(format!("cannot empty {path}: {error}"))
        })
    }

    fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<Delivered, ExportError>> {
        Box::pin(async move {
            let mut line =
                json::request_to_json(batch.signal, &batch.concatenated()).map_err(|error| {
                    ExportError::Permanent {
                        message: format!("the batch cannot be written as JSON: {error}"),
                    }
                })?;
            line.push(b'\n');
            let file = self.file.clone();
            let written = tokio::task::spawn_blocking(move || {
                append(
                    &mut file.lock().unwrap_or_else(PoisonError::into_inner),
                    &line,
                )
            });
            let written = written.await.map_err(io::Error::other).flatten();
            written.map_err(|error| ExportError::Retryable {
                message: format!("cannot write to {}: {error}", self.path.display()),
                after: None,
            })?;
            Ok(Delivered::default())
        })
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let file = self.file.clone();
            // A file that cannot be synced has been written all the same.
            let _ = tokio::task::spawn_blocking(move || {
                let file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.sync_data()
            })
            .await;
        })
    }
}

/// Appends a line, or nothing at all: a part of one would spoil the next attempt.
fn append(file: &mut File, line: &[u8]) -> io::Result<()> {
    let before = file.metadata()?.len();
    let written = file.write_all(line);
    if written.is_err() {
        // If this fails too, the disk is beyond help, and the error that is returned says so.
        let _ = file.set_len(before);
    }
    written
}
