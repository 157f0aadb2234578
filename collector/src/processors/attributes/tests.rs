//! Tests of `include` and `exclude`; the actions have tests of their own.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, any_value::Value,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

use super::*;
use crate::config::parse_for_tests;

const MARK: &str = "actions: [{key: mark, value: true, action: insert}]";

fn configure(options: &str) -> Result<Box<dyn ProcessorConfig>, String> {
    let node = parse_for_tests(&format!("{{{MARK}, {options}}}"));
    let config = Factory.configure(&Section::new(&node, "a"));
    config.map_err(|problems| problems.to_string())
}

fn process(options: &str, signal: Signal, request: Vec<u8>) -> Payload {
    let config = configure(options).unwrap_or_else(|error| panic!("{error}"));
    config.check_signal(signal).unwrap();
    let context = BuildContext {
        id: "a".to_owned(),
        ..BuildContext::default()
    };
    let Stage::Process(processor) = config.build(&context, signal) else {
        panic!("no processor");
    };
    let payload = Payload::parse(signal, request.into()).unwrap();
    processor.process(payload).payload.unwrap()
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn is_marked(attributes: &[KeyValue]) -> bool {
    attributes.iter().any(|attribute| attribute.key == "mark")
}

fn resource(service: &str) -> Option<Resource> {
    Some(Resource {
        attributes: vec![text("service.name", service), text("zone", "eu-1")],
        ..Resource::default()
    })
}

fn library(name: &str, version: &str) -> Option<InstrumentationScope> {
    Some(InstrumentationScope {
        name: name.to_owned(),
        version: version.to_owned(),
        ..InstrumentationScope::default()
    })
}

/// The names of the spans that are marked, of those called a1, a2 (service a, library x 1.0) and b1
/// (service b, library y), by the number in their name SERVER and CLIENT.
fn spans(options: &str) -> String {
    let span = |name: &str, kind: i32, code: i64| Span {
        name: name.to_owned(),
        kind,
        attributes: vec![
            attribute("code", Value::IntValue(code)),
            text("path", &format!("/items/{name}")),
            attribute("ok", Value::BoolValue(code < 500)),
        ],
        ..Span::default()
    };
    let group = |service: &str, scope, spans| ResourceSpans {
        resource: resource(service),
        scope_spans: vec![ScopeSpans {
            scope,
            spans,
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    };
    let request = ExportTraceServiceRequest {
        resource_spans: vec![
            group(
                "a",
                library("x", "1.0"),
                vec![span("a1", 2, 200), span("a2", 3, 500)],
            ),
            group("b", library("y", ""), vec![span("b1", 2, 200)]),
        ],
    };
    let payload = process(options, Signal::Traces, request.encode_to_vec());
    let request = ExportTraceServiceRequest::decode(payload.bytes().clone()).unwrap();
    let resources = request.resource_spans.into_iter();
    let spans = resources
        .flat_map(|resource| resource.scope_spans)
        .flat_map(|s| s.spans);
    let marked = spans.filter(|span| is_marked(&span.attributes));
    marked.map(|span| span.name).collect::<Vec<_>>().join(" ")
}

#[test]
fn spans_are_included_by_their_properties() {
    let p = |options: &str| spans(&format!("include: {{match_type: strict, {options}}}"));
    assert_eq!(spans(""), "a1 a2 b1");
    assert_eq!(p("services: [a]"), "a1 a2");
    assert_eq!(p("services: [a, b]"), "a1 a2 b1");
    assert_eq!(p("services: [A]"), "");
    assert_eq!(p("span_names: [a2, b1]"), "a2 b1");
    assert_eq!(p("span_kinds: [SPAN_KIND_SERVER]"), "a1 b1");
    assert_eq!(p("attributes: [{key: code, value: 500}]"), "a2");
    assert_eq!(p("attributes: [{key: code, value: '500'}]"), "");
    assert_eq!(
        p("attributes: [{key: code}, {key: ok, value: true}]"),
        "a1 b1"
    );
    assert_eq!(p("attributes: [{key: code}, {key: none}]"), "");
    assert_eq!(p("resources: [{key: zone, value: eu-1}]"), "a1 a2 b1");
    assert_eq!(
        p("resources: [{key: zone}, {key: service.name, value: b}]"),
        "b1"
    );
    assert_eq!(p("libraries: [{name: x}]"), "a1 a2");
    assert_eq!(
        p("libraries: [{name: x, version: '2'}, {name: y, version: ''}]"),
        "b1"
    );
    assert_eq!(p("services: [a], span_kinds: [SPAN_KIND_SERVER]"), "a1");
}

#[test]
fn spans_are_included_by_expressions() {
    let p = |options: &str| spans(&format!("include: {{match_type: regexp, {options}}}"));
    assert_eq!(p("services: ['^a', x]"), "a1 a2");
    assert_eq!(p("span_names: ['1$']"), "a1 b1");
    assert_eq!(p("span_kinds: [CLIENT]"), "a2");
    assert_eq!(p("attributes: [{key: code, value: '^5'}]"), "a2");
    assert_eq!(p("attributes: [{key: ok, value: 'true'}]"), "a1 b1");
    assert_eq!(p("libraries: [{name: '^.$', version: '\\d'}]"), "a1 a2");
    assert_eq!(p("resources: [{key: zone, value: eu}]"), "a1 a2 b1");
    let cache = "regexp: {cacheenabled: true, cachemaxnumentries: 10}, services: [b]";
    assert_eq!(p(cache), "b1");
}

#[test]
fn what_is_excluded_is_not_touched_although_it_is_included() {
    let include = "include: {match_type: strict, services: [a]}";
    let exclude = |options: &str| format!("exclude: {{match_type: strict, {options}}}");
    let with = |options: &str| spans(&format!("{include}, {}", exclude(options)));
    assert_eq!(with("span_names: [a1]"), "a2");
    assert_eq!(with("attributes: [{key: code, value: 500}]"), "a1");
    assert_eq!(with("services: [b]"), "a1 a2");
    assert_eq!(spans(&exclude("services: [a]")), "b1");
}

/// The severity texts of the log records that are marked.
fn logs(options: &str) -> String {
    let record = |number: i32, text: &str, body: Value| LogRecord {
        severity_number: number,
        severity_text: text.to_owned(),
        body: Some(AnyValue { value: Some(body) }),
        ..LogRecord::default()
    };
    let request = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: resource("a"),
            scope_logs: vec![ScopeLogs {
                log_records: vec![
                    record(9, "info", Value::StringValue("began".to_owned())),
                    record(17, "error", Value::IntValue(7)),
                    record(0, "none", Value::StringValue("ended".to_owned())),
                ],
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    };
    let payload = process(options, Signal::Logs, request.encode_to_vec());
    let request = ExportLogsServiceRequest::decode(payload.bytes().clone()).unwrap();
    let records = request.resource_logs[0].scope_logs[0].log_records.iter();
    let marked = records.filter(|record| is_marked(&record.attributes));
    let texts = marked.map(|record| record.severity_text.as_str());
    texts.collect::<Vec<_>>().join(" ")
}

#[test]
fn log_records_are_included_by_body_and_severity() {
    let p = |options: &str| logs(&format!("include: {{match_type: strict, {options}}}"));
    assert_eq!(logs(""), "info error none");
    assert_eq!(p("log_bodies: [began]"), "info");
    assert_eq!(p("log_bodies: ['7']"), "error");
    assert_eq!(p("log_severity_texts: [error, none]"), "error none");
    assert_eq!(p("log_severity_number: {min: 9}"), "info error");
    assert_eq!(p("log_severity_number: {min: WARN2}"), "error");
    assert_eq!(
        p("log_severity_number: {min: INFO, match_undefined: true}"),
        "info error none"
    );
    assert_eq!(p("resources: [{key: zone, value: us}]"), "");
    let regexp = "include: {match_type: regexp, log_bodies: ['ed$', 'gan']}";
    assert_eq!(logs(regexp), "info none");
}

#[test]
fn data_points_are_included_by_metric() {
    let metric = |name: &str| Metric {
        name: name.to_owned(),
        data: Some(Data::Gauge(Gauge {
            data_points: vec![NumberDataPoint {
                attributes: vec![text("from", name)],
                ..NumberDataPoint::default()
            }],
        })),
        ..Metric::default()
    };
    let request = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: resource("a"),
            scope_metrics: vec![ScopeMetrics {
                metrics: vec![metric("m"), metric("n")],
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    };
    let marked = |options: &str| {
        let payload = process(options, Signal::Metrics, request.encode_to_vec());
        let request = ExportMetricsServiceRequest::decode(payload.bytes().clone()).unwrap();
        let metrics = request.resource_metrics[0].scope_metrics[0].metrics.iter();
        let marked = metrics.filter(|metric| match &metric.data {
            Some(Data::Gauge(gauge)) => is_marked(&gauge.data_points[0].attributes),
            other => panic!("{other:?}"),
        });
        marked
            .map(|metric| metric.name.clone())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(marked(""), "m n");
    assert_eq!(
        marked("include: {match_type: strict, metric_names: [m]}"),
        "m"
    );
    assert_eq!(
        marked("exclude: {match_type: regexp, metric_names: ['.*']}"),
        ""
    );
    assert_eq!(
        marked("include: {match_type: strict, attributes: [{key: from, value: n}]}"),
        "n"
    );
}

#[test]
fn what_would_never_match_is_refused() {
    for (options, message) in [
        (
            "include: {services: [a]}",
            "expected \"match_type\" to be strict or regexp",
        ),
        ("include: {match_type: glob}", "unknown value \"glob\""),
        (
            "include: {match_type: strict, span_kinds: [SERVER]}",
            "SPAN_KIND_CONSUMER, but found",
        ),
        (
            "include: {match_type: regexp, services: ['(']}",
            "expected a regular expression",
        ),
        (
            "include: {match_type: regexp, attributes: [{key: a, value: 1}]}",
            "but found 1",
        ),
        (
            "include: {match_type: strict, attributes: [{value: 1}]}",
            "expected a \"key\"",
        ),
        (
            "include: {match_type: strict, log_severity_number: {min: LOUD}}",
            "0 to 24",
        ),
        (
            "include: {match_type: strict, log_severity_number: {min: 25}}",
            "0 to 24",
        ),
        (
            "include: {match_type: strict, span_name: [a]}",
            "did you mean \"span_names\"",
        ),
    ] {
        let Err(error) = configure(options) else {
            panic!("{options} was taken");
        };
        assert!(error.contains(message), "{options}: {error}");
    }
    for (options, signal, message) in [
        (
            "",
            Signal::Logs,
            "at least one of log_bodies, log_severity_texts",
        ),
        ("span_names: [a]", Signal::Logs, "but found span_names"),
        ("log_bodies: [a]", Signal::Traces, "but found log_bodies"),
        (
            "services: [a]",
            Signal::Metrics,
            "expected only metric_names, attributes",
        ),
    ] {
        let options = format!("exclude: {{match_type: strict, {options}}}");
        let error = configure(&options)
            .unwrap()
            .check_signal(signal)
            .unwrap_err();
        assert!(error.starts_with("\"exclude\": expected "), "{error}");
        assert!(error.contains(message), "{options}: {error}");
    }
    let node = parse_for_tests("{}");
    assert!(Factory.configure(&Section::new(&node, "a")).is_err());
}
