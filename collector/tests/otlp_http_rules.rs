//! OTLP/HTTP as OTLP 1.11 has it, rule by rule, with protobuf and with JSON.

mod support;

use std::io::Write;
use std::time::Duration;

use http::StatusCode;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message;
use spanmesh_otlp::status::{Code, Status};
use spanmesh_otlp::{Signal, json};
use support::telemetry::{logs, metrics, traces};
use support::{Answer, Collector, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

const SMALL: &str = "
  otlp/small:
    protocols:
      http: {endpoint: 'localhost:0', max_request_body_size: 10kB}
exporters: {nop: }
service:
  {metrics}
  pipelines:
    traces: {receivers: [otlp, otlp/small], exporters: [nop]}
    logs: {receivers: [otlp], exporters: [nop]}
    metrics: {receivers: [otlp], exporters: [nop]}
";

/// The status in the body of an error, which has to be in `content_type`.
fn status(answer: &Answer, content_type: &str) -> Status {
    assert_eq!(answer.headers["content-type"], content_type, "{answer:?}");
    let status = match content_type {
        JSON => Status::from_json(&answer.body).unwrap(),
        _ => Status::decode(&answer.body).unwrap(),
    };
    assert!(!status.message.is_empty());
    status
}

fn as_json(signal: Signal, request: &[u8]) -> Vec<u8> {
    json::request_to_json(signal, request).unwrap()
}

#[tokio::test]
async fn all_signals_are_taken_in_both_encodings() {
    let collector = Collector::start(SMALL).await;
    for (signal, request) in [
        (Signal::Traces, traces(0..3).encode_to_vec()),
        (Signal::Logs, logs(3).encode_to_vec()),
        (Signal::Metrics, metrics(3).encode_to_vec()),
    ] {
        let path = signal.http_path();
        let headers = [("content-type", PROTOBUF)];
        let answer = collector.post(path, &headers, request.clone()).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.headers["content-type"], PROTOBUF);
        assert!(
            answer.body.is_empty(),
            "full success leaves partial_success unset"
        );

        for content_type in [JSON, "application/json; charset=utf-8", "Application/JSON"] {
            let headers = [("content-type", content_type)];
            let body = as_json(signal, &request);
            let answer = collector.post(path, &headers, body).await;
            assert_eq!(answer.status, StatusCode::OK, "{content_type}: {answer:?}");
            assert_eq!(answer.headers["content-type"], JSON);
            assert_eq!(answer.body, "{}");
        }
    }
    assert_eq!(collector.account().received, 36);
    let series = "otelcol_receiver_accepted_spans{receiver=\"otlp\",transport=\"http\"}";
    assert_eq!(collector.metric(series).await, 12.0);
}

#[tokio::test]
async fn an_empty_request_succeeds() {
    let collector = Collector::start(SMALL).await;
    let answer = collector
        .post("/v1/traces", &[("content-type", PROTOBUF)], vec![])
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    ExportTraceServiceResponse::decode(answer.body).unwrap();
    let answer = collector
        .post("/v1/traces", &[("content-type", JSON)], b"{}".to_vec())
        .await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn every_encoding_is_read() {
    let collector = Collector::start(SMALL).await;
    let plain = traces(0..10).encode_to_vec();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(&plain).unwrap();
    let (gzip, zlib) = (gzip.finish().unwrap(), zlib.finish().unwrap());
    let zstd = zstd::encode_all(&*plain, 1).unwrap();
    let block = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
    let mut framed = snap::write::FrameEncoder::new(Vec::new());
    framed.write_all(&plain).unwrap();
    let framed = framed.into_inner().unwrap();
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz4.write_all(&plain).unwrap();
    let lz4 = lz4.finish().unwrap();
    for (encoding, body) in [
        ("snappy", block),
        ("snappy", framed.clone()),
        ("x-snappy-framed", framed),
        ("lz4", lz4),
        ("gzip", gzip.clone()),
        ("x-gzip", gzip),
        ("deflate", zlib.clone()),
        ("zlib", zlib),
        ("zstd", zstd),
        ("identity", plain.clone()),
        ("", plain),
    ] {
        let headers = [("content-type", PROTOBUF), ("content-encoding", encoding)];
        let answer = collector.post("/v1/traces", &headers, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{encoding}: {answer:?}");
    }
    assert_eq!(collector.account().received, 110);
}

#[tokio::test]
async fn malformed_bodies_are_bad_requests_in_the_encoding_of_the_request() {
    let collector = Collector::start(SMALL).await;
    for (path, content_type, encoding, body) in [
        ("/v1/traces", PROTOBUF, "", &b"not protobuf"[..]),
        ("/v1/logs", PROTOBUF, "", b"\x0a\x05x"),
        ("/v1/traces", PROTOBUF, "gzip", b"not gzip"),
        ("/v1/traces", PROTOBUF, "zstd", b"not zstd"),
        ("/v1/traces", JSON, "", b"not json"),
        ("/v1/traces", JSON, "", b""),
        ("/v1/traces", JSON, "", br#"{"resourceSpans": 1}"#),
        (
            "/v1/traces",
            JSON,
            "",
            br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"00"}]}]}]}"#,
        ),
        ("/v1/metrics", JSON, "gzip", b"{}"),
    ] {
        let headers = [
            ("content-type", content_type),
            ("content-encoding", encoding),
        ];
        let answer = collector.post(path, &headers, body.to_vec()).await;
        assert_eq!(
            answer.status,
            StatusCode::BAD_REQUEST,
            "{body:?}: {answer:?}"
        );
        let status = status(&answer, content_type);
        assert_eq!(status.code, Code::InvalidArgument);
        assert_eq!(status.retry_delay, None);
    }
    assert_eq!(collector.account().received, 0);
}

#[tokio::test]
async fn unknown_fields_of_json_are_passed_over() {
    let collector = Collector::start(SMALL).await;
    let body = br#"{"new": [1], "resourceSpans": [{"newer": {}}]}"#.to_vec();
    let answer = collector
        .post("/v1/traces", &[("content-type", JSON)], body)
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
}

#[tokio::test]
async fn oversize_is_413_on_the_wire_and_decompressed() {
    let collector = Collector::start(SMALL).await;
    let url = format!(
        "http://{}/v1/traces",
        collector.address("otlp/small", "http")
    );
    let mut request = traces(0..1);
    request.resource_spans[0].scope_spans[0].spans[0].name = "x".repeat(1 << 20);
    let plain = request.encode_to_vec();
    let zstd = zstd::encode_all(&*plain, 1).unwrap();
    assert!(zstd.len() < 10_000);
    let json = as_json(Signal::Traces, &plain);
    for (content_type, encoding, body) in [
        (PROTOBUF, "", plain.clone()),
        (PROTOBUF, "zstd", zstd),
        (JSON, "", json),
    ] {
        let headers = [
            ("content-type", content_type),
            ("content-encoding", encoding),
        ];
        let answer = support::request("POST", &url, &headers, body).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{encoding}");
        assert_eq!(status(&answer, content_type).code, Code::ResourceExhausted);
    }
    // The default is 64 MiB.
    collector.post_traces(plain).await;
}

#[tokio::test]
async fn who_is_still_sending_sees_why_it_was_refused() {
    let (collector, _) = own("max_request_body_size: 10kB").await;
    for (component, line, expected) in [
        ("otlp/own", "POST /v1/traces", &b"HTTP/1.1 413"[..]),
        ("otlp", "POST /v1/trace", b"HTTP/1.1 404"),
        ("otlp", "PUT /v1/traces", b"HTTP/1.1 405"),
    ] {
        let address = collector.address(component, "http");
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let head = format!(
            "{line} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
             content-length: 6000000\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // A client like this looks for an answer when it has sent everything.
        stream.write_all(&vec![b' '; 6_000_000]).await.unwrap();
        let mut answer = vec![0; 12];
        within("an answer", stream.read_exact(&mut answer))
            .await
            .unwrap();
        assert_eq!(answer, expected, "{line}");
    }
}

#[tokio::test]
async fn a_body_without_length_is_stopped_at_the_limit() {
    let collector = Collector::start(SMALL).await;
    let address = collector.address("otlp/small", "http");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                transfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..20 {
        let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
        // The server may have closed the connection by now.
        let _ = stream.write_all(chunk.as_bytes()).await;
    }
    let _ = stream.write_all(b"0\r\n\r\n").await;
    let mut answer = vec![0; 12];
    within("an answer", stream.read_exact(&mut answer))
        .await
        .unwrap();
    assert_eq!(answer, b"HTTP/1.1 413");
}

#[tokio::test]
async fn unknown_paths_methods_types_and_encodings_have_their_codes() {
    let collector = Collector::start(SMALL).await;
    let base = format!("http://{}", collector.address("otlp", "http"));
    for content_type in [PROTOBUF, JSON] {
        let headers = [("content-type", content_type)];
        for path in ["/", "/v1/trace", "/v1/traces/", "/v1development/profiles"] {
            let answer = collector.post(path, &headers, vec![]).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
            status(&answer, content_type);
        }
        for method in ["GET", "PUT", "DELETE"] {
            let url = format!("{base}/v1/traces");
            let answer = support::request(method, &url, &headers, vec![]).await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
            assert_eq!(answer.headers["allow"], "POST");
            status(&answer, content_type);
        }
        let headers = [("content-type", content_type), ("content-encoding", "br")];
        let answer = collector.post("/v1/traces", &headers, b"x".to_vec()).await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert!(
            answer.headers["accept-encoding"]
                .to_str()
                .unwrap()
                .contains("gzip")
        );
        status(&answer, content_type);
    }
    for content_type in ["text/plain", "", "application/jsonx", "application/grpc"] {
        let headers = [("content-type", content_type)];
        let answer = collector.post("/v1/traces", &headers, vec![]).await;
        assert_eq!(
            answer.status,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "{content_type}"
        );
        status(&answer, PROTOBUF);
    }
}

#[tokio::test]
async fn a_full_queue_is_503_with_retry_after() {
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = unused.local_addr().unwrap();
    let collector = Collector::start(&format!(
        "
exporters:
  otlp_http:
    endpoint: http://{address}
    sending_queue: {{queue_size: 1}}
service:
  {{metrics}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [otlp_http]}}
"
    ))
    .await;
    let request = traces(0..5).encode_to_vec();
    collector.post_traces(request.clone()).await;
    for (content_type, body) in [
        (PROTOBUF, request.clone()),
        (JSON, as_json(Signal::Traces, &request)),
    ] {
        let headers = [("content-type", content_type)];
        let answer = collector.post("/v1/traces", &headers, body).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers["retry-after"], "1");
        let status = status(&answer, content_type);
        assert_eq!(status.code, Code::Unavailable);
        assert!(status.retry_delay.is_some());
    }
    let account = collector.stop(Duration::from_millis(100)).await;
    assert_eq!((account.received, account.refused), (5, 10));
}

#[tokio::test]
async fn requests_that_are_rejected_are_counted() {
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
    let headers = [("content-type", PROTOBUF)];
    collector.post("/v1/traces", &headers, vec![0xff]).await;
    collector
        .post("/v1/traces", &headers, vec![0; (64 << 20) + 1])
        .await;
    let client = TraceServiceClient::connect(collector.grpc()).await;
    let mut large = traces(0..1);
    large.resource_spans[0].schema_url = "x".repeat(64 << 20);
    client.unwrap().export(large).await.unwrap_err();
    let count = async |transport: &str, reason: &str| {
        let labels = format!(
            "receiver=\"otlp\",transport=\"{transport}\",signal=\"traces\",reason=\"{reason}\""
        );
        let series = format!("spanmesh_receiver_rejected_requests{{{labels}}}");
        collector.metric(&series).await
    };
    assert_eq!(count("http", "malformed").await, 1.0);
    assert_eq!(count("http", "too_large").await, 1.0);
    assert_eq!(count("grpc", "malformed").await, 0.0);
    assert_eq!(count("grpc", "too_large").await, 1.0);
}

#[tokio::test]
async fn what_no_queue_ever_holds_is_413_without_a_hint() {
    let collector = Collector::start(
        "
exporters:
  otlp_http:
    endpoint: http://localhost:1
    sending_queue: {queue_size: 4, sizer: items, block_on_overflow: true}
service:
  {metrics}
  pipelines:
    traces: {receivers: [otlp], exporters: [otlp_http]}
",
    )
    .await;
    let request = traces(0..5).encode_to_vec();
    let headers = [("content-type", PROTOBUF)];
    let answer = collector.post("/v1/traces", &headers, request).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(!answer.headers.contains_key("retry-after"));
    let status = status(&answer, PROTOBUF);
    assert_eq!(status.code, Code::ResourceExhausted);
    assert_eq!(status.retry_delay, None);

    let client = TraceServiceClient::connect(collector.grpc()).await;
    let error = client.unwrap().export(traces(0..5)).await.unwrap_err();
    assert_eq!(error.code(), tonic::Code::ResourceExhausted);
    let details = Status::decode(error.details()).unwrap();
    assert_eq!(details.retry_delay, None);
}

#[tokio::test]
async fn url_paths_can_be_changed() {
    let collector = Collector::start(
        "
  otlp/paths:
    protocols:
      http: {endpoint: 'localhost:0', traces_url_path: /custom}
exporters: {nop: }
service:
  {metrics}
  pipelines:
    traces: {receivers: [otlp, otlp/paths], exporters: [nop]}
",
    )
    .await;
    let base = format!("http://{}", collector.address("otlp/paths", "http"));
    let headers = [("content-type", PROTOBUF)];
    let post = async |path: &str| {
        let url = format!("{base}{path}");
        support::request("POST", &url, &headers, vec![])
            .await
            .status
    };
    assert_eq!(post("/custom").await, StatusCode::OK);
    assert_eq!(post("/v1/traces").await, StatusCode::NOT_FOUND);
    // No pipeline takes logs from this receiver.
    assert_eq!(post("/v1/logs").await, StatusCode::NOT_FOUND);
}

/// A receiver on HTTP with these options, beside the common one.
async fn own(options: &str) -> (Collector, String) {
    let collector = Collector::start(&format!(
        "
  otlp/own:
    protocols:
      http: {{endpoint: 'localhost:0', {options}}}
exporters: {{nop: }}
service:
  {{metrics}}
  pipelines:
    traces: {{receivers: [otlp, otlp/own], exporters: [nop]}}
"
    ))
    .await;
    let url = format!("http://{}/v1/traces", collector.address("otlp/own", "http"));
    (collector, url)
}

#[tokio::test]
async fn encodings_can_be_chosen() {
    let (_collector, url) = own("compression_algorithms: ['', zstd]").await;
    let plain = traces(0..1).encode_to_vec();
    let zstd = zstd::encode_all(&*plain, 1).unwrap();
    for (encoding, body, expected) in [
        ("", plain.clone(), 200),
        ("zstd", zstd, 200),
        ("gzip", plain.clone(), 415),
        ("lz4", plain, 415),
    ] {
        let headers = [("content-type", PROTOBUF), ("content-encoding", encoding)];
        let answer = support::request("POST", &url, &headers, body).await;
        assert_eq!(answer.status, expected, "{encoding}");
        if expected == 415 {
            assert_eq!(answer.headers["accept-encoding"], "identity, zstd");
            status(&answer, PROTOBUF);
        }
    }
}

#[tokio::test]
async fn web_pages_of_allowed_origins_may_send() {
    let (collector, url) = own(
        "cors: {allowed_origins: ['https://*.example.com'], allowed_headers: [X-Tenant], \
         exposed_headers: [X-Trace], max_age: 7200}, response_headers: {X-Trace: abc}",
    )
    .await;
    let ask = async |origin: &str, headers: &str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", headers),
        ];
        support::request("OPTIONS", &url, &headers, Vec::new()).await
    };
    let allowed = ask("https://a.example.com", "content-type, x-tenant").await;
    assert_eq!(allowed.status, StatusCode::NO_CONTENT);
    for (name, expected) in [
        ("access-control-allow-origin", "https://a.example.com"),
        ("access-control-allow-methods", "POST"),
        ("access-control-allow-headers", "content-type, x-tenant"),
        ("access-control-max-age", "7200"),
        ("x-trace", "abc"),
    ] {
        assert_eq!(allowed.headers[name], expected, "{name}");
    }
    for (origin, headers) in [
        ("https://example.org", "content-type"),
        ("https://a.example.com.evil", "content-type"),
        ("https://a.example.com", "authorization"),
    ] {
        let refused = ask(origin, headers).await;
        assert!(
            !refused.headers.contains_key("access-control-allow-origin"),
            "{origin}"
        );
    }

    for (origin, allowed) in [
        ("https://a.example.com", true),
        ("https://example.org", false),
    ] {
        let headers = [("content-type", JSON), ("origin", origin)];
        // Errors are for the page, too.
        for (body, expected) in [(&b"{}"[..], 200), (b"no json", 400)] {
            let answer = support::request("POST", &url, &headers, body.to_vec()).await;
            assert_eq!(answer.status, expected);
            assert_eq!(
                answer.headers.contains_key("access-control-allow-origin"),
                allowed
            );
            assert_eq!(
                answer.headers.contains_key("access-control-expose-headers"),
                allowed
            );
            assert_eq!(answer.headers["vary"], "Origin");
            assert_eq!(answer.headers["x-trace"], "abc");
        }
    }
    // Without the option, browsers are clients like others.
    let headers = [("content-type", JSON), ("origin", "https://a.example.com")];
    let answer = collector.post("/v1/traces", &headers, b"{}".to_vec()).await;
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn bodies_and_headers_have_their_time() {
    let (collector, _) = own("read_timeout: 300ms, read_header_timeout: 300ms").await;
    let address = collector.address("otlp/own", "http");
    let mut slow = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                content-length: 100\r\n\r\n";
    slow.write_all(head.as_bytes()).await.unwrap();
    // It never stops for long, and never ends.
    let mut answer = [0; 12];
    let (mut read, mut write) = slow.split();
    let dripping = async {
        while write.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        result = read.read_exact(&mut answer) => { result.unwrap(); }
        () = dripping => {}
        () = tokio::time::sleep(Duration::from_secs(20)) => panic!("no answer"),
    }
    assert_eq!(&answer, b"HTTP/1.1 503");

    // In the middle of a request's head, before anything, and before it says which HTTP it speaks.
    for beginning in ["POST /v1/traces HTTP/1.1\r\nhost:", "", "PRI * HT"] {
        let mut silent = tokio::net::TcpStream::connect(address).await.unwrap();
        silent.write_all(beginning.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let closing = tokio::time::timeout(Duration::from_secs(30), silent.read_to_end(&mut rest));
        let closed = closing.await;
        closed
            .unwrap_or_else(|_| panic!("after {beginning:?} the connection stays open"))
            .unwrap();
    }
}
