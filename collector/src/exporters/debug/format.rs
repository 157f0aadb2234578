//! Telemetry as text.

use std::fmt::Write as _;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use prost::{DecodeError, Message};
use spanmesh_otlp::Signal;

use crate::pipeline::Batch;
use crate::telemetry::escaped;

/// One line for the batch.
pub(super) fn basic(batch: &Batch) -> String {
    let items = batch.signal.item_name();
    format!(
        "{} {items}={} bytes={}\n",
        batch.signal, batch.items, batch.bytes
    )
}

/// One line for each span, log record and metric.
pub(super) fn normal(batch: &Batch) -> Result<String, DecodeError> {
    let bytes = batch.concatenated();
    let mut text = String::new();
    match batch.signal {
        Signal::Traces => {
            for resource in ExportTraceServiceRequest::decode(bytes)?.resource_spans {
                let service = service_name(resource.resource.as_ref());
                for span in resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
                    span_line(&mut text, &service, span);
                }
            }
        }
        Signal::Logs => {
            for resource in ExportLogsServiceRequest::decode(bytes)?.resource_logs {
                let service = service_name(resource.resource.as_ref());
                let scopes = resource.scope_logs.iter();
                for record in scopes.flat_map(|scope| &scope.log_records) {
                    log_line(&mut text, &service, record);
                }
            }
        }
        Signal::Metrics => {
            for resource in ExportMetricsServiceRequest::decode(bytes)?.resource_metrics {
                let service = service_name(resource.resource.as_ref());
                let scopes = resource.scope_metrics.iter();
                for metric in scopes.flat_map(|scope| &scope.metrics) {
                    metric_line(&mut text, &service, metric);
                }
            }
        }
    }
    Ok(text)
}

/// Every field.
pub(super) fn detailed(batch: &Batch) -> Result<String, DecodeError> {
    let bytes = batch.concatenated();
    Ok(match batch.signal {
        Signal::Traces => format!("{:#?}\n", ExportTraceServiceRequest::decode(bytes)?),
        Signal::Logs => format!("{:#?}\n", ExportLogsServiceRequest::decode(bytes)?),
        Signal::Metrics => format!("{:#?}\n", ExportMetricsServiceRequest::decode(bytes)?),
    })
}

// Writing to a String cannot fail, so the results of `write!` are passed over in what follows.

fn span_line(text: &mut String, service: &str, span: &Span) {
    let kind = match span.kind() {
        SpanKind::Unspecified => "UNSPECIFIED",
        SpanKind::Internal => "INTERNAL",
        SpanKind::Server => "SERVER",
        SpanKind::Client => "CLIENT",
        SpanKind::Producer => "PRODUCER",
        SpanKind::Consumer => "CONSUMER",
    };
    let nanos = span
        .end_time_unix_nano
        .saturating_sub(span.start_time_unix_nano);
    let millis = nanos as f64 / 1e6;
    let _ = write!(
        text,
        "span service={service} name={:?} kind={kind} trace_id={} span_id={} parent_id={} \
         duration={millis:.3}ms",
        span.name,
        hex(&span.trace_id),
        hex(&span.span_id),
        hex(&span.parent_span_id),
    );
    if let Some(status) = &span.status {
        let code = match status.code() {
            StatusCode::Unset => "UNSET",
            StatusCode::Ok => "OK",
            StatusCode::Error => "ERROR",
        };
        let _ = write!(text, " status={code}");
        if !status.message.is_empty() {
            let _ = write!(text, " message={:?}", status.message);
        }
    }
    attributes(text, &span.attributes);
    text.push('\n');
}

fn log_line(text: &mut String, service: &str, record: &LogRecord) {
    let severity = if record.severity_text.is_empty() {
        record.severity_number.to_string()
    } else {
        escaped(&record.severity_text)
    };
    let body = record.body.as_ref().map(any_value).unwrap_or_default();
    let _ = write!(
        text,
        "log service={service} severity={severity} body={body}"
    );
    if !record.event_name.is_empty() {
        let _ = write!(text, " event={:?}", record.event_name);
    }
    if !record.trace_id.is_empty() {
        let _ = write!(
            text,
            " trace_id={} span_id={}",
            hex(&record.trace_id),
            hex(&record.span_id)
        );
    }
    attributes(text, &record.attributes);
    text.push('\n');
}

fn metric_line(text: &mut String, service: &str, metric: &Metric) {
    let (kind, points) = match &metric.data {
        None => ("empty", 0),
        Some(Data::Gauge(data)) => ("gauge", data.data_points.len()),
        Some(Data::Sum(data)) => ("sum", data.data_points.len()),
        Some(Data::Histogram(data)) => ("histogram", data.data_points.len()),
        Some(Data::ExponentialHistogram(data)) => ("exponential_histogram", data.data_points.len()),
        Some(Data::Summary(data)) => ("summary", data.data_points.len()),
    };
    let _ = writeln!(
        text,
        "metric service={service} name={:?} type={kind} unit={:?} points={points}",
        metric.name, metric.unit
    );
}

fn attributes(text: &mut String, attributes: &[KeyValue]) {
    for attribute in attributes {
        let value = attribute.value.as_ref().map(any_value).unwrap_or_default();
        let _ = write!(text, " {}={value}", escaped(&attribute.key));
    }
}

fn any_value(value: &AnyValue) -> String {
    match &value.value {
        None => String::new(),
        Some(Value::StringValue(text)) => format!("{text:?}"),
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(value)) => value.to_string(),
        Some(Value::DoubleValue(value)) => value.to_string(),
        Some(Value::BytesValue(bytes)) => hex(bytes),
        Some(Value::ArrayValue(array)) => {
            let items: Vec<String> = array.values.iter().map(any_value).collect();
            format!("[{}]", items.join(", "))
        }
        Some(Value::KvlistValue(list)) => {
            let mut text = String::new();
            attributes(&mut text, &list.values);
            format!("{{{}}}", text.trim_start())
        }
        // Values that refer to a dictionary occur in profiles only.
        Some(other) => format!("{other:?}"),
    }
}

fn service_name(resource: Option<&Resource>) -> String {
    let attributes = resource.map(|resource| resource.attributes.as_slice());
    let value = attributes
        .unwrap_or_default()
        .iter()
        .find(|attribute| attribute.key == "service.name")
        .and_then(|attribute| attribute.value.as_ref());
    match value.map(|value| &value.value) {
        Some(Some(Value::StringValue(name))) if !name.is_empty() => escaped(name),
        _ => "-".to_owned(),
    }
}

fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "-".to_owned();
    }
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_cannot_forge_lines_or_colours() {
        let text = |value: &str| {
            Some(AnyValue {
                value: Some(Value::StringValue(value.to_owned())),
            })
        };
        let attribute = KeyValue {
            key: "k\nspan".to_owned(),
            value: text("v\nspan"),
            ..KeyValue::default()
        };
        let resource = Resource {
            attributes: vec![KeyValue {
                key: "service.name".to_owned(),
                value: text("a\nspan\u{1b}[31m"),
                ..KeyValue::default()
            }],
            ..Resource::default()
        };
        let record = LogRecord {
            severity_text: "\u{1b}[2J\r".to_owned(),
            attributes: vec![attribute],
            ..LogRecord::default()
        };
        let mut line = String::new();
        log_line(&mut line, &service_name(Some(&resource)), &record);
        assert_eq!(
            line,
            "log service=a\\nspan\\u{1b}[31m severity=\\u{1b}[2J\\r body= \
             k\\nspan=\"v\\nspan\"\n"
        );
    }
}
