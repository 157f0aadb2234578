//! The metrics of a `batch` processor, under otelcol's names.

use crate::telemetry::{Counter, Histogram, Registry};

/// What was sent, and why it was. Pipelines that batch alike on their way to the same exporter share
/// their batches, which count for the last of their processors.
#[derive(Debug)]
pub struct BatchMetrics {
    full: Counter,
    timed_out: Counter,
    items: Histogram,
    bytes: Histogram,
}

const ITEM_BOUNDS: &[u64] = &[
    10, 25, 50, 75, 100, 250, 500, 750, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000,
    10_000, 20_000, 30_000, 50_000, 100_000,
];

const BYTE_BOUNDS: &[u64] = &[
    10, 25, 50, 75, 100, 250, 500, 750, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000,
    10_000, 20_000, 30_000, 50_000, 100_000, 200_000, 300_000, 400_000, 500_000, 600_000, 700_000,
    800_000, 900_000, 1_000_000, 2_000_000, 3_000_000, 4_000_000, 5_000_000, 6_000_000, 7_000_000,
    8_000_000, 9_000_000,
];

// === impl BatchMetrics ===

impl BatchMetrics {
    /// The metrics of a processor by its name in the configuration.
    pub fn new(processor: &str, registry: &Registry) -> Self {
        let labels = [("processor", processor)];
        Self {
            full: registry.counter(
                "otelcol_processor_batch_batch_size_trigger_send",
                "Batches that were sent because they were large enough.",
                &labels,
            ),
            timed_out: registry.counter(
                "otelcol_processor_batch_timeout_trigger_send",
                "Batches that were sent because their first item had waited long enough.",
                &labels,
            ),
            items: registry.histogram(
                "otelcol_processor_batch_batch_send_size",
                "Items of the batches that were sent.",
                &labels,
                ITEM_BOUNDS,
            ),
            bytes: registry.histogram(
                "otelcol_processor_batch_batch_send_size_bytes",
                "Encoded bytes of the batches that were sent.",
                &labels,
                BYTE_BOUNDS,
            ),
        }
    }

    /// A batch is sent.
    pub(super) fn sent(&self, items: u64, bytes: usize, is_full: bool) {
        match is_full {
            true => self.full.add(1),
            false => self.timed_out.add(1),
        }
        self.items.record(items);
        self.bytes.record(bytes as u64);
    }
}
