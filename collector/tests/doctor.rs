//! `spanmesh-collector doctor`, with real processes that are well and ill.

mod support;

use std::net::SocketAddr;
use std::process::Output;

use support::ClosedPort;
use support::program::{Running, config, http, run, text};

/// A collector that delivers to `endpoint`.
fn collector(endpoint: &str) -> String {
    format!(
        "
receivers:
  otlp:
    protocols:
      http: {{endpoint: '127.0.0.1:0'}}
exporters:
  otlp_http:
    endpoint: 'http://{endpoint}'
    sending_queue: {{queue_size: 1}}
    retry_on_failure: {{initial_interval: 50ms, max_interval: 50ms}}
extensions:
  health_check: {{endpoint: '127.0.0.1:0'}}
  zpages: {{endpoint: '127.0.0.1:0'}}
service:
  extensions: [health_check, zpages]
  telemetry:
    metrics: {{readers: [{{pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: 0}}}}}}}}]}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [otlp_http]}}
"
    )
}

const REQUEST: &str = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a",
    "traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174"}]}]}]}"#;

fn doctor(metrics: SocketAddr, health: SocketAddr, zpages: SocketAddr) -> Output {
    let ports = [metrics, health, zpages].map(|address| address.port().to_string());
    run(&[
        "doctor",
        "--seconds=1",
        &format!("127.0.0.1:{}", ports[0]),
        "--health-port",
        &ports[1],
        "--zpages-port",
        &ports[2],
    ])
}

fn examined(running: &Running) -> Output {
    doctor(
        running.address("serving metrics"),
        running.address("extension=\"health_check\""),
        running.address("extension=\"zpages\""),
    )
}

#[test]
fn a_collector_that_is_well_gets_a_clean_bill() {
    let file = config(&collector("127.0.0.1:9"));
    let running = Running::start(file.path());
    let output = examined(&running);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("nothing is wrong (version "), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn what_fails_and_what_is_full_is_said_with_the_reason() {
    let file = config(&collector("127.0.0.1:9"));
    let running = Running::start(file.path());
    let otlp = running.address("transport=\"http\"");
    // One waits, and the queue has no room for another.
    assert!(http(otlp, "POST /v1/traces", REQUEST).starts_with("HTTP/1.1 200"));
    assert!(http(otlp, "POST /v1/traces", REQUEST).starts_with("HTTP/1.1 503"));
    assert!(http(otlp, "POST /v1/traces", "{").starts_with("HTTP/1.1 400"));
    let output = examined(&running);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in [
        "2 things are wrong",
        "wrong: the destination of exporter \"otlp_http\" does not take what it gets since ",
        "cannot connect to 127.0.0.1:9",
        "wrong: the queue of exporter \"otlp_http\" is 100 % full",
        "note: receiver \"otlp\" (http) has refused 1 spans since it started, none just now",
        "note: receiver \"otlp\" (http) has rejected 1 requests (malformed), 0 of them just now",
    ] {
        assert!(said.contains(part), "{part} not in {said}");
    }
}

#[test]
fn what_cannot_be_looked_at_is_told_from_what_is_down() {
    let closed = ClosedPort::new();
    let nowhere = closed.address();
    let output = doctor(nowhere, nowhere, nowhere);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("wrong: it does not run, or listens elsewhere"),
        "{said}"
    );

    let file = config(&collector("127.0.0.1:9"));
    let running = Running::start(file.path());
    let health = running.address("extension=\"health_check\"");
    let output = doctor(nowhere, health, nowhere);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("cannot tell: it is healthy by its own account"),
        "{said}"
    );

    // What is no collector.
    let output = doctor(health, health, nowhere);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
}

#[test]
fn several_collectors_are_looked_at_together() {
    let file = config(&collector("127.0.0.1:9"));
    let running = Running::start(file.path());
    let metrics = running.address("serving metrics").to_string();
    let health = running.address("extension=\"health_check\"").port();
    let closed = ClosedPort::new();
    let gone = closed.address().to_string();
    let health = health.to_string();
    let arguments = [
        "doctor",
        "--seconds=1",
        &metrics,
        &gone,
        "--health-port",
        &health,
    ];
    let output = run(&arguments);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.starts_with("127.0.0.1:"), "{said}");
    assert!(
        said.contains("nothing is wrong") && said.contains("cannot tell"),
        "{said}"
    );
}
