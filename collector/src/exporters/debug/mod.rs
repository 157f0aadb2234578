//! `debug`: writes what passes to standard output, for people.
//!
//! `basic` writes one line a batch, `normal` one line a span, log record or metric, `detailed` every
//! field. The only exporter that decodes.

mod format;

use std::io::{self, Write};
use std::sync::Arc;

use serde::Deserialize;

use crate::config::{Former, Problems, Section};
use crate::pipeline::{
    Batch, BoxFuture, BuildContext, Delivered, DeliveryOptions, ExportError, Exporter,
    ExporterConfig, ExporterFactory, StartError,
};

/// Makes `debug` exporters.
#[derive(Debug)]
pub struct Factory;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Options {
    /// How much is written.
    verbosity: Verbosity,
    /// Accepted for the sake of existing files: everything is written.
    #[serde(rename = "sampling_initial")]
    _sampling_initial: u32,
    #[serde(rename = "sampling_thereafter")]
    _sampling_thereafter: u32,
    /// Accepted for the sake of existing files: it writes to standard output.
    #[serde(rename = "use_internal_logger")]
    _use_internal_logger: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Verbosity {
    #[default]
    Basic,
    Normal,
    Detailed,
}

/// The levels that stood for verbosities.
const FORMER_OPTIONS: &[Former] = &[Former {
    old: "loglevel",
    new: Some("verbosity"),
    values: &[
        ("debug", "detailed"),
        ("info", "normal"),
        ("warn", "basic"),
        ("error", "basic"),
    ],
    idle: None,
}];

struct Debug {
    verbosity: Verbosity,
}

// === impl Factory ===

impl ExporterFactory for Factory {
    fn kind(&self) -> &'static str {
        "debug"
    }

    fn former_kinds(&self) -> &'static [&'static str] {
        &["logging"]
    }

    fn former_options(&self) -> &'static [Former] {
        FORMER_OPTIONS
    }

    fn configure(&self, section: &Section<'_>) -> Result<Box<dyn ExporterConfig>, Problems> {
        let options: Options = section.read()?;
        Ok(Box::new(options))
    }
}

// === impl Options ===

impl ExporterConfig for Options {
    fn delivery(&self) -> DeliveryOptions {
        DeliveryOptions::in_order(usize::MAX)
    }

    fn build(self: Box<Self>, _context: &BuildContext) -> Result<Arc<dyn Exporter>, StartError> {
        Ok(Arc::new(Debug {
            verbosity: self.verbosity,
        }))
    }
}

// === impl Debug ===

impl Exporter for Debug {
    fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<Delivered, ExportError>> {
        Box::pin(async move {
            let text = match self.verbosity {
                Verbosity::Basic => Ok(format::basic(batch)),
                Verbosity::Normal => format::normal(batch),
                Verbosity::Detailed => format::detailed(batch),
            };
            let text = text.map_err(|error| ExportError::Permanent {
                message: format!("the batch cannot be decoded: {error}"),
            })?;
            // Whoever reads standard output may be slow, and must not hold up a worker.
            let write = move || io::stdout().lock().write_all(text.as_bytes());
            let written = tokio::task::spawn_blocking(write).await;
            let written = written.map_err(io::Error::other).flatten();
            written.map_err(|error| ExportError::Permanent {
                message: format!("cannot write to standard output: {error}"),
            })?;
            Ok(Delivered::default())
        })
    }
}
