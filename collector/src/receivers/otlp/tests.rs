//! Tests of the receiver with a memory budget of a size of their own.

use std::io::Write;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use spanmesh_otlp::{Signal, status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::pipeline::{Budget, Gate, Intakes, Pipelines};
use crate::telemetry::Registry;

/// How long something may take, on a machine that has other things to do, too. Less than a client may
/// pause within a body, after which its memory is free in any case.
const PATIENCE: Duration = Duration::from_secs(25);

/// A receiver whose payloads go nowhere.
async fn receiver(memory: &Arc<Budget>, registry: &Registry) -> Box<dyn Receiver> {
    let intakes = Intakes::default();
    let pipelines = Pipelines::new(Vec::new(), memory.clone(), Gate::new());
    intakes.lead_to(Signal::Traces, Some(pipelines));
    let context = ReceiverContext {
        ports: Ports::default(),
        id: "otlp".to_owned(),
        registry: registry.clone(),
        intakes,
    };
    let listener = async || {
        Listener::bind("test", "127.0.0.1:0", &Ports::default())
            .await
            .unwrap()
    };
    let bound = Bound {
        context,
        grpc: Some((
            Port {
                options: GrpcOptions::default(),
                tls: None,
                authenticator: None,
            },
            listener().await,
        )),
        http: Some((
            Port {
                options: HttpOptions::default(),
                tls: None,
                authenticator: None,
            },
            Answers::default(),
            listener().await,
        )),
    };
    Box::new(bound).start()
}

/// A request of a little more than so many bytes.
fn request(bytes: usize) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans {
                spans: vec![Span {
                    name: "x".repeat(bytes),
                    ..Span::default()
                }],
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

/// Sends `part` of a body that is announced to have `length` bytes.
async fn post(address: SocketAddr, headers: &str, length: usize, part: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n\
         content-length: {length}\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(part).await.unwrap();
    stream
}

async fn answer(mut stream: TcpStream) -> String {
    let mut answer = vec![0; 1000];
    let reading = tokio::time::timeout(PATIENCE, stream.read(&mut answer));
    let read = reading.await.unwrap().unwrap();
    String::from_utf8_lossy(&answer[..read]).to_ascii_lowercase()
}

async fn until_used(memory: &Budget, check: impl Fn(u64) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !check(memory.used()) {
        assert!(
            Instant::now() < deadline,
            "{} bytes are used",
            memory.used()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_is_being_read_takes_up_the_memory_budget() {
    let memory = Budget::new(1_000_000);
    let registry = Registry::default();
    let receiver = receiver(&memory, &registry).await;
    let addresses = receiver.addresses();
    let [(_, grpc), (_, http)] = addresses[..] else {
        panic!("{addresses:?}")
    };
    let slow = post(http, "", 900_000, &[0; 600_000]).await;
    until_used(&memory, |used| used == 600_000).await;

    let large = request(600_000);
    let body = large.encode_to_vec();
    let refused = answer(post(http, "", body.len(), &body).await).await;
    assert!(refused.starts_with("http/1.1 503"), "{refused}");
    assert!(refused.contains("retry-after: 1\r\n"), "{refused}");

    let mut compressed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    compressed.write_all(&body).unwrap();
    let compressed = compressed.finish().unwrap();
    let gzip = "content-encoding: gzip\r\n";
    let refused = answer(post(http, gzip, compressed.len(), &compressed).await).await;
    assert!(refused.starts_with("http/1.1 503"), "{refused}");

    let client = TraceServiceClient::connect(format!("http://{grpc}")).await;
    let mut client = client.unwrap();
    let error = client.export(large.clone()).await.unwrap_err();
    assert_eq!(error.code(), tonic::Code::Unavailable, "{error}");
    let details = status::Status::decode(error.details()).unwrap();
    assert!(details.retry_delay.is_some());

    drop(slow);
    until_used(&memory, |used| used == 0).await;
    client.export(large).await.unwrap();
    let taken = answer(post(http, gzip, compressed.len(), &compressed).await).await;
    assert!(taken.starts_with("http/1.1 200"), "{taken}");
    until_used(&memory, |used| used == 0).await;
    let metrics = registry.encode();
    for (transport, count) in [("http", 2), ("grpc", 1)] {
        let series = format!(
            "spanmesh_receiver_rejected_requests{{receiver=\"otlp\",transport=\"{transport}\",\
             signal=\"traces\",reason=\"overloaded\"}} {count}\n"
        );
        assert!(metrics.contains(&series), "{series} not in\n{metrics}");
    }
    receiver.stop().await;
}

#[test]
fn no_requests_at_the_same_time_stands_for_the_default() {
    let read = |json: &str| -> GrpcOptions { serde_json::from_str(json).unwrap() };
    let streams = |json| read(json).limits().max_concurrent_streams;
    assert_eq!(streams(r#"{"max_concurrent_streams": 0}"#), 1024);
    assert_eq!(streams(r#"{"max_concurrent_streams": 5}"#), 5);
}
