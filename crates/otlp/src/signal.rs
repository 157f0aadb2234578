//! The three stable signals and what each is called on the wire.

use std::fmt;

use crate::schema::{self, Message};

/// A kind of telemetry, with its own service, path and messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Log records.
    Logs,
    /// Metric data points.
    Metrics,
}

// === impl Signal ===

impl Signal {
    /// Every signal.
    pub const fn all() -> [Self; 3] {
        [Self::Traces, Self::Logs, Self::Metrics]
    }

    /// `traces`, `logs` or `metrics`: the name of a pipeline in a configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Logs => "logs",
            Self::Metrics => "metrics",
        }
    }

    /// The default path of OTLP/HTTP.
    pub const fn http_path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Logs => "/v1/logs",
            Self::Metrics => "/v1/metrics",
        }
    }

    /// The full name of the gRPC service.
    pub const fn grpc_service(self) -> &'static str {
        match self {
            Self::Traces => "opentelemetry.proto.collector.trace.v1.TraceService",
            Self::Logs => "opentelemetry.proto.collector.logs.v1.LogsService",
            Self::Metrics => "opentelemetry.proto.collector.metrics.v1.MetricsService",
        }
    }

    /// The path of the gRPC method.
    pub const fn grpc_path(self) -> &'static str {
        match self {
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Self::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        }
    }

    /// What the items are called in otelcol's metric names.
    pub const fn item_name(self) -> &'static str {
        match self {
            Self::Traces => "spans",
            Self::Logs => "log_records",
            Self::Metrics => "metric_points",
        }
    }

    /// The field of `partial_success` that counts the refused items, as protobuf names it.
    pub const fn rejected_field(self) -> &'static str {
        match self {
            Self::Traces => "rejected_spans",
            Self::Logs => "rejected_log_records",
            Self::Metrics => "rejected_data_points",
        }
    }

    /// The table of the request message.
    pub const fn request(self) -> &'static Message {
        match self {
            Self::Traces => &schema::EXPORT_TRACE_SERVICE_REQUEST,
            Self::Logs => &schema::EXPORT_LOGS_SERVICE_REQUEST,
            Self::Metrics => &schema::EXPORT_METRICS_SERVICE_REQUEST,
        }
    }

    /// The table of the response message.
    pub const fn response(self) -> &'static Message {
        match self {
            Self::Traces => &schema::EXPORT_TRACE_SERVICE_RESPONSE,
            Self::Logs => &schema::EXPORT_LOGS_SERVICE_RESPONSE,
            Self::Metrics => &schema::EXPORT_METRICS_SERVICE_RESPONSE,
        }
    }

    /// Which fields lead from the request to the items, level by level. The last level counts.
    pub(crate) const fn spine(self) -> &'static [&'static [u32]] {
        match self {
            // ResourceSpans, ScopeSpans, Span; ResourceLogs, ScopeLogs, LogRecord.
            Self::Traces | Self::Logs => &[&[1], &[2], &[2]],
            // ResourceMetrics, ScopeMetrics, Metric, one of the five kinds, data point.
            Self::Metrics => &[&[1], &[2], &[2], &[5, 7, 9, 10, 11], &[1]],
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
