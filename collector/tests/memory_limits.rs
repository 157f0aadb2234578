//! What clients hear of a `memory_limiter`, over every wire: that they shall come back, and when, in
//! the encoding of their request, and before anything of it is read.

mod support;

use std::time::Duration;

use http::StatusCode;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message;
use spanmesh_otlp::status;
use support::telemetry::traces;
use support::{ClosedPort, Collector};
use tonic::Code;
use tonic::codec::CompressionEncoding;

/// From 1 MiB on requests are refused. Nothing leaves: nobody listens at the address.
fn sections(address: std::net::SocketAddr) -> String {
    format!(
        "
processors:
  memory_limiter: {{limit_mib: 4, spike_limit_mib: 3, check_interval: 1s}}
exporters:
  otlp_grpc: {{endpoint: '{address}', tls: {{insecure: true}}}}
service:
  {{metrics}}
  pipelines:
    traces: {{receivers: [otlp], processors: [memory_limiter], exporters: [otlp_grpc]}}
"
    )
}

/// Ten spans that have a little more than so many bytes.
fn large(bytes: usize) -> ExportTraceServiceRequest {
    let mut request = traces(0..10);
    let spans = &mut request.resource_spans[0].scope_spans[0].spans;
    spans[0].name = "x".repeat(bytes);
    request
}

/// A collector whose soft limit is reached, and the port of its destination.
async fn loaded() -> (Collector, ClosedPort) {
    let nobody = ClosedPort::new();
    let collector = Collector::start(&sections(nobody.address())).await;
    collector
        .post_traces(large(1_200_000).encode_to_vec())
        .await;
    (collector, nobody)
}

#[tokio::test]
async fn over_grpc_it_is_unavailable_with_retry_info() {
    let (collector, _nobody) = loaded().await;
    let client = TraceServiceClient::connect(collector.grpc()).await.unwrap();
    for mut client in [
        client.clone(),
        client.clone().send_compressed(CompressionEncoding::Gzip),
        client.send_compressed(CompressionEncoding::Zstd),
    ] {
        let error = client.export(traces(10..20)).await.unwrap_err();
        assert_eq!(error.code(), Code::Unavailable, "{error:?}");
        let details = status::Status::decode(error.details()).unwrap();
        assert_eq!(details.code, status::Code::Unavailable);
        assert!(details.retry_delay.is_some_and(|delay| !delay.is_zero()));
    }
    let rejected = "spanmesh_receiver_rejected_requests{receiver=\"otlp\",transport=\"grpc\",\
                    signal=\"traces\",reason=\"overloaded\"}";
    assert_eq!(collector.metric(rejected).await, 3.0);
    let requests = "otelcol_receiver_requests{receiver=\"otlp\",transport=\"grpc\",\
                    outcome=\"refused\"}";
    assert_eq!(collector.metric(requests).await, 3.0);
    let account = collector.stop(Duration::from_millis(100)).await;
    assert_eq!(account.received, 10);
}

#[tokio::test]
async fn over_http_it_is_503_with_retry_after_in_the_encoding_of_the_request() {
    let (collector, _nobody) = loaded().await;
    // That the bodies are none of what they are said to be is not seen: they are not looked at.
    for (content_type, encoding) in [
        ("application/x-protobuf", "identity"),
        ("application/x-protobuf", "gzip"),
        ("application/x-protobuf", "zstd"),
        ("application/json", "identity"),
        ("application/json", "gzip"),
    ] {
        let headers = [
            ("content-type", content_type),
            ("content-encoding", encoding),
        ];
        let answer = collector
            .post("/v1/traces", &headers, b"nonsense".to_vec())
            .await;
        assert_eq!(
            answer.status,
            StatusCode::SERVICE_UNAVAILABLE,
            "{headers:?}"
        );
        let seconds = answer.headers["retry-after"].to_str().unwrap();
        assert!(seconds.parse::<u64>().unwrap() >= 1);
        assert_eq!(answer.headers["content-type"], content_type);
        if content_type == "application/json" {
            let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(body["code"], 14, "{body}");
            let details = body["details"][0]["@type"].as_str().unwrap();
            assert!(details.ends_with("google.rpc.RetryInfo"), "{body}");
        } else {
            let body = status::Status::decode(&answer.body).unwrap();
            assert_eq!(body.code, status::Code::Unavailable);
            assert!(body.retry_delay.is_some_and(|delay| !delay.is_zero()));
        }
    }
    let account = collector.stop(Duration::from_millis(100)).await;
    assert_eq!(account.received, 10);
}
