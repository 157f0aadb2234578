//! OTLP/gRPC as OTLP 1.11 has it, rule by rule, seen by clients that tonic generated.

mod support;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message;
use spanmesh_otlp::Signal;
use spanmesh_otlp::status;
use support::telemetry::{logs, metrics, traces};
use support::{Collector, eventually};
use tonic::Code;
use tonic::codec::CompressionEncoding;

const NOP: &str = "
exporters: {nop: }
service:
  {metrics}
  pipelines:
    traces: {receivers: [otlp], exporters: [nop]}
    logs: {receivers: [otlp], exporters: [nop]}
    metrics: {receivers: [otlp], exporters: [nop]}
";

/// Sends a message as it is and returns the headers or trailers that hold the status.
async fn raw(
    collector: &Collector,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> HeaderMap {
    let client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http::<Full<Bytes>>();
    let mut request = Request::post(format!("{}{path}", collector.grpc()))
        .version(Version::HTTP_2)
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body.into())).unwrap();
    let response = client.request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let headers = response.headers().clone();
    if headers.contains_key("grpc-status") {
        return headers;
    }
    let collected = response.into_body().collect().await.unwrap();
    collected.trailers().cloned().unwrap_or_default()
}

fn frame(compressed: bool, message: &[u8]) -> Vec<u8> {
    let mut frame = vec![u8::from(compressed)];
    frame.extend((message.len() as u32).to_be_bytes());
    frame.extend(message);
    frame
}

fn code(headers: &HeaderMap) -> Code {
    let value = headers["grpc-status"].to_str().unwrap();
    Code::from_i32(value.parse().unwrap())
}

#[tokio::test]
async fn all_signals_are_taken_and_success_is_empty() {
    let collector = Collector::start(NOP).await;
    let mut client = TraceServiceClient::connect(collector.grpc()).await.unwrap();
    let response = client.export(traces(0..3)).await.unwrap().into_inner();
    assert_eq!(response.partial_success, None);
    let mut client = LogsServiceClient::connect(collector.grpc()).await.unwrap();
    assert_eq!(
        client
            .export(logs(4))
            .await
            .unwrap()
            .into_inner()
            .partial_success,
        None
    );
    let mut client = MetricsServiceClient::connect(collector.grpc())
        .await
        .unwrap();
    assert_eq!(
        client
            .export(metrics(5))
            .await
            .unwrap()
            .into_inner()
            .partial_success,
        None
    );

    for (series, expected) in [
        (
            "otelcol_receiver_accepted_spans{receiver=\"otlp\",transport=\"grpc\"}",
            3.0,
        ),
        (
            "otelcol_receiver_accepted_log_records{receiver=\"otlp\",transport=\"grpc\"}",
            4.0,
        ),
        (
            "otelcol_receiver_accepted_metric_points{receiver=\"otlp\",transport=\"grpc\"}",
            5.0,
        ),
    ] {
        assert_eq!(collector.metric(series).await, expected, "{series}");
    }
    eventually("everything is sent", async || {
        collector.account().totals().sent == 12
    })
    .await;
    let account = collector.stop(std::time::Duration::from_secs(5)).await;
    assert_eq!((account.received, account.refused), (12, 0));
}

#[tokio::test]
async fn an_empty_request_succeeds() {
    let collector = Collector::start(NOP).await;
    let mut client = TraceServiceClient::connect(collector.grpc()).await.unwrap();
    client
        .export(ExportTraceServiceRequest::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn gzip_and_zstd_are_read() {
    let collector = Collector::start(NOP).await;
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        let client = TraceServiceClient::connect(collector.grpc()).await.unwrap();
        client
            .send_compressed(encoding)
            .export(traces(0..100))
            .await
            .unwrap();
    }
    assert_eq!(collector.account().received, 200);
}

#[tokio::test]
async fn an_unknown_encoding_is_unimplemented_and_names_those_that_are_known() {
    let collector = Collector::start(NOP).await;
    let headers = [("grpc-encoding", "br")];
    let answer = raw(
        &collector,
        Signal::Traces.grpc_path(),
        &headers,
        frame(true, b"x"),
    )
    .await;
    assert_eq!(code(&answer), Code::Unimplemented);
    let accepted = answer["grpc-accept-encoding"].to_str().unwrap();
    assert!(
        accepted.contains("gzip") && accepted.contains("zstd"),
        "{accepted}"
    );
}

#[tokio::test]
async fn malformed_requests_are_invalid_arguments_with_the_field_that_is_wrong() {
    let collector = Collector::start(NOP).await;
    let mut request = traces(0..2);
    request.resource_spans[0].scope_spans[0].spans[1].trace_id = vec![1; 15];
    let mut client = TraceServiceClient::connect(collector.grpc()).await.unwrap();
    let error = client.export(request).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    let details = status::Status::decode(error.details()).unwrap();
    assert_eq!(
        details.violations[0].field,
        "resource_spans[0].scope_spans[0].spans[1].trace_id"
    );
    assert_eq!(details.retry_delay, None);

    let path = Signal::Traces.grpc_path();
    for message in [&b"\x0a\xff"[..], b"\x00", b"not protobuf"] {
        let answer = raw(&collector, path, &[], frame(false, message)).await;
        assert_eq!(code(&answer), Code::InvalidArgument, "{message:?}");
    }
    // A broken gzip stream, a broken frame, no message at all.
    let gzip = [("grpc-encoding", "gzip")];
    for (headers, body) in [
        (&gzip[..], frame(true, b"not gzip")),
        (&[], vec![7, 0, 0, 0, 0]),
        (&[], frame(true, b"")),
        (&[], Vec::new()),
    ] {
        let answer = raw(&collector, path, headers, body).await;
        assert_eq!(code(&answer), Code::InvalidArgument);
    }
    assert_eq!(collector.account().received, 0);
}

#[tokio::test]
async fn unknown_methods_and_signals_without_pipeline_are_unimplemented() {
    let collector = Collector::start(
        "
exporters: {nop: }
service:
  {metrics}
  pipelines:
    traces: {receivers: [otlp], exporters: [nop]}
",
    )
    .await;
    for path in ["/x.Y/Export", "/", Signal::Logs.grpc_path()] {
        let answer = raw(&collector, path, &[], frame(false, b"")).await;
        assert_eq!(code(&answer), Code::Unimplemented, "{path}");
    }
}

#[tokio::test]
async fn oversize_is_resource_exhausted_without_retry_info() {
    let collector = Collector::start(
        "
  otlp/small:
    protocols:
      grpc: {endpoint: 'localhost:0', max_recv_msg_size_mib: 1}
exporters: {nop: }
service:
  {metrics}
  pipelines:
    traces: {receivers: [otlp, otlp/small], exporters: [nop]}
",
    )
    .await;
    let mut request = traces(0..1);
    request.resource_spans[0].scope_spans[0].spans[0].name = "x".repeat(2 << 20);
    // The default is 64 MiB.
    let mut client = TraceServiceClient::connect(collector.grpc()).await.unwrap();
    client.export(request.clone()).await.unwrap();

    let small = format!("http://{}", collector.address("otlp/small", "grpc"));
    let client = TraceServiceClient::connect(small.clone()).await.unwrap();
    // Too large on the wire, and too large only when it is decompressed.
    for mut client in [
        client.clone(),
        client.clone().send_compressed(CompressionEncoding::Gzip),
        client.send_compressed(CompressionEncoding::Zstd),
    ] {
        let error = client.export(request.clone()).await.unwrap_err();
        assert_eq!(error.code(), Code::ResourceExhausted, "{error:?}");
        assert!(error.details().is_empty());
    }
    assert!(request.encoded_len() > 2 << 20);
}

#[tokio::test]
async fn a_full_queue_is_unavailable_with_retry_info() {
    // Nobody answers behind the exporter; the queue holds one request.
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = unused.local_addr().unwrap();
    let collector = Collector::start(&format!(
        "
exporters:
  otlp_grpc:
    endpoint: {address}
    tls: {{insecure: true}}
    sending_queue: {{queue_size: 1}}
service:
  {{metrics}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [otlp_grpc]}}
"
    ))
    .await;
    let mut client = TraceServiceClient::connect(collector.grpc()).await.unwrap();
    client.export(traces(0..5)).await.unwrap();
    let error = client.export(traces(5..12)).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    let details = status::Status::decode(error.details()).unwrap();
    assert!(details.retry_delay.unwrap() > std::time::Duration::ZERO);
    let series = "otelcol_receiver_refused_spans{receiver=\"otlp\",transport=\"grpc\"}";
    assert_eq!(collector.metric(series).await, 7.0);
    let account = collector.stop(std::time::Duration::from_millis(200)).await;
    assert_eq!((account.received, account.refused), (5, 7));
    assert_eq!(account.totals().dropped_total(), 5);
}

#[tokio::test]
async fn what_is_not_grpc_is_an_unsupported_media_type() {
    let collector = Collector::start(NOP).await;
    let url = format!("{}{}", collector.grpc(), Signal::Traces.grpc_path());
    let answer = support::request("POST", &url, &[("content-type", "text/plain")], vec![]).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}
