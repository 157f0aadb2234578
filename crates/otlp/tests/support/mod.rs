//! Requests of all three signals as the oracle's types, generated to every field.

#![allow(dead_code, reason = "no test uses all of it")]

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList, any_value,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary,
    SummaryDataPoint, exemplar, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use prost::Message;

/// A request of any signal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Request {
    Traces(ExportTraceServiceRequest),
    Logs(ExportLogsServiceRequest),
    Metrics(ExportMetricsServiceRequest),
}

impl Request {
    pub(crate) fn signal(&self) -> spanmesh_otlp::Signal {
        match self {
            Self::Traces(_) => spanmesh_otlp::Signal::Traces,
            Self::Logs(_) => spanmesh_otlp::Signal::Logs,
            Self::Metrics(_) => spanmesh_otlp::Signal::Metrics,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Traces(request) => request.encode_to_vec(),
            Self::Logs(request) => request.encode_to_vec(),
            Self::Metrics(request) => request.encode_to_vec(),
        }
    }

    pub(crate) fn decode(
        signal: spanmesh_otlp::Signal,
        bytes: &[u8],
    ) -> Result<Self, prost::DecodeError> {
        Ok(match signal {
            spanmesh_otlp::Signal::Traces => Self::Traces(Message::decode(bytes)?),
            spanmesh_otlp::Signal::Logs => Self::Logs(Message::decode(bytes)?),
            spanmesh_otlp::Signal::Metrics => Self::Metrics(Message::decode(bytes)?),
        })
    }

    /// The encoded items in their order: spans, log records or data points.
    pub(crate) fn items(&self) -> Vec<Vec<u8>> {
        match self {
            Self::Traces(request) => request
                .resource_spans
                .iter()
                .flat_map(|resource| &resource.scope_spans)
                .flat_map(|scope| &scope.spans)
                .map(Message::encode_to_vec)
                .collect(),
            Self::Logs(request) => request
                .resource_logs
                .iter()
                .flat_map(|resource| &resource.scope_logs)
                .flat_map(|scope| &scope.log_records)
                .map(Message::encode_to_vec)
                .collect(),
            Self::Metrics(request) => request
                .resource_metrics
                .iter()
                .flat_map(|resource| &resource.scope_metrics)
                .flat_map(|scope| &scope.metrics)
                .filter_map(|metric| metric.data.as_ref())
                .flat_map(points)
                .collect(),
        }
    }
}

fn points(data: &metric::Data) -> Vec<Vec<u8>> {
    fn all<M: Message>(points: &[M]) -> Vec<Vec<u8>> {
        points.iter().map(M::encode_to_vec).collect()
    }
    match data {
        metric::Data::Gauge(data) => all(&data.data_points),
        metric::Data::Sum(data) => all(&data.data_points),
        metric::Data::Histogram(data) => all(&data.data_points),
        metric::Data::ExponentialHistogram(data) => all(&data.data_points),
        metric::Data::Summary(data) => all(&data.data_points),
    }
}

pub(crate) fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        vec(resource_spans(), 0..3).prop_map(|resource_spans| Request::Traces(
            ExportTraceServiceRequest { resource_spans }
        )),
        vec(resource_logs(), 0..3)
            .prop_map(|resource_logs| Request::Logs(ExportLogsServiceRequest { resource_logs })),
        vec(resource_metrics(), 0..3).prop_map(|resource_metrics| Request::Metrics(
            ExportMetricsServiceRequest { resource_metrics }
        )),
    ]
}

// === common ===

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[a-z.]{1,12}",
        // Quotes, control characters, everything that JSON has to escape, all planes of Unicode.
        "\\PC{0,6}",
        vec(any::<char>(), 0..4).prop_map(String::from_iter),
    ]
}

fn trace_id() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(Vec::new()), vec(any::<u8>(), 16)]
}

fn span_id() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(Vec::new()), vec(any::<u8>(), 8)]
}

/// Doubles that equal themselves; NaN has a test of its own.
fn double() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(0.0),
        Just(-0.0),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        any::<f64>().prop_filter("NaN is not equal to itself", |double| !double.is_nan()),
    ]
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(u64::MAX), any::<u64>()]
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    use any_value::Value;
    let leaf = prop_oneof![
        text().prop_map(|value| Some(Value::StringValue(value))),
        any::<bool>().prop_map(|value| Some(Value::BoolValue(value))),
        any::<i64>().prop_map(|value| Some(Value::IntValue(value))),
        Just(Some(Value::IntValue(0))),
        double().prop_map(|value| Some(Value::DoubleValue(value))),
        vec(any::<u8>(), 0..5).prop_map(|value| Some(Value::BytesValue(value))),
        any::<i32>().prop_map(|value| Some(Value::StringValueStrindex(value))),
        Just(None),
    ]
    .prop_map(|value| AnyValue { value });
    leaf.prop_recursive(3, 8, 3, |inner| {
        let entry = (text(), option::of(inner.clone())).prop_map(|(key, value)| KeyValue {
            key,
            value,
            key_strindex: 0,
        });
        prop_oneof![
            vec(inner, 0..3).prop_map(|values| Value::ArrayValue(ArrayValue { values })),
            vec(entry, 0..3).prop_map(|values| Value::KvlistValue(KeyValueList { values })),
        ]
        .prop_map(|value| AnyValue { value: Some(value) })
    })
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let attribute =
        (text(), option::of(any_value()), any::<i32>()).prop_map(|(key, value, key_strindex)| {
            KeyValue {
                key,
                value,
                key_strindex,
            }
        });
    vec(attribute, 0..3)
}

fn resource() -> impl Strategy<Value = Option<Resource>> {
    let entity = (text(), text(), vec(text(), 0..3), vec(text(), 0..3)).prop_map(
        |(schema_url, r#type, id_keys, description_keys)| EntityRef {
            schema_url,
            r#type,
            id_keys,
            description_keys,
        },
    );
    option::of((attributes(), any::<u32>(), vec(entity, 0..2)).prop_map(
        |(attributes, dropped_attributes_count, entity_refs)| Resource {
            attributes,
            dropped_attributes_count,
            entity_refs,
        },
    ))
}

fn scope() -> impl Strategy<Value = Option<InstrumentationScope>> {
    option::of((text(), text(), attributes(), any::<u32>()).prop_map(
        |(name, version, attributes, dropped_attributes_count)| InstrumentationScope {
            name,
            version,
            attributes,
            dropped_attributes_count,
        },
    ))
}

// === traces ===

fn resource_spans() -> impl Strategy<Value = ResourceSpans> {
    let scope_spans =
        (scope(), vec(span(), 0..4), text()).prop_map(|(scope, spans, schema_url)| ScopeSpans {
            scope,
            spans,
            schema_url,
        });
    (resource(), vec(scope_spans, 0..3), text()).prop_map(|(resource, scope_spans, schema_url)| {
        ResourceSpans {
            resource,
            scope_spans,
            schema_url,
        }
    })
}

fn span() -> impl Strategy<Value = Span> {
    let event = (number(), text(), attributes(), any::<u32>()).prop_map(
        |(time_unix_nano, name, attributes, dropped_attributes_count)| Event {
            time_unix_nano,
            name,
            attributes,
            dropped_attributes_count,
        },
    );
    let link = (
        trace_id(),
        span_id(),
        text(),
        attributes(),
        any::<u32>(),
        any::<u32>(),
    )
        .prop_map(
            |(trace_id, span_id, trace_state, attributes, dropped_attributes_count, flags)| Link {
                trace_id,
                span_id,
                trace_state,
                attributes,
                dropped_attributes_count,
                flags,
            },
        );
    let status = (text(), any::<i32>()).prop_map(|(message, code)| Status { message, code });
    let head = (
        trace_id(),
        span_id(),
        text(),
        span_id(),
        any::<u32>(),
        text(),
        any::<i32>(),
    );
    let times = (number(), number());
    let lists = (
        attributes(),
        vec(event, 0..2),
        vec(link, 0..2),
        option::of(status),
    );
    let dropped = (any::<u32>(), any::<u32>(), 0..3u32);
    (head, times, lists, dropped).prop_map(|(head, times, lists, dropped)| Span {
        trace_id: head.0,
        span_id: head.1,
        trace_state: head.2,
        parent_span_id: head.3,
        flags: head.4,
        name: head.5,
        kind: head.6,
        start_time_unix_nano: times.0,
        end_time_unix_nano: times.1,
        attributes: lists.0,
        dropped_attributes_count: dropped.0,
        events: lists.1,
        dropped_events_count: dropped.1,
        links: lists.2,
        dropped_links_count: dropped.2,
        status: lists.3,
    })
}

// === logs ===

fn resource_logs() -> impl Strategy<Value = ResourceLogs> {
    let scope_logs =
        (scope(), vec(log_record(), 0..4), text()).prop_map(|(scope, log_records, schema_url)| {
            ScopeLogs {
                scope,
                log_records,
                schema_url,
            }
        });
    (resource(), vec(scope_logs, 0..3), text()).prop_map(|(resource, scope_logs, schema_url)| {
        ResourceLogs {
            resource,
            scope_logs,
            schema_url,
        }
    })
}

fn log_record() -> impl Strategy<Value = LogRecord> {
    let head = (
        number(),
        number(),
        any::<i32>(),
        text(),
        option::of(any_value()),
    );
    let tail = (
        attributes(),
        any::<u32>(),
        any::<u32>(),
        trace_id(),
        span_id(),
        text(),
    );
    (head, tail).prop_map(|(head, tail)| LogRecord {
        time_unix_nano: head.0,
        observed_time_unix_nano: head.1,
        severity_number: head.2,
        severity_text: head.3,
        body: head.4,
        attributes: tail.0,
        dropped_attributes_count: tail.1,
        flags: tail.2,
        trace_id: tail.3,
        span_id: tail.4,
        event_name: tail.5,
    })
}

// === metrics ===

fn resource_metrics() -> impl Strategy<Value = ResourceMetrics> {
    let scope_metrics =
        (scope(), vec(metric(), 0..3), text()).prop_map(|(scope, metrics, schema_url)| {
            ScopeMetrics {
                scope,
                metrics,
                schema_url,
            }
        });
    (resource(), vec(scope_metrics, 0..3), text()).prop_map(
        |(resource, scope_metrics, schema_url)| ResourceMetrics {
            resource,
            scope_metrics,
            schema_url,
        },
    )
}

fn metric() -> impl Strategy<Value = Metric> {
    (text(), text(), text(), attributes(), option::of(data())).prop_map(
        |(name, description, unit, metadata, data)| Metric {
            name,
            description,
            unit,
            metadata,
            data,
        },
    )
}

fn data() -> impl Strategy<Value = metric::Data> {
    prop_oneof![
        vec(number_point(), 0..3)
            .prop_map(|data_points| metric::Data::Gauge(Gauge { data_points })),
        (vec(number_point(), 0..3), any::<i32>(), any::<bool>()).prop_map(
            |(data_points, aggregation_temporality, is_monotonic)| metric::Data::Sum(Sum {
                data_points,
                aggregation_temporality,
                is_monotonic,
            })
        ),
        (vec(histogram_point(), 0..3), any::<i32>()).prop_map(
            |(data_points, aggregation_temporality)| metric::Data::Histogram(Histogram {
                data_points,
                aggregation_temporality,
            })
        ),
        (vec(exponential_point(), 0..3), any::<i32>()).prop_map(
            |(data_points, aggregation_temporality)| {
                metric::Data::ExponentialHistogram(ExponentialHistogram {
                    data_points,
                    aggregation_temporality,
                })
            }
        ),
        vec(summary_point(), 0..3)
            .prop_map(|data_points| metric::Data::Summary(Summary { data_points })),
    ]
}

fn exemplars() -> impl Strategy<Value = Vec<Exemplar>> {
    let value = option::of(prop_oneof![
        double().prop_map(exemplar::Value::AsDouble),
        any::<i64>().prop_map(exemplar::Value::AsInt),
    ]);
    let exemplar = (attributes(), number(), value, span_id(), trace_id()).prop_map(
        |(filtered_attributes, time_unix_nano, value, span_id, trace_id)| Exemplar {
            filtered_attributes,
            time_unix_nano,
            value,
            span_id,
            trace_id,
        },
    );
    vec(exemplar, 0..2)
}

fn number_point() -> impl Strategy<Value = NumberDataPoint> {
    let value = option::of(prop_oneof![
        double().prop_map(number_data_point::Value::AsDouble),
        any::<i64>().prop_map(number_data_point::Value::AsInt),
        Just(number_data_point::Value::AsInt(0)),
    ]);
    (
        attributes(),
        number(),
        number(),
        value,
        exemplars(),
        any::<u32>(),
    )
        .prop_map(
            |(attributes, start_time_unix_nano, time_unix_nano, value, exemplars, flags)| {
                NumberDataPoint {
                    attributes,
                    start_time_unix_nano,
                    time_unix_nano,
                    value,
                    exemplars,
                    flags,
                }
            },
        )
}

fn histogram_point() -> impl Strategy<Value = HistogramDataPoint> {
    let head = (
        attributes(),
        number(),
        number(),
        number(),
        exemplars(),
        any::<u32>(),
    );
    let tail = (
        option::of(double()),
        option::of(double()),
        option::of(double()),
        vec(number(), 0..4),
        vec(double(), 0..4),
    );
    (head, tail).prop_map(|(head, tail)| HistogramDataPoint {
        attributes: head.0,
        start_time_unix_nano: head.1,
        time_unix_nano: head.2,
        count: head.3,
        exemplars: head.4,
        flags: head.5,
        sum: tail.0,
        min: tail.1,
        max: tail.2,
        bucket_counts: tail.3,
        explicit_bounds: tail.4,
    })
}

fn buckets() -> impl Strategy<Value = Option<Buckets>> {
    option::of(
        (any::<i32>(), vec(number(), 0..4)).prop_map(|(offset, bucket_counts)| Buckets {
            offset,
            bucket_counts,
        }),
    )
}

fn exponential_point() -> impl Strategy<Value = ExponentialHistogramDataPoint> {
    let head = (
        attributes(),
        number(),
        number(),
        number(),
        exemplars(),
        any::<u32>(),
    );
    let sums = (
        option::of(double()),
        option::of(double()),
        option::of(double()),
    );
    let tail = (any::<i32>(), number(), buckets(), buckets(), double());
    (head, sums, tail).prop_map(|(head, sums, tail)| ExponentialHistogramDataPoint {
        attributes: head.0,
        start_time_unix_nano: head.1,
        time_unix_nano: head.2,
        count: head.3,
        exemplars: head.4,
        flags: head.5,
        sum: sums.0,
        min: sums.1,
        max: sums.2,
        scale: tail.0,
        zero_count: tail.1,
        positive: tail.2,
        negative: tail.3,
        zero_threshold: tail.4,
    })
}

fn summary_point() -> impl Strategy<Value = SummaryDataPoint> {
    let quantile =
        (double(), double()).prop_map(|(quantile, value)| ValueAtQuantile { quantile, value });
    let head = (attributes(), number(), number(), number());
    (head, double(), vec(quantile, 0..3), any::<u32>()).prop_map(
        |(head, sum, quantile_values, flags)| SummaryDataPoint {
            attributes: head.0,
            start_time_unix_nano: head.1,
            time_unix_nano: head.2,
            count: head.3,
            sum,
            quantile_values,
            flags,
        },
    )
}
