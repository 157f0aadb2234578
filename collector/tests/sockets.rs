//! Connections: unix sockets, load balancing over addresses, idle and old connections.

mod support;

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message;
use support::sink::GrpcSink;
use support::telemetry::{distinct_ids, traces};
use support::{Collector, DRAIN, eventually, was_not_sent, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

/// A receiver with options of its own beside the common one.
async fn receiver(protocols: &str) -> Collector {
    Collector::start(&format!(
        "
  otlp/own:
    protocols: {{{protocols}}}
exporters: {{nop: }}
service:
  {{metrics}}
  pipelines:
    traces: {{receivers: [otlp, otlp/own], exporters: [nop]}}
"
    ))
    .await
}

async fn sender(exporter: &str) -> Collector {
    Collector::start(&format!(
        "
exporters:
  otlp_grpc: {exporter}
service:
  {{metrics}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [otlp_grpc]}}
"
    ))
    .await
}

/// Whether a connection ends, and so long before it would be asked whether anybody is there.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    let closing = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut rest));
    closing.await.is_ok()
}

#[tokio::test]
async fn both_transports_listen_on_unix_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let receiver = receiver(&format!(
        "grpc: {{transport: unix, endpoint: {folder}/grpc.sock}}, \
         http: {{transport: unix, endpoint: {folder}/http.sock}}"
    ))
    .await;
    let exporter = format!("{{endpoint: 'unix://{folder}/grpc.sock', tls: {{insecure: true}}}}");
    let sender = sender(&exporter).await;
    sender.post_traces(traces(0..10).encode_to_vec()).await;
    let account = sender.stop(DRAIN).await;
    assert_eq!(account.totals().sent, 10);

    let mut stream = UnixStream::connect(format!("{folder}/http.sock"))
        .await
        .unwrap();
    let body = traces(10..15).encode_to_vec();
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    let mut answer = [0; 12];
    within("an answer", stream.read_exact(&mut answer))
        .await
        .unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    drop(stream);
    let account = receiver.stop(DRAIN).await;
    assert_eq!((account.received, account.totals().sent), (15, 15));
    assert_eq!(
        std::fs::read_dir(folder).unwrap().count(),
        0,
        "sockets stay"
    );
}

/// One server on each of two addresses that `localhost` may have, with the same port; `None` if this
/// machine has only one of them.
async fn two_servers() -> Option<(GrpcSink, GrpcSink, u16)> {
    let names: Vec<_> = tokio::net::lookup_host("localhost:0")
        .await
        .unwrap()
        .collect();
    let (Some(v4), Some(v6)) = (
        names.iter().find(|address| address.is_ipv4()),
        names.iter().find(|address| address.is_ipv6()),
    ) else {
        return None;
    };
    for _ in 0..20 {
        let first = TcpListener::bind(v4).await.ok()?;
        let port = first.local_addr().ok()?.port();
        let Ok(second) = TcpListener::bind((v6.ip(), port)).await else {
            continue;
        };
        let sinks = (GrpcSink::default(), GrpcSink::default());
        sinks.0.serve_on(first);
        sinks.1.serve_on(second);
        return Some((sinks.0, sinks.1, port));
    }
    None
}

#[tokio::test]
async fn calls_go_to_each_address_in_turn_or_to_one() {
    let Some((first, second, port)) = two_servers().await else {
        // The units of the balancer show the rest.
        eprintln!("localhost has one address here");
        return;
    };
    let exporter =
        |more: &str| format!("{{endpoint: 'localhost:{port}', tls: {{insecure: true}}{more}}}");
    let in_turn = sender(&exporter("")).await;
    for start in (0..100).step_by(10) {
        in_turn
            .post_traces(traces(start..start + 10).encode_to_vec())
            .await;
    }
    assert_eq!(in_turn.stop(DRAIN).await.totals().sent, 100);
    assert_eq!((first.calls(), second.calls()), (5, 5));
    let mut spans = first.spans();
    spans.extend(second.spans());
    assert_eq!(distinct_ids(&spans), (0..100).collect());

    let one = sender(&exporter(", balancer_name: pick_first")).await;
    for start in (100..200).step_by(10) {
        one.post_traces(traces(start..start + 10).encode_to_vec())
            .await;
    }
    assert_eq!(one.stop(DRAIN).await.totals().sent, 100);
    let calls = [first.calls(), second.calls()];
    assert!(calls == [15, 5] || calls == [5, 15], "{calls:?}");
}

#[tokio::test]
async fn an_address_that_does_not_answer_costs_nothing() {
    let names: Vec<_> = tokio::net::lookup_host("localhost:0")
        .await
        .unwrap()
        .collect();
    // With one address only, this is a plain delivery.
    let sink = GrpcSink::default();
    let listener = TcpListener::bind(names[0]).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    sink.serve_on(listener);
    let exporter = format!(
        "{{endpoint: 'localhost:{port}', tls: {{insecure: true}}, retry_on_failure: {{enabled: false}}}}"
    );
    let sender = sender(&exporter).await;
    for start in (0..50).step_by(10) {
        sender
            .post_traces(traces(start..start + 10).encode_to_vec())
            .await;
    }
    let account = sender.stop(DRAIN).await;
    assert_eq!(account.totals().sent, 50);
    assert_eq!(distinct_ids(&sink.spans()), (0..50).collect());
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let receiver = receiver(
        "grpc: {endpoint: 'localhost:0', keepalive: {server_parameters: \
         {max_connection_idle: 200ms, timeout: 200ms}}}, \
         http: {endpoint: 'localhost:0', idle_timeout: 200ms}",
    )
    .await;
    for transport in ["grpc", "http"] {
        let address = receiver.address("otlp/own", transport);
        let mut idle = TcpStream::connect(address).await.unwrap();
        // HTTP/2 needs its preface before it can say that it goes.
        if transport == "grpc" {
            let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
            idle.write_all(preface).await.unwrap();
        }
        assert!(is_closed(&mut idle).await, "{transport}");
    }
    // The default is to keep it.
    let mut idle = TcpStream::connect(receiver.address("otlp", "http"))
        .await
        .unwrap();
    let mut byte = [0];
    let reading = tokio::time::timeout(Duration::from_millis(600), idle.read(&mut byte));
    assert!(reading.await.is_err(), "closed without need");
    receiver.stop(DRAIN).await;
}

#[tokio::test]
async fn old_connections_take_no_more_requests_and_lose_none() {
    let receiver = receiver(
        "grpc: {endpoint: 'localhost:0', keepalive: \
         {server_parameters: {max_connection_age: 100ms, max_connection_age_grace: 5s}}}",
    )
    .await;
    let endpoint = format!("http://{}", receiver.address("otlp/own", "grpc"));
    let mut client = TraceServiceClient::connect(endpoint).await.unwrap();
    let start = std::time::Instant::now();
    let mut sent = 0;
    while start.elapsed() < Duration::from_millis(500) {
        // The client connects again when it is told that the connection goes.
        match within("an answer", client.export(traces(sent..sent + 1))).await {
            Ok(_) => sent += 1,
            Err(status) => assert!(was_not_sent(&status), "{status:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let account = receiver.stop(DRAIN).await;
    assert_eq!(account.received, sent);
    assert_eq!(account.totals().sent, sent);
}

#[tokio::test]
async fn connections_can_be_for_one_request() {
    let receiver = receiver("http: {endpoint: 'localhost:0', keep_alives_enabled: false}").await;
    let mut stream = TcpStream::connect(receiver.address("otlp/own", "http"))
        .await
        .unwrap();
    let head = "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                content-length: 2\r\n\r\n{}";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(is_closed(&mut stream).await);
    eventually("it is answered", async || receiver.account().refused == 0).await;
    receiver.stop(DRAIN).await;
}
