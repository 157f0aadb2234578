//! The options that every exporter has: `sending_queue`, `retry_on_failure`, `timeout`; and what
//! the `batch` processor sets.

use std::time::Duration;

use serde::Deserialize;

use crate::config::{ComponentId, Former, Span, enabled};

/// How payloads become batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawBatchOptions")]
pub struct Batching {
    /// A batch is sent as soon as it has so many items; 0 for batches of whatever waits, at once.
    pub min_items: u64,
    /// A batch has no more items than this; 0 for no limit.
    pub max_items: u64,
    /// A batch is also sent as soon as it has so many bytes.
    pub min_bytes: Option<usize>,
    /// A batch has no more bytes than this, instead of what its exporter takes for right.
    pub max_bytes: Option<usize>,
    /// A batch is sent when its first item has waited for so long.
    pub timeout: Duration,
}

/// What a destination needs to know of its exporter.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryOptions {
    /// `sending_queue`.
    pub queue: QueueOptions,
    /// `retry_on_failure`.
    pub retry: RetryOptions,
    /// How long one attempt may take; `None` for no limit.
    pub timeout: Option<Duration>,
    /// A batch is not made larger than this, in encoded bytes.
    pub max_batch_bytes: usize,
}

/// `sending_queue`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "RawQueueOptions")]
pub struct QueueOptions {
    /// How many batches are sent at the same time.
    pub num_consumers: usize,
    /// How much may wait, in units of `sizer`; `None` for a share of the memory budget.
    pub queue_size: Option<u64>,
    /// What `queue_size` counts.
    pub sizer: Sizer,
    /// Whether clients wait for room instead of being refused.
    pub block_on_overflow: bool,
    /// Whether clients get their answer when the destination has answered, instead of when the queue
    /// holds their payload.
    pub wait_for_result: bool,
    /// The extension that keeps the queue on disk; `None` for a queue in memory.
    pub storage: Option<ComponentId>,
    /// How payloads become batches in pipelines without a `batch` processor.
    pub batch: Option<Batching>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
struct RawQueueOptions {
    enabled: bool,
    num_consumers: usize,
    queue_size: Option<u64>,
    sizer: Option<Sizer>,
    block_on_overflow: bool,
    wait_for_result: bool,
    storage: Option<String>,
    #[serde(deserialize_with = "enabled")]
    batch: Option<Batching>,
}

/// `sending_queue.batch`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
struct RawBatchOptions {
    flush_timeout: Span,
    min_size: u64,
    max_size: u64,
    sizer: Sizer,
}

/// What the size of a queue counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sizer {
    /// Requests as clients sent them.
    Requests,
    /// Spans, log records, data points.
    Items,
    /// Encoded bytes.
    #[default]
    Bytes,
}

/// `retry_on_failure`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "RawRetryOptions")]
pub struct RetryOptions {
    /// Whether failed batches are sent again.
    pub enabled: bool,
    /// The wait before the second attempt.
    pub initial_interval: Span,
    /// How much each further wait may differ: 0.5 is half as long to half as long again.
    pub randomization_factor: f64,
    /// How much longer each wait is than the one before.
    pub multiplier: f64,
    /// The longest wait.
    pub max_interval: Span,
    /// When to give up, counted from the first attempt; 0 for never.
    pub max_elapsed_time: Span,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
struct RawRetryOptions {
    enabled: bool,
    initial_interval: Span,
    randomization_factor: f64,
    multiplier: f64,
    max_interval: Span,
    max_elapsed_time: Span,
}

/// Former names of the options of exporters that send: their queue's, and those of `tls`, which once
/// stood beside it.
pub const FORMER_OPTIONS: &[Former] = &[
    Former::renamed(
        "sending_queue::blocking",
        "sending_queue::block_on_overflow",
    ),
    Former::renamed(
        "sending_queue::batch::min_size_items",
        "sending_queue::batch::min_size",
    ),
    Former::renamed(
        "sending_queue::batch::max_size_items",
        "sending_queue::batch::max_size",
    ),
    Former::renamed("tls_settings", "tls"),
    Former::renamed("insecure", "tls::insecure"),
    Former::renamed("insecure_skip_verify", "tls::insecure_skip_verify"),
    Former::renamed("ca_file", "tls::ca_file"),
    Former::renamed("cert_file", "tls::cert_file"),
    Former::renamed("key_file", "tls::key_file"),
    Former::renamed("server_name_override", "tls::server_name_override"),
];

/// How many requests are on their way at most, if `sending_queue` is not enabled.
const CONSUMERS_WITHOUT_QUEUE: usize = 100;

// === impl DeliveryOptions ===

impl DeliveryOptions {
    /// For exporters that write on this machine: one batch after the other, so that what is written
    /// comes in the order of the requests.
    pub fn in_order(max_batch_bytes: usize) -> Self {
        Self {
            queue: QueueOptions {
                num_consumers: 1,
                ..QueueOptions::default()
            },
            retry: RetryOptions::default(),
            timeout: None,
            max_batch_bytes,
        }
    }
}

// === impl QueueOptions ===

impl Default for QueueOptions {
    fn default() -> Self {
        Self {
            num_consumers: 10,
            queue_size: None,
            sizer: Sizer::Bytes,
            block_on_overflow: false,
            wait_for_result: false,
            storage: None,
            batch: None,
        }
    }
}

impl Default for RawQueueOptions {
    fn default() -> Self {
        Self {
            enabled: true,
            num_consumers: 10,
            queue_size: None,
            sizer: None,
            block_on_overflow: false,
            wait_for_result: false,
            storage: None,
            batch: None,
        }
    }
}

impl TryFrom<RawQueueOptions> for QueueOptions {
    type Error = String;

    fn try_from(raw: RawQueueOptions) -> Result<Self, String> {
        if !raw.enabled {
            // Without a queue every client waits for its own request, and as many are on their way
            // as there are clients.
            return Ok(Self {
                num_consumers: CONSUMERS_WITHOUT_QUEUE,
                wait_for_result: true,
                ..Self::default()
            });
        }
        if raw.num_consumers == 0 {
            return Err("expected \"num_consumers\" to be at least 1, but found 0".to_owned());
        }
        if raw.queue_size == Some(0) {
            return Err("expected \"queue_size\" to be at least 1, but found 0".to_owned());
        }
        let storage = raw.storage.as_deref().map(ComponentId::parse).transpose()?;
        if storage.is_some() && raw.wait_for_result {
            return Err(
                "expected either \"storage\" or \"wait_for_result\": a queue on disk answers when \
                 the disk has the payload"
                    .to_owned(),
            );
        }
        // A bare `queue_size` counts requests, as in the OpenTelemetry Collector; without one the
        // queue is limited by bytes.
        let sizer = match (raw.sizer, raw.queue_size) {
            (Some(sizer), Some(_)) => sizer,
            (None, Some(_)) => Sizer::Requests,
            (_, None) => Sizer::Bytes,
        };
        let least = raw.batch.and_then(|batch| match (sizer, batch.min_bytes) {
            (Sizer::Items, None) => Some(batch.min_items),
            (Sizer::Bytes, Some(bytes)) => Some(bytes as u64),
            _ => None,
        });
        if let (Some(size), Some(least)) = (raw.queue_size, least)
            && least > size
        {
            return Err(format!(
                "expected \"queue_size\" to be at least \"min_size\" of \"batch\" ({least}), but \
                 found {size}"
            ));
        }
        Ok(Self {
            num_consumers: raw.num_consumers,
            queue_size: raw.queue_size,
            sizer,
            block_on_overflow: raw.block_on_overflow,
            wait_for_result: raw.wait_for_result,
            storage,
            batch: raw.batch,
        })
    }
}

// === impl Batching ===

impl Default for RawBatchOptions {
    fn default() -> Self {
        Self {
            flush_timeout: Span::millis(200),
            min_size: 8192,
            max_size: 0,
            sizer: Sizer::Items,
        }
    }
}

impl TryFrom<RawBatchOptions> for Batching {
    type Error = String;

    fn try_from(raw: RawBatchOptions) -> Result<Self, String> {
        let (min, max) = (raw.min_size, raw.max_size);
        if max > 0 && max < min {
            return Err(format!(
                "expected \"max_size\" to be 0 or at least \"min_size\" ({min}), but found {max}"
            ));
        }
        let timeout = raw.flush_timeout.0;
        match raw.sizer {
            Sizer::Requests => Err("expected \"sizer\" to be \"items\" or \"bytes\"".to_owned()),
            Sizer::Items => Ok(Self {
                min_items: min,
                max_items: max,
                min_bytes: None,
                max_bytes: None,
                timeout,
            }),
            Sizer::Bytes => {
                let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
                Ok(Self {
                    // Only bytes count; without a least number of them whatever waits is sent at once.
                    min_items: if min == 0 { 0 } else { u64::MAX },
                    max_items: 0,
                    min_bytes: (min > 0).then(|| bytes(min)),
                    max_bytes: (max > 0).then(|| bytes(max)),
                    timeout,
                })
            }
        }
    }
}

// === impl RetryOptions ===

impl Default for RetryOptions {
    fn default() -> Self {
        Self {
            enabled: true,
            initial_interval: Span::seconds(5),
            randomization_factor: 0.5,
            multiplier: 1.5,
            max_interval: Span::seconds(30),
            max_elapsed_time: Span::seconds(300),
        }
    }
}

impl Default for RawRetryOptions {
    fn default() -> Self {
        let options = RetryOptions::default();
        Self {
            enabled: options.enabled,
            initial_interval: options.initial_interval,
            randomization_factor: options.randomization_factor,
            multiplier: options.multiplier,
            max_interval: options.max_interval,
            max_elapsed_time: options.max_elapsed_time,
        }
    }
}

impl TryFrom<RawRetryOptions> for RetryOptions {
    type Error = String;

    fn try_from(raw: RawRetryOptions) -> Result<Self, String> {
        if !(0.0..=1.0).contains(&raw.randomization_factor) {
            let found = raw.randomization_factor;
            return Err(format!(
                "expected \"randomization_factor\" between 0 and 1, but found {found}"
            ));
        }
        if !(1.0..=1000.0).contains(&raw.multiplier) {
            let found = raw.multiplier;
            return Err(format!(
                "expected \"multiplier\" between 1 and 1000, but found {found}"
            ));
        }
        if let Some(limit) = raw.max_elapsed_time.non_zero() {
            let least = raw.initial_interval.max(raw.max_interval).0;
            if raw.enabled && limit < least {
                return Err(format!(
                    "expected \"max_elapsed_time\" to be at least \"initial_interval\" and \
                     \"max_interval\" ({least:?}), but found {limit:?}"
                ));
            }
        }
        Ok(Self {
            enabled: raw.enabled,
            initial_interval: raw.initial_interval,
            randomization_factor: raw.randomization_factor,
            multiplier: raw.multiplier,
            max_interval: raw.max_interval,
            max_elapsed_time: raw.max_elapsed_time,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(json: &str) -> Result<QueueOptions, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    fn retry(json: &str) -> Result<RetryOptions, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn a_bare_size_counts_requests_and_no_size_counts_bytes() {
        let p = |json| {
            queue(json)
                .map(|options| (options.sizer, options.queue_size))
                .unwrap()
        };
        assert_eq!(p("{}"), (Sizer::Bytes, None));
        assert_eq!(p(r#"{"queue_size": 5}"#), (Sizer::Requests, Some(5)));
        assert_eq!(
            p(r#"{"queue_size": 5, "sizer": "items"}"#),
            (Sizer::Items, Some(5))
        );
    }

    #[test]
    fn queues_can_batch() {
        let batch = |json| queue(json).map(|options| options.batch);
        assert_eq!(batch("{}"), Ok(None));
        let defaults = batch(r#"{"batch": {}}"#).unwrap().unwrap();
        assert_eq!((defaults.min_items, defaults.max_items), (8192, 0));
        assert_eq!(defaults.timeout, Duration::from_millis(200));
        for wrong in [
            r#"{"batch": {"max_size": 10}}"#,
            r#"{"batch": {"sizer": "requests"}}"#,
            r#"{"batch": {}, "queue_size": 100, "sizer": "items"}"#,
        ] {
            assert!(batch(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn batches_can_be_measured_in_bytes() {
        let batch = |json| queue(json).unwrap().batch.unwrap();
        let sized = batch(r#"{"batch": {"sizer": "bytes", "min_size": 1000, "max_size": 2000}}"#);
        assert_eq!((sized.min_bytes, sized.max_bytes), (Some(1000), Some(2000)));
        assert_eq!((sized.min_items, sized.max_items), (u64::MAX, 0));
        let at_once = batch(r#"{"batch": {"sizer": "bytes", "min_size": 0}}"#);
        assert_eq!((at_once.min_items, at_once.min_bytes), (0, None));
    }

    #[test]
    fn without_a_queue_clients_wait_for_the_result() {
        assert!(queue(r#"{"enabled": false}"#).unwrap().wait_for_result);
        assert!(
            queue(r#"{"wait_for_result": true}"#)
                .unwrap()
                .wait_for_result
        );
        assert!(!queue("{}").unwrap().wait_for_result);
    }

    #[test]
    fn queues_can_be_on_disk() {
        let storage = |json| queue(json).unwrap().storage.map(|id| id.to_string());
        assert_eq!(
            storage(r#"{"storage": "file_storage/a"}"#).unwrap(),
            "file_storage/a"
        );
        assert_eq!(storage("{}"), None);
        // Without a queue there is nothing to keep.
        assert_eq!(
            storage(r#"{"storage": "file_storage", "enabled": false}"#),
            None
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in [
            r#"{"storage": "file_storage", "wait_for_result": true}"#,
            r#"{"storage": "file storage"}"#,
            r#"{"num_consumers": 0}"#,
            r#"{"queue_size": 0}"#,
        ] {
            assert!(queue(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn retries_have_limits_that_make_sense() {
        assert_eq!(retry("{}"), Ok(RetryOptions::default()));
        for wrong in [
            r#"{"randomization_factor": 1.5}"#,
            r#"{"multiplier": 0.5}"#,
            r#"{"max_elapsed_time": "1s"}"#,
        ] {
            assert!(retry(wrong).is_err(), "{wrong}");
        }
        assert!(retry(r#"{"max_elapsed_time": "0"}"#).is_ok());
        assert!(retry(r#"{"max_elapsed_time": "1s", "enabled": false}"#).is_ok());
    }
}
