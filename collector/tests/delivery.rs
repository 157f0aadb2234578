//! From the queues to the back ends: batches, retries, failures, shutdown, and the account of it
//! all. Spans are followed by their ids.

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use spanmesh_collector::pipeline::DropReason;
use spanmesh_otlp::{Signal, json, status};
use support::sink::{GrpcSink, HttpSink};
use support::telemetry::{distinct_ids, spans, traces};
use support::{Collector, eventually};
use tonic::Code;

/// A traces pipeline with `batch` to these exporters.
fn sections(exporters: &str, names: &str) -> String {
    format!(
        "
processors:
  batch: {{timeout: 10ms}}
exporters:
{exporters}
service:
  {{metrics}}
  pipelines:
    traces: {{receivers: [otlp], processors: [batch], exporters: [{names}]}}
"
    )
}

fn grpc_exporter(address: std::net::SocketAddr, more: &str) -> String {
    let retry = "retry_on_failure: {initial_interval: 10ms, max_interval: 50ms}";
    let exporter = format!(
        "  otlp_grpc:\n    endpoint: {address}\n    tls: {{insecure: true}}\n    {retry}\n    {more}"
    );
    sections(&exporter, "otlp_grpc")
}

fn http_exporter(address: std::net::SocketAddr, more: &str) -> String {
    let retry = "retry_on_failure: {initial_interval: 10ms, max_interval: 50ms}";
    let exporter = format!("  otlp_http:\n    endpoint: http://{address}\n    {retry}\n    {more}");
    sections(&exporter, "otlp_http")
}

async fn send(collector: &Collector, ids: std::ops::Range<u64>) {
    collector.post_traces(traces(ids).encode_to_vec()).await;
}

fn all(ids: std::ops::Range<u64>) -> BTreeSet<u64> {
    ids.collect()
}

const DRAIN: Duration = Duration::from_secs(10);

#[tokio::test]
async fn spans_arrive_as_they_were_sent_in_every_compression() {
    for compression in ["gzip", "zstd", "none"] {
        let sink = GrpcSink::default();
        let address = sink.serve().await;
        let more = format!("compression: {compression}\n    headers: {{X-Tenant: a}}");
        let collector = Collector::start(&grpc_exporter(address, &more)).await;
        send(&collector, 0..100).await;
        let account = collector.stop(DRAIN).await;
        assert_eq!(sink.spans(), spans(&traces(0..100)), "{compression}");
        assert_eq!(sink.metadata()[0]["x-tenant"], "a");
        assert_eq!(account.totals().sent, 100);
    }
}

#[tokio::test]
async fn http_back_ends_get_protobuf_and_json_in_every_compression() {
    for encoding in ["proto", "json"] {
        for compression in [
            "gzip",
            "zstd",
            "deflate",
            "zlib",
            "snappy",
            "x-snappy-framed",
            "lz4",
            "none",
        ] {
            let sink = HttpSink::default();
            let address = sink.serve().await;
            let more = format!(
                "encoding: {encoding}\n    compression: {compression}\n    headers: {{x-tenant: a}}"
            );
            let collector = Collector::start(&http_exporter(address, &more)).await;
            send(&collector, 0..100).await;
            collector.stop(DRAIN).await;
            let got = sink.got();
            assert_eq!(got.len(), 1);
            assert_eq!(got[0].path, "/v1/traces");
            assert_eq!(got[0].headers["x-tenant"], "a");
            let named = got[0].headers.get("content-encoding");
            let expected = Some(compression).filter(|name| *name != "none");
            assert_eq!(named.map(|name| name.to_str().unwrap()), expected);
            let body = match compression {
                "gzip" => {
                    let mut plain = Vec::new();
                    let mut decoder = flate2::read::GzDecoder::new(&*got[0].body);
                    std::io::Read::read_to_end(&mut decoder, &mut plain).unwrap();
                    plain
                }
                "zstd" => zstd::decode_all(&*got[0].body).unwrap(),
                "deflate" | "zlib" => {
                    let mut plain = Vec::new();
                    let mut decoder = flate2::read::ZlibDecoder::new(&*got[0].body);
                    std::io::Read::read_to_end(&mut decoder, &mut plain).unwrap();
                    plain
                }
                "snappy" => {
                    let mut decoder = snap::raw::Decoder::new();
                    decoder.decompress_vec(&got[0].body).unwrap()
                }
                "x-snappy-framed" => {
                    let mut plain = Vec::new();
                    let mut decoder = snap::read::FrameDecoder::new(&*got[0].body);
                    std::io::Read::read_to_end(&mut decoder, &mut plain).unwrap();
                    plain
                }
                "lz4" => {
                    let mut plain = Vec::new();
                    let mut decoder = lz4_flex::frame::FrameDecoder::new(&*got[0].body);
                    std::io::Read::read_to_end(&mut decoder, &mut plain).unwrap();
                    plain
                }
                _ => got[0].body.to_vec(),
            };
            let body = match encoding {
                "json" => json::request_to_protobuf(Signal::Traces, &body).unwrap(),
                _ => body,
            };
            let request = ExportTraceServiceRequest::decode(&*body).unwrap();
            assert_eq!(spans(&request), spans(&traces(0..100)));
        }
    }
}

#[tokio::test]
async fn batches_are_formed_by_size_and_by_time() {
    let sink = GrpcSink::default();
    let address = sink.serve().await;
    let text = grpc_exporter(address, "sending_queue: {num_consumers: 1}")
        .replace("{timeout: 10ms}", "{send_batch_size: 100, timeout: 100ms}");
    let collector = Collector::start(&text).await;
    for start in (0..250).step_by(10) {
        send(&collector, start..start + 10).await;
    }
    eventually("all have arrived", async || sink.spans().len() == 250).await;
    let sizes: Vec<usize> = sink.requests().iter().map(|r| spans(r).len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 250);
    assert!(
        sizes.len() < 25,
        "payloads were not put together: {sizes:?}"
    );
    assert!(sizes.iter().all(|size| *size <= 100), "{sizes:?}");
    collector.stop(DRAIN).await;
}

#[tokio::test]
async fn single_requests_are_split_into_batches_too() {
    for size in [100, 0] {
        let sink = GrpcSink::default();
        let address = sink.serve().await;
        let options = format!("{{send_batch_size: {size}, send_batch_max_size: 100, timeout: 1h}}");
        let text = grpc_exporter(address, "").replace("{timeout: 10ms}", &options);
        let collector = Collector::start(&text).await;
        send(&collector, 0..1050).await;
        if size == 0 {
            eventually("all have arrived", async || sink.spans().len() == 1050).await;
        }
        collector.stop(DRAIN).await;
        assert_eq!(distinct_ids(&sink.spans()), all(0..1050));
        let requests = sink.requests();
        assert_eq!(requests.len(), 11);
        assert!(requests.iter().all(|request| spans(request).len() <= 100));
    }
}

#[tokio::test]
async fn what_fails_for_the_moment_is_sent_again() {
    let partial = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: 3,
            error_message: "three are too old".to_owned(),
        }),
    };
    let delay = Duration::from_millis(300);
    let hint = status::Status::new(status::Code::Unavailable, "busy").with_retry_delay(delay);
    let busy = tonic::Status::with_details(Code::Unavailable, "busy", hint.encode().into());
    let sink = GrpcSink::with_script([
        Err(tonic::Status::unavailable("not yet")),
        Err(tonic::Status::aborted("not yet")),
        Err(busy),
        Ok(partial),
    ]);
    let address = sink.serve().await;
    let collector = Collector::start(&grpc_exporter(address, "")).await;
    let start = Instant::now();
    send(&collector, 0..10).await;
    eventually("it is sent", async || sink.calls() == 4).await;
    assert!(start.elapsed() >= delay, "the hint was not honoured");
    let account = collector.stop(DRAIN).await;
    assert_eq!(distinct_ids(&sink.spans()), all(0..10));
    let totals = account.totals();
    assert_eq!((totals.accepted, totals.sent), (10, 7));
    assert_eq!(totals.dropped, [(DropReason::Rejected, 3)]);
}

#[tokio::test]
async fn http_failures_for_the_moment_are_sent_again() {
    let answer = |code: u16, header: Option<&str>| {
        let mut response = Response::builder().status(code);
        if let Some(value) = header {
            response = response.header("retry-after", value);
        }
        response.body(Full::new(Bytes::new())).unwrap()
    };
    let sink = HttpSink::with_script([
        answer(503, None),
        answer(429, Some("1")),
        answer(502, None),
        answer(504, None),
    ]);
    let address = sink.serve().await;
    let collector = Collector::start(&http_exporter(address, "")).await;
    let start = Instant::now();
    send(&collector, 0..10).await;
    eventually("it is sent", async || sink.got().len() == 5).await;
    assert!(
        start.elapsed() >= Duration::from_secs(1),
        "the hint was not honoured"
    );
    let account = collector.stop(DRAIN).await;
    assert_eq!(account.totals().sent, 10);
}

#[tokio::test]
async fn what_is_refused_for_good_is_dropped_and_counted() {
    let sink = GrpcSink::with_script([Err(tonic::Status::invalid_argument("no"))]);
    let address = sink.serve().await;
    let collector = Collector::start(&grpc_exporter(address, "")).await;
    send(&collector, 0..10).await;
    eventually("it is dropped", async || {
        collector.account().totals().dropped_total() == 10
    })
    .await;
    send(&collector, 10..20).await;
    eventually("the next is sent", async || sink.spans().len() == 10).await;
    let series = "otelcol_exporter_send_failed_spans{exporter=\"otlp_grpc\"}";
    assert_eq!(collector.metric(series).await, 10.0);
    assert_eq!(sink.calls(), 2);
    let account = collector.stop(DRAIN).await;
    assert_eq!(account.totals().dropped, [(DropReason::Refused, 10)]);
}

#[tokio::test]
async fn retries_end_after_the_time_that_is_configured() {
    let sink = GrpcSink::with_script((0..1000).map(|_| Err(tonic::Status::unavailable("no"))));
    let address = sink.serve().await;
    let text = grpc_exporter(address, "").replace(
        "max_interval: 50ms",
        "max_interval: 50ms, max_elapsed_time: 200ms",
    );
    let collector = Collector::start(&text).await;
    send(&collector, 0..10).await;
    eventually("it is dropped", async || {
        collector.account().totals().dropped_total() == 10
    })
    .await;
    assert!(sink.calls() > 2);
    let account = collector.stop(DRAIN).await;
    assert_eq!(
        account.totals().dropped,
        [(DropReason::RetriesExhausted, 10)]
    );
}

#[tokio::test]
async fn what_is_too_large_is_sent_in_parts() {
    // A tonic server says OUT_OF_RANGE, which taken literally would be tried again for ever.
    let sink = GrpcSink::with_limit(2_000);
    let address = sink.serve().await;
    let collector = Collector::start(&grpc_exporter(address, "")).await;
    send(&collector, 0..100).await;
    eventually("all have arrived", async || sink.spans().len() == 100).await;
    let mut large = traces(100..102);
    large.resource_spans[0].scope_spans[0].spans[0].name = "x".repeat(4_000);
    collector.post_traces(large.encode_to_vec()).await;
    let account = collector.stop(DRAIN).await;
    let arrived = distinct_ids(&sink.spans());
    let mut expected = all(0..102);
    expected.remove(&100);
    assert_eq!(arrived, expected);
    assert_eq!(account.totals().sent, 101);
    assert_eq!(account.totals().dropped, [(DropReason::TooLarge, 1)]);
}

#[tokio::test]
async fn http_bodies_that_are_too_large_are_sent_in_parts() {
    let refused = Response::builder()
        .status(413)
        .body(Full::default())
        .unwrap();
    let sink = HttpSink::with_script([refused]);
    let address = sink.serve().await;
    let collector = Collector::start(&http_exporter(address, "compression: none")).await;
    send(&collector, 0..100).await;
    collector.stop(DRAIN).await;
    let got = sink.got();
    assert_eq!(got.len(), 3);
    let arrived: Vec<_> = got[1..]
        .iter()
        .flat_map(|got| spans(&ExportTraceServiceRequest::decode(&*got.body).unwrap()))
        .collect();
    assert_eq!(distinct_ids(&arrived), all(0..100));
}

#[tokio::test]
async fn every_form_of_too_large_is_answered_with_parts() {
    let message = "grpc: received message larger than max (5000000 vs. 4194304)";
    for refusal in [
        tonic::Status::resource_exhausted(message),
        tonic::Status::out_of_range("Error, decoded message length too large"),
        tonic::Status::unknown("Payload Too Large"),
    ] {
        let sink = GrpcSink::with_script([Err(refusal.clone()), Err(refusal)]);
        let address = sink.serve().await;
        let collector = Collector::start(&grpc_exporter(address, "")).await;
        send(&collector, 0..100).await;
        let account = collector.stop(DRAIN).await;
        assert_eq!(distinct_ids(&sink.spans()), all(0..100));
        assert_eq!((sink.calls(), account.totals().sent), (5, 100));
    }
    // The OpenTelemetry Collector, whose HTTP library stopped reading.
    let text = "http: request body too large";
    let status = status::Status::new(status::Code::InvalidArgument, text).encode();
    for (code, body) in [(413, Vec::new()), (400, status), (400, text.into())] {
        let refused = Response::builder()
            .status(code)
            .body(Full::from(body))
            .unwrap();
        let sink = HttpSink::with_script([refused]);
        let address = sink.serve().await;
        let collector = Collector::start(&http_exporter(address, "compression: none")).await;
        send(&collector, 0..100).await;
        let account = collector.stop(DRAIN).await;
        assert_eq!(
            (sink.got().len(), account.totals().sent),
            (3, 100),
            "{code}"
        );
    }
}

#[tokio::test]
async fn batches_are_capped_by_bytes() {
    // A span of 2 kB for each number.
    let large = |ids: std::ops::Range<u64>| {
        let mut request = traces(ids);
        for span in &mut request.resource_spans[0].scope_spans[0].spans {
            span.name = "x".repeat(2_000);
        }
        request.encode_to_vec()
    };
    let sink = GrpcSink::with_limit(4 << 20);
    let address = sink.serve().await;
    let collector = Collector::start(&grpc_exporter(address, "compression: none")).await;
    for start in (0..8_000).step_by(1_000) {
        collector.post_traces(large(start..start + 1_000)).await;
    }
    let account = collector.stop(DRAIN).await;
    assert_eq!(distinct_ids(&sink.spans()), all(0..8_000));
    assert_eq!(account.totals().sent, 8_000);
    let sizes: Vec<_> = sink.requests().iter().map(Message::encoded_len).collect();
    assert!(sizes.iter().all(|size| *size <= 4_000_000), "{sizes:?}");
    assert_eq!(sizes.len(), sink.calls(), "the limit of the server was met");

    for exporter in ["grpc", "http"] {
        let more = "compression: none\n    sending_queue: {batch: {sizer: bytes, \
                    min_size: 30000, max_size: 50000, flush_timeout: 1h}}";
        let (grpc, http) = (GrpcSink::default(), HttpSink::default());
        let text = match exporter {
            "grpc" => grpc_exporter(grpc.serve().await, more),
            _ => http_exporter(http.serve().await, more),
        };
        let text = text.replace("processors: [batch], ", "");
        let text = text.replace("  batch: {timeout: 10ms}\n", "");
        let collector = Collector::start(&text).await;
        for start in (0..100).step_by(10) {
            collector.post_traces(large(start..start + 10)).await;
        }
        collector.post_traces(large(100..200)).await;
        let account = collector.stop(DRAIN).await;
        assert_eq!(account.totals().sent, 200);
        let sizes: Vec<_> = match exporter {
            "grpc" => grpc.requests().iter().map(Message::encoded_len).collect(),
            _ => http.got().iter().map(|got| got.body.len()).collect(),
        };
        assert!(sizes.iter().all(|size| *size <= 50_000), "{sizes:?}");
        assert!(sizes.len() < 20, "{sizes:?}");
    }
}

#[tokio::test]
async fn a_dead_back_end_does_not_stop_the_others() {
    let sink = GrpcSink::default();
    let address = sink.serve().await;
    // A port that nobody listens on.
    let dead = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead_address = dead.local_addr().unwrap();
    drop(dead);
    let exporters = format!(
        "  otlp_grpc:\n    endpoint: {address}\n    tls: {{insecure: true}}
  otlp_grpc/dead:\n    endpoint: {dead_address}\n    tls: {{insecure: true}}
    sending_queue: {{queue_size: 30, sizer: items}}"
    );
    let collector = Collector::start(&sections(&exporters, "otlp_grpc, otlp_grpc/dead")).await;
    for start in (0..100).step_by(10) {
        send(&collector, start..start + 10).await;
    }
    eventually("all have arrived", async || sink.spans().len() == 100).await;
    let series = "otelcol_exporter_enqueue_failed_spans{exporter=\"otlp_grpc/dead\"}";
    assert_eq!(collector.metric(series).await, 70.0);
    let size = "otelcol_exporter_queue_size{exporter=\"otlp_grpc/dead\"}";
    assert_eq!(collector.metric(size).await, 30.0);
    let account = collector.stop(Duration::from_millis(100)).await;
    assert_eq!((account.received, account.refused), (100, 0));
    for (id, _, totals) in &account.destinations {
        assert_eq!(totals.accepted, 100, "{id}");
        match id.as_str() {
            "otlp_grpc" => assert_eq!(totals.sent, 100),
            _ => assert_eq!(
                totals.dropped,
                [(DropReason::QueueFull, 70), (DropReason::Shutdown, 30)]
            ),
        }
    }
}

#[tokio::test]
async fn what_waits_is_delivered_when_the_back_end_comes_back() {
    let reserved = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = reserved.local_addr().unwrap();
    drop(reserved);
    let collector = Collector::start(&grpc_exporter(address, "")).await;
    for start in (0..500).step_by(50) {
        send(&collector, start..start + 50).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(collector.account().totals().queued, 500);
    let sink = GrpcSink::default();
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    sink.serve_on(listener);
    eventually("all have arrived", async || sink.spans().len() == 500).await;
    assert_eq!(distinct_ids(&sink.spans()), all(0..500));
    let account = collector.stop(DRAIN).await;
    assert_eq!(account.totals().sent, 500);
}

#[tokio::test]
async fn one_success_brings_every_waiting_batch_forward() {
    let sink = GrpcSink::with_script((0..3).map(|_| Err(tonic::Status::unavailable("not yet"))));
    let address = sink.serve().await;
    let text = grpc_exporter(address, "")
        .replace("processors: [batch], ", "")
        .replace("  batch: {timeout: 10ms}\n", "")
        .replace(
            "initial_interval: 10ms, max_interval: 50ms",
            "initial_interval: 1m, max_interval: 1m",
        );
    let collector = Collector::start(&text).await;
    for start in (0..30).step_by(10) {
        send(&collector, start..start + 10).await;
    }
    eventually("all have failed once", async || sink.calls() == 3).await;
    // Not before the answers have been read.
    tokio::time::sleep(Duration::from_millis(100)).await;
    send(&collector, 30..40).await;
    eventually("all have arrived", async || sink.spans().len() == 40).await;
    collector.stop(DRAIN).await;
    assert_eq!(distinct_ids(&sink.spans()), all(0..40));
}

#[tokio::test]
async fn stopping_delivers_what_waits_for_a_batch_and_what_waits_for_a_retry() {
    let sink = GrpcSink::with_script([Err(tonic::Status::unavailable("not yet"))]);
    let address = sink.serve().await;
    let text = grpc_exporter(address, "")
        .replace("{timeout: 10ms}", "{timeout: 1h}")
        .replace(
            "initial_interval: 10ms, max_interval: 50ms",
            "initial_interval: 10s",
        );
    let collector = Collector::start(&text).await;
    send(&collector, 0..8192).await; // A whole batch: its first attempt fails.
    eventually("the attempt is made", async || sink.calls() == 1).await;
    send(&collector, 8192..8200).await; // A part of one.
    let start = Instant::now();
    let account = collector.stop(DRAIN).await;
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "the retry was not brought forward"
    );
    assert_eq!(distinct_ids(&sink.spans()), all(0..8200));
    assert_eq!(account.totals().sent, 8200);
}

#[tokio::test]
async fn stopping_counts_what_cannot_be_delivered() {
    let sink = GrpcSink::with_script((0..1000).map(|_| Err(tonic::Status::unavailable("no"))));
    let address = sink.serve().await;
    let collector = Collector::start(&grpc_exporter(address, "")).await;
    send(&collector, 0..25).await;
    let start = Instant::now();
    let account = collector.stop(Duration::from_millis(200)).await;
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(account.totals().dropped, [(DropReason::Shutdown, 25)]);
}

#[tokio::test]
async fn clients_can_wait_for_room() {
    let sink = GrpcSink::default();
    let address = sink.serve().await;
    let more = "sending_queue: {queue_size: 10, sizer: items, block_on_overflow: true}";
    let collector = Collector::start(&grpc_exporter(address, more)).await;
    for start in (0..100).step_by(10) {
        send(&collector, start..start + 10).await;
    }
    let account = collector.stop(DRAIN).await;
    assert_eq!(distinct_ids(&sink.spans()), all(0..100));
    assert_eq!(account.refused, 0);
}

#[tokio::test]
async fn clients_that_wait_for_room_are_refused_when_the_collector_stops() {
    let sink = GrpcSink::with_script((0..1000).map(|_| Err(tonic::Status::unavailable("no"))));
    let address = sink.serve().await;
    let more = "sending_queue: {queue_size: 10, sizer: items, block_on_overflow: true}";
    let collector = Collector::start(&grpc_exporter(address, more)).await;
    send(&collector, 0..10).await;
    let url = format!("http://{}/v1/traces", collector.address("otlp", "http"));
    let waiting = tokio::spawn(async move {
        let headers = [("content-type", "application/x-protobuf")];
        support::request("POST", &url, &headers, traces(10..20).encode_to_vec()).await
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    let account = collector.stop(Duration::from_millis(100)).await;
    assert_eq!(waiting.await.unwrap().status, 503);
    assert_eq!((account.received, account.refused), (10, 10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_under_load_loses_nothing_that_was_acknowledged() {
    let sink = GrpcSink::default();
    let address = sink.serve().await;
    let collector = Collector::start(&grpc_exporter(address, "")).await;
    let url = format!("http://{}/v1/traces", collector.address("otlp", "http"));
    let grpc = collector.grpc();
    let clients: Vec<_> = (0..8_u64)
        .map(|client| {
            let (url, grpc) = (url.clone(), grpc.clone());
            tokio::spawn(async move {
                let mut acknowledged = BTreeSet::new();
                for request in 0.. {
                    let start = (client << 32) + request * 10;
                    let body = traces(start..start + 10);
                    let taken = if client % 2 == 0 {
                        support::try_post(&url, body.encode_to_vec()).await == Some(200)
                    } else {
                        support::try_export(&grpc, body).await
                    };
                    if !taken {
                        break;
                    }
                    acknowledged.extend(start..start + 10);
                }
                acknowledged
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let account = collector.stop(DRAIN).await;
    let mut acknowledged = BTreeSet::new();
    for client in clients {
        acknowledged.extend(client.await.unwrap());
    }
    assert!(!acknowledged.is_empty());
    let arrived = distinct_ids(&sink.spans());
    let lost = acknowledged.difference(&arrived).count();
    assert_eq!(lost, 0, "of {} acknowledged spans", acknowledged.len());
    assert_eq!(account.totals().sent, arrived.len() as u64);
}

#[tokio::test]
async fn without_a_queue_clients_hear_what_the_back_end_said() {
    let sink = GrpcSink::with_script([
        Ok(ExportTraceServiceResponse::default()),
        Err(tonic::Status::invalid_argument("no")),
        Err(tonic::Status::unavailable("not now")),
        Err(tonic::Status::invalid_argument("no")),
        Err(tonic::Status::unavailable("not now")),
    ]);
    let address = sink.serve().await;
    let text = grpc_exporter(address, "sending_queue: {enabled: false}").replace(
        "initial_interval: 10ms, max_interval: 50ms",
        "enabled: false",
    );
    let collector = Collector::start(&text).await;
    let post = async || {
        let headers = [("content-type", "application/x-protobuf")];
        let body = traces(0..10).encode_to_vec();
        collector.post("/v1/traces", &headers, body).await
    };
    assert_eq!(post().await.status, 200);
    assert_eq!(
        sink.spans().len(),
        10,
        "the answer came before the back end's"
    );
    assert_eq!(post().await.status, 500);
    let answer = post().await;
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains_key("retry-after"));

    let mut client = TraceServiceClient::connect(collector.grpc()).await.unwrap();
    let error = client.export(traces(0..10)).await.unwrap_err();
    assert_eq!(error.code(), Code::Internal);
    let error = client.export(traces(0..10)).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    let details = status::Status::decode(error.details()).unwrap();
    assert!(details.retry_delay.is_some());

    let account = collector.stop(DRAIN).await;
    // The queues had taken everything; what became of it is the destination's to say.
    assert_eq!((account.received, account.refused), (50, 0));
    assert_eq!(account.totals().accepted, 50);
    assert_eq!(account.totals().sent, 10);
}

#[tokio::test]
async fn queues_batch_without_a_processor() {
    let sink = GrpcSink::default();
    let address = sink.serve().await;
    let more = "sending_queue: {batch: {flush_timeout: 100ms, min_size: 100}}";
    let text = grpc_exporter(address, more)
        .replace("processors: [batch], ", "")
        .replace("  batch: {timeout: 10ms}\n", "");
    let collector = Collector::start(&text).await;
    for start in (0..100).step_by(10) {
        send(&collector, start..start + 10).await;
    }
    collector.stop(DRAIN).await;
    assert_eq!(distinct_ids(&sink.spans()), all(0..100));
    assert!(sink.calls() < 10, "{}", sink.calls());
}

#[tokio::test]
async fn files_hold_json_that_can_be_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.jsonl");
    std::fs::write(&path, "before\n").unwrap();
    let exporter = format!("  file:\n    path: {}\n    append: true", path.display());
    let collector = Collector::start(&sections(&exporter, "file")).await;
    send(&collector, 0..10).await;
    send(&collector, 10..20).await;
    let account = collector.stop(DRAIN).await;
    assert_eq!(account.totals().sent, 20);
    let text = std::fs::read_to_string(&path).unwrap();
    let (first, lines) = text.split_once('\n').unwrap();
    assert_eq!(first, "before");
    let arrived: Vec<_> = lines
        .lines()
        .map(|line| json::request_to_protobuf(Signal::Traces, line.as_bytes()).unwrap())
        .flat_map(|bytes| spans(&ExportTraceServiceRequest::decode(&*bytes).unwrap()))
        .collect();
    assert_eq!(distinct_ids(&arrived), all(0..20));
    assert_eq!(arrived, spans(&traces(0..20)));
}

#[tokio::test]
async fn the_metrics_balance_at_any_time() {
    let sink = GrpcSink::default();
    let address = sink.serve().await;
    let collector = Collector::start(&grpc_exporter(address, "")).await;
    let labels = "exporter=\"otlp_grpc\",signal=\"traces\"";
    for start in (0..500).step_by(50) {
        send(&collector, start..start + 50).await;
        let text = collector.metrics().await;
        let read = |name: &str| -> f64 {
            let lines = text.lines().filter(|line| {
                line.starts_with(&format!("spanmesh_account_{name}_items{{{labels}"))
            });
            lines
                .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
                .sum()
        };
        let accepted = read("accepted");
        assert!(accepted >= (start + 50) as f64);
        let sum = read("sent") + read("sampled_out") + read("dropped") + read("queued");
        assert_eq!(accepted, sum);
    }
    eventually("all have arrived", async || sink.spans().len() == 500).await;
    eventually("the account is settled", async || {
        collector.account().totals().queued == 0
    })
    .await;
    for (name, expected) in [("accepted", 500.0), ("sent", 500.0), ("queued", 0.0)] {
        let series = format!("spanmesh_account_{name}_items{{{labels}}}");
        assert_eq!(collector.metric(&series).await, expected, "{name}");
    }
    collector.stop(DRAIN).await;
}
