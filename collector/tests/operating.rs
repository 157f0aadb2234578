//! What operators see: pages, health by component, gauges, and the account at the end.

mod support;

use std::time::Duration;

use http::StatusCode;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::metrics::v1::{metric::Data, number_data_point::Value as Number};
use prost::Message;
use serde_json::Value;
use spanmesh_collector::pipeline::DropReason;
use support::sink::{GrpcSink, HttpSink};
use support::telemetry::traces;
use support::{Answer, Collector, DRAIN, eventually, request};
use tonic::{Code, Status};

/// A port that nobody listens on.
const NOWHERE: &str = "127.0.0.1:9";

const ZPAGES: &str = "  zpages: {endpoint: 'localhost:0'}";

/// Two pipelines, one of which also leads to `endpoint`.
fn sections(endpoint: &str, extension: &str) -> String {
    let name = extension.trim().split(':').next().unwrap();
    format!(
        "
processors:
  batch: {{timeout: 10ms}}
exporters:
  otlp_grpc:
    endpoint: {endpoint}
    tls: {{insecure: true}}
    retry_on_failure: {{initial_interval: 10ms, max_interval: 50ms}}
  nop:
extensions:
{extension}
service:
  {{metrics}}
  extensions: [{name}]
  pipelines:
    traces: {{receivers: [otlp], processors: [batch], exporters: [otlp_grpc, nop]}}
    traces/audit: {{receivers: [otlp], exporters: [nop]}}
"
    )
}

fn health(rules: &str) -> String {
    format!(
        "  health_check:\n    use_v2: true\n    http: {{endpoint: 'localhost:0'}}\n    \
         component_health: {{{rules}}}"
    )
}

async fn get(collector: &Collector, extension: &str, path: &str) -> Answer {
    let address = collector.address(extension, "http");
    request("GET", &format!("http://{address}{path}"), &[], Vec::new()).await
}

async fn page(collector: &Collector, path: &str) -> String {
    let answer = get(collector, "zpages", path).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}");
    assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
    String::from_utf8(answer.body.to_vec()).unwrap()
}

async fn status(collector: &Collector, query: &str) -> (StatusCode, Value) {
    let answer = get(collector, "health_check", &format!("/status{query}")).await;
    let body = serde_json::from_slice(&answer.body).unwrap_or_default();
    (answer.status, body)
}

async fn send(collector: &Collector, ids: std::ops::Range<u64>) {
    collector.post_traces(traces(ids).encode_to_vec()).await;
}

fn unavailable() -> Result<ExportTraceServiceResponse, Status> {
    Err(Status::new(Code::Unavailable, "<busy>"))
}

#[tokio::test]
async fn pages_say_what_flows_what_waits_and_what_fails() {
    let sink = GrpcSink::with_script((0..10_000).map(|_| unavailable()));
    let endpoint = sink.serve().await.to_string();
    let collector = Collector::start(&sections(&endpoint, ZPAGES)).await;
    send(&collector, 0..1234).await;
    eventually("the destination has answered", async || sink.calls() > 0).await;
    eventually("the failure is known", async || {
        page(&collector, "/debug/queuez")
            .await
            .contains("fails since")
    })
    .await;

    let queues = page(&collector, "/debug/queuez").await;
    // What a peer says cannot become markup.
    assert!(queues.contains("trying again: "), "{queues}");
    assert!(
        queues.contains("&lt;busy&gt;") && !queues.contains("<busy>"),
        "{queues}"
    );
    let thousands = "1\u{202f}234";
    let account = format!(
        "<tr><td>traces</td><td class=\"n\">{thousands}</td><td class=\"n\">0</td>\
         <td class=\"n\">0</td><td class=\"n\">0</td><td class=\"n\">0</td>\
         <td class=\"n\">{thousands}</td></tr>"
    );
    assert!(queues.contains(&account), "{queues}");
    // The other destination got them from both pipelines.
    assert!(queues.contains("2\u{202f}468"), "{queues}");

    let pipelines = page(&collector, "/debug/pipelinez").await;
    for part in ["<h2>traces</h2>", "<h2>traces/audit</h2>", "<td>batch</td>"] {
        assert!(pipelines.contains(part), "{part} not in {pipelines}");
    }
    let receiver = format!("<tr><td>otlp</td><td class=\"n\">{thousands}</td>");
    assert!(pipelines.contains(&receiver), "{pipelines}");

    for path in ["/", "/debug/servicez"] {
        let service = page(&collector, path).await;
        let version = env!("CARGO_PKG_VERSION");
        for part in [version, "traces/audit", "otlp_grpc, nop", "<td>zpages</td>"] {
            assert!(service.contains(part), "{part} not in {service}");
        }
    }
    let other = get(&collector, "zpages", "/debug/tracez").await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);
    collector.stop_anyhow(Duration::ZERO).await;
}

#[tokio::test]
async fn health_is_told_by_pipeline_and_by_component() {
    let sink = GrpcSink::with_script((0..3).map(|_| unavailable()));
    let endpoint = sink.serve().await.to_string();
    let collector = Collector::start(&sections(&endpoint, &health(""))).await;
    let (code, body) = status(&collector, "").await;
    assert_eq!(
        (code, &body["status"]),
        (StatusCode::OK, &"StatusOK".into())
    );
    assert_eq!(body["healthy"], true);
    assert_eq!(body["components"], Value::Null);

    let (_, body) = status(&collector, "?verbose").await;
    let parts = &body["components"];
    assert_eq!(
        parts["extensions"]["components"]["extension:health_check"]["healthy"],
        true
    );
    for (pipeline, component) in [
        ("pipeline:traces", "receiver:otlp"),
        ("pipeline:traces", "processor:batch"),
        ("pipeline:traces", "exporter:otlp_grpc"),
        ("pipeline:traces/audit", "exporter:nop"),
    ] {
        let one = &parts[pipeline]["components"][component];
        assert_eq!(one["status"], "StatusOK", "{pipeline} {component}");
    }
    let (code, body) = status(&collector, "?pipeline=traces/audit&verbose").await;
    assert_eq!(code, StatusCode::OK);
    assert_eq!(body["components"].as_object().unwrap().len(), 1);
    assert_eq!(
        status(&collector, "?pipeline=logs").await.0,
        StatusCode::NOT_FOUND
    );

    send(&collector, 0..10).await;
    eventually("it has arrived", async || sink.spans().len() == 10).await;
    eventually("it works again", async || {
        status(&collector, "").await.1["status"] == "StatusOK"
    })
    .await;
    collector.stop(DRAIN).await;
}

#[tokio::test]
async fn a_destination_that_fails_makes_the_collector_unhealthy_only_on_request() {
    let rules = [
        ("", StatusCode::OK, true),
        (
            "include_recoverable_errors: true, recovery_duration: 1h",
            StatusCode::OK,
            true,
        ),
        (
            "include_recoverable_errors: true, recovery_duration: 0s",
            StatusCode::INTERNAL_SERVER_ERROR,
            false,
        ),
    ];
    for (rules, code, healthy) in rules {
        let collector = Collector::start(&sections(NOWHERE, &health(rules))).await;
        send(&collector, 0..10).await;
        eventually("the failure is known", async || {
            let (_, body) = status(&collector, "?verbose").await;
            let part = &body["components"]["pipeline:traces"]["components"]["exporter:otlp_grpc"];
            part["status"] == "StatusRecoverableError"
                && part["error"]
                    .as_str()
                    .is_some_and(|error| error.contains("cannot connect"))
        })
        .await;
        let (answered, body) = status(&collector, "").await;
        assert_eq!(answered, code, "{rules}: {body}");
        assert_eq!(body["healthy"], healthy, "{rules}");
        let audit = status(&collector, "?pipeline=traces%2Faudit").await;
        assert_eq!(audit.0, StatusCode::OK, "the other pipeline is not touched");
        assert_eq!(
            collector
                .metric("spanmesh_exporter_failing{exporter=\"otlp_grpc\"}")
                .await,
            1.0
        );
        assert_eq!(
            collector
                .metric("spanmesh_exporter_failing{exporter=\"nop\"}")
                .await,
            0.0
        );
        collector.stop_anyhow(Duration::ZERO).await;
    }
}

#[tokio::test]
async fn a_destination_that_refuses_is_a_permanent_error_until_it_takes_something() {
    let denied = Err(Status::new(Code::PermissionDenied, "no"));
    let sink = GrpcSink::with_script([denied]);
    let endpoint = sink.serve().await.to_string();
    let rules = health("include_permanent_errors: true");
    let collector = Collector::start(&sections(&endpoint, &rules)).await;
    send(&collector, 0..10).await;
    eventually("the refusal is known", async || {
        let (code, body) = status(&collector, "").await;
        code == StatusCode::INTERNAL_SERVER_ERROR && body["status"] == "StatusPermanentError"
    })
    .await;
    send(&collector, 10..20).await;
    eventually("it is healthy again", async || {
        status(&collector, "").await.0 == StatusCode::OK
    })
    .await;
    let account = collector.stop(DRAIN).await;
    let totals = account.totals();
    assert_eq!(totals.dropped, [(DropReason::Refused, 10)]);
}

#[tokio::test]
async fn gauges_tell_how_full_everything_is() {
    let collector = Collector::start(&sections(NOWHERE, ZPAGES)).await;
    send(&collector, 0..100).await;
    let labels = "{exporter=\"otlp_grpc\"}";
    let size = collector
        .metric(&format!("spanmesh_exporter_queue_memory_bytes{labels}"))
        .await;
    let capacity = collector
        .metric(&format!(
            "spanmesh_exporter_queue_memory_capacity_bytes{labels}"
        ))
        .await;
    assert!(size > 1000.0 && size < capacity, "{size} of {capacity}");
    let version = env!("CARGO_PKG_VERSION");
    let build = format!("spanmesh_build_info{{version=\"{version}\"}}");
    assert_eq!(collector.metric(&build).await, 1.0);
    let budget = collector.metric("spanmesh_memory_budget_bytes").await;
    let limit = collector
        .metric("spanmesh_process_memory_limit_bytes")
        .await;
    assert!(budget <= limit, "{budget} of {limit}");
    collector.stop_anyhow(Duration::ZERO).await;
}

#[tokio::test]
async fn what_is_left_at_the_end_is_counted_by_exporter() {
    let collector = Collector::start(&sections(NOWHERE, ZPAGES)).await;
    for first in (0..5000).step_by(100) {
        send(&collector, first..first + 100).await;
    }
    let account = collector.stop(Duration::from_secs(2)).await;
    assert_eq!((account.received, account.refused), (5000, 0));
    let of = |exporter: &str| {
        let found = account.destinations.iter().find(|(id, ..)| id == exporter);
        found.unwrap().2.clone()
    };
    let dead = of("otlp_grpc");
    assert_eq!((dead.accepted, dead.sent), (5000, 0));
    assert_eq!(dead.dropped, [(DropReason::Shutdown, 5000)]);
    let alive = of("nop");
    assert_eq!((alive.accepted, alive.sent), (10_000, 10_000));
    assert_eq!(alive.dropped, []);
}

/// A number of a request by its name and one label; `None` if it is not there.
fn number(request: &ExportMetricsServiceRequest, name: &str, label: (&str, &str)) -> Option<f64> {
    let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
    let metric = metrics.iter().find(|metric| metric.name == name)?;
    let points = match metric.data.as_ref()? {
        Data::Sum(sum) => {
            assert!(
                sum.is_monotonic && sum.aggregation_temporality == 2,
                "{name}"
            );
            &sum.data_points
        }
        Data::Gauge(gauge) => &gauge.data_points,
        other => panic!("{other:?}"),
    };
    let point = points.iter().find(|point| {
        point.attributes.iter().any(|have| {
            have.key == label.0 && format!("{:?}", have.value).contains(&format!("{:?}", label.1))
        })
    })?;
    match point.value? {
        Number::AsDouble(value) => Some(value),
        Number::AsInt(value) => Some(value as f64),
    }
}

#[tokio::test]
async fn its_own_metrics_are_sent_and_the_last_ones_have_the_whole_account() {
    let sink = HttpSink::default();
    let address = sink.serve().await;
    let push = format!(
        "telemetry: {{resource: {{deployment.environment.name: test}}, metrics: {{readers: \
         [{{periodic: {{interval: 50, exporter: {{otlp: {{endpoint: 'http://{address}', \
         headers: [{{name: x-tenant, value: a}}]}}}}}}}}]}}}}"
    );
    let sections = sections(NOWHERE, ZPAGES).replace("{metrics}", &push);
    let collector = Collector::start(&sections).await;
    send(&collector, 0..100).await;
    eventually("some were sent", async || sink.got().len() >= 2).await;
    collector.stop(Duration::from_millis(100)).await;
    let got = sink.got();
    let last = got.last().unwrap();
    assert_eq!(last.path, "/v1/metrics");
    assert_eq!(last.headers["x-tenant"], "a");
    let request = ExportMetricsServiceRequest::decode(last.body.clone()).unwrap();
    let resource = request.resource_metrics[0].resource.as_ref().unwrap();
    let keys: Vec<&str> = resource
        .attributes
        .iter()
        .map(|one| one.key.as_str())
        .collect();
    assert_eq!(
        keys,
        [
            "deployment.environment.name",
            "service.name",
            "service.version"
        ]
    );
    let failed = number(
        &request,
        "otelcol_exporter_send_failed_spans",
        ("exporter", "otlp_grpc"),
    );
    assert_eq!(failed, Some(100.0));
    let sent = number(&request, "otelcol_exporter_sent_spans", ("exporter", "nop"));
    assert_eq!(sent, Some(200.0));
    let queue = number(
        &request,
        "otelcol_exporter_queue_size",
        ("exporter", "otlp_grpc"),
    );
    assert_eq!(queue, Some(0.0));
}
