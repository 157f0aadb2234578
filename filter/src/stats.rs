//! The filter's own Envoy stats, `wasmcustom.spanmesh.*`.
//!
//! Counts are gathered in memory and given to Envoy on ticks, so that a request pays for no host
//! call. Gauges are published as deltas, since Envoy keeps one value for all workers. What each
//! stat means is documented in `docs/filter-operations.md`.

use std::cell::Cell;

use crate::export::Signal;
use crate::host::{Host, Metric, MetricKind};

/// All stats of one root context.
#[derive(Debug)]
pub struct Stats {
    /// Requests that the filter saw to their end, but for those that carry telemetry.
    pub requests: Counter,
    /// What became of spans.
    pub spans: RecordStats,
    /// What became of access log records.
    pub logs: RecordStats,
    /// Spans that were not made because their trace is not sampled.
    pub spans_sampled_out: Counter,
    /// Spans that were made although their trace is not sampled; part of `spans.emitted`.
    pub spans_kept: Counter,
    /// Access log records that were not made because the filter's condition did not hold.
    pub logs_filtered: Counter,
    /// Export calls that failed, whether they are tried again or not.
    pub exports_failed: Counter,
    /// From the start of an export call to its answer, whatever that is, in milliseconds.
    pub export_latency: Histogram,
    /// Requests whose `traceparent` was not valid.
    pub invalid_traceparent: Counter,
    /// Requests whose `tracestate` was not valid.
    pub invalid_tracestate: Counter,
    /// Requests whose `b3` header was not valid.
    pub invalid_b3: Counter,
    /// Requests whose `x-b3-*` headers were not valid.
    pub invalid_b3multi: Counter,
    /// Requests that had another context than the filter's in the end, of those looked at.
    pub propagation_overwritten: Counter,
    /// Requests whose attributes Envoy could not give.
    pub attributes_failed: Counter,
    /// Evaluations of a configured expression that failed.
    pub expressions_failed: Counter,
    /// Bytes of records that are not delivered.
    pub queue_bytes: Gauge,
    /// 1 for each worker that runs with a configuration that was refused.
    pub config_rejected: Gauge,
}

/// What becomes of the records of one signal:
/// emitted = sent + rejected + dropped + still in the queue.
#[derive(Debug)]
pub struct RecordStats {
    /// Made for a request.
    pub emitted: Counter,
    /// Acknowledged by a collector.
    pub sent: Counter,
    /// Sent once more after a failure.
    pub retried: Counter,
    /// Refused by a collector in a partial success.
    pub rejected: Counter,
    /// Dropped because the queue was full.
    pub dropped_queue_full: Counter,
    /// Dropped because a collector refused the batch for good.
    pub dropped_export_failed: Counter,
    /// Dropped because a replaced configuration could not drain in time.
    pub dropped_shutdown: Counter,
}

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Counter {
    metric: Option<Metric>,
    pending: Cell<i64>,
}

/// A distribution. Its values go to Envoy at once: there is one for a whole batch.
#[derive(Debug)]
pub struct Histogram {
    metric: Option<Metric>,
}

/// A value that Envoy sums over all workers.
#[derive(Debug, Default)]
pub struct Gauge {
    metric: Option<Metric>,
    value: Cell<i64>,
    published: Cell<i64>,
}

impl Stats {
    /// Defines every stat, so that each is there from the start, with 0.
    #[inline(never)]
    pub fn define(host: &impl Host) -> Self {
        let counter = |name: &str| Counter::define(host, name);
        Self {
            requests: counter("requests"),
            spans: RecordStats::define(host, "spans"),
            logs: RecordStats::define(host, "logs"),
            spans_sampled_out: counter("spans.sampled_out"),
            spans_kept: counter("spans.kept"),
            logs_filtered: counter("logs.filtered"),
            exports_failed: counter("exports.failed"),
            export_latency: Histogram::define(host, "exports.latency_ms"),
            invalid_traceparent: counter("propagation.invalid.traceparent"),
            invalid_tracestate: counter("propagation.invalid.tracestate"),
            invalid_b3: counter("propagation.invalid.b3"),
            invalid_b3multi: counter("propagation.invalid.b3multi"),
            propagation_overwritten: counter("propagation.overwritten"),
            attributes_failed: counter("attributes.failed"),
            expressions_failed: counter("expressions.failed"),
            queue_bytes: Gauge::define(host, "queue_bytes"),
            config_rejected: Gauge::define(host, "config.rejected"),
        }
    }

    /// The stats of a signal's records.
    pub fn of(&self, signal: Signal) -> &RecordStats {
        match signal {
            Signal::Traces => &self.spans,
            Signal::Logs => &self.logs,
        }
    }

    /// Gives Envoy what has come since the last time.
    pub fn publish(&self, host: &impl Host) {
        let own = [
            &self.requests,
            &self.spans_sampled_out,
            &self.spans_kept,
            &self.logs_filtered,
            &self.exports_failed,
            &self.invalid_traceparent,
            &self.invalid_tracestate,
            &self.invalid_b3,
            &self.invalid_b3multi,
            &self.propagation_overwritten,
            &self.attributes_failed,
            &self.expressions_failed,
        ];
        own.into_iter()
            .chain(self.spans.counters())
            .chain(self.logs.counters())
            .for_each(|counter| counter.publish(host));
        self.queue_bytes.publish(host);
        self.config_rejected.publish(host);
    }

    /// Takes this root context's share out of the gauges, for good.
    pub fn retire(&self, host: &impl Host) {
        self.queue_bytes.set(0);
        self.config_rejected.set(0);
        self.publish(host);
    }
}

impl RecordStats {
    fn define(host: &impl Host, signal: &str) -> Self {
        let counter = |name: &str| Counter::define(host, &format!("{signal}.{name}"));
        Self {
            emitted: counter("emitted"),
            sent: counter("sent"),
            retried: counter("retried"),
            rejected: counter("rejected"),
            dropped_queue_full: counter("dropped.queue_full"),
            dropped_export_failed: counter("dropped.export_failed"),
            dropped_shutdown: counter("dropped.shutdown"),
        }
    }

    fn counters(&self) -> [&Counter; 7] {
        [
            &self.emitted,
            &self.sent,
            &self.retried,
            &self.rejected,
            &self.dropped_queue_full,
            &self.dropped_export_failed,
            &self.dropped_shutdown,
        ]
    }
}

impl Counter {
    fn define(host: &impl Host, name: &str) -> Self {
        let metric = host.define_metric(MetricKind::Counter, &format!("spanmesh.{name}"));
        Self {
            metric,
            pending: Cell::new(0),
        }
    }

    /// Counts `count` more.
    pub fn add(&self, count: usize) {
        self.pending
            .set(self.pending.get().saturating_add(count as i64));
    }

    fn publish(&self, host: &impl Host) {
        let pending = self.pending.replace(0);
        if let (Some(metric), 1..) = (self.metric, pending) {
            host.add_to_metric(metric, pending);
        }
    }
}

impl Histogram {
    fn define(host: &impl Host, name: &str) -> Self {
        let metric = host.define_metric(MetricKind::Histogram, &format!("spanmesh.{name}"));
        Self { metric }
    }

    /// Adds a value.
    pub fn record(&self, host: &impl Host, value: u64) {
        if let Some(metric) = self.metric {
            host.record_metric(metric, value);
        }
    }
}

impl Gauge {
    fn define(host: &impl Host, name: &str) -> Self {
        let metric = host.define_metric(MetricKind::Gauge, &format!("spanmesh.{name}"));
        Self {
            metric,
            ..Self::default()
        }
    }

    /// Sets this root context's share of the value.
    pub fn set(&self, value: usize) {
        self.value.set(value as i64);
    }

    fn publish(&self, host: &impl Host) {
        let value = self.value.get();
        let delta = value.saturating_sub(self.published.replace(value));
        if let (Some(metric), true) = (self.metric, delta != 0) {
            host.add_to_metric(metric, delta);
        }
    }
}
