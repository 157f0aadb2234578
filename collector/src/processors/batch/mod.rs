//! `batch`: destinations send batches instead of single requests.
//!
//! In the OpenTelemetry Collector this processor takes payloads out of the client's sight: it
//! answers before the exporters have them, and drops what they refuse. Here it holds nothing. It
//! tells the queues of its pipeline's destinations how large their batches shall be, and those form
//! by appending when they are taken out.
//!
//! Left out: `metadata_keys`.

use std::time::Duration;

use serde::Deserialize;
use spanmesh_otlp::Signal;

use crate::config::{Problems, Section, Span};
use crate::pipeline::{Batching, BuildContext, ProcessorConfig, ProcessorFactory, Stage};

/// Makes `batch` processors.
#[derive(Debug)]
pub struct Factory;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(try_from = "RawOptions")]
struct Options(Batching);

#[derive(Debug, Deserialize)]
#[serde(default)]
struct RawOptions {
    /// How many items make a batch; 0 for batches of whatever waits, at once.
    send_batch_size: u64,
    /// How long the first item of a batch waits for others.
    timeout: Span,
    /// How many items a batch has at most; 0 for no limit.
    send_batch_max_size: u64,
    metadata_keys: Vec<String>,
    /// Means something only together with `metadata_keys`.
    #[serde(rename = "metadata_cardinality_limit")]
    _metadata_cardinality_limit: u64,
}

// === impl Factory ===

impl ProcessorFactory for Factory {
    fn kind(&self) -> &'static str {
        "batch"
    }

    fn configure(&self, section: &Section<'_>) -> Result<Box<dyn ProcessorConfig>, Problems> {
        let options: Options = section.read()?;
        Ok(Box::new(options))
    }
}

// === impl Options ===

impl ProcessorConfig for Options {
    fn build(&self, _context: &BuildContext, _signal: Signal) -> Stage {
        Stage::Batch(self.0)
    }
}

impl TryFrom<RawOptions> for Options {
    type Error = String;

    fn try_from(raw: RawOptions) -> Result<Self, String> {
        let (size, max) = (raw.send_batch_size, raw.send_batch_max_size);
        if max > 0 && max < size {
            return Err(format!(
                "expected \"send_batch_max_size\" to be 0 or at least \"send_batch_size\" \
                 ({size}), but found {max}"
            ));
        }
        if !raw.metadata_keys.is_empty() {
            return Err("\"metadata_keys\" is not available in this version".to_owned());
        }
        let timeout: Duration = raw.timeout.0;
        Ok(Self(Batching {
            min_items: size,
            max_items: max,
            min_bytes: None,
            max_bytes: None,
            timeout,
        }))
    }
}

// === impl RawOptions ===

impl Default for RawOptions {
    fn default() -> Self {
        Self {
            send_batch_size: 8192,
            timeout: Span::millis(200),
            send_batch_max_size: 0,
            metadata_keys: Vec::new(),
            _metadata_cardinality_limit: 1000,
        }
    }
}
