//! Back ends that fail: what is sent again and when, and what is dropped and counted.

mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use spanmesh_collector::pipeline::DropReason;
use spanmesh_otlp::status;
use support::pipeline::{all, grpc_exporter, http_exporter, send};
use support::sink::{GrpcSink, HttpSink};
use support::telemetry::distinct_ids;
use support::{ClosedPort, Collector, DRAIN, eventually};
use tonic::Code;

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
        "max_interval: 50ms, max_elapsed_time: 3s",
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
async fn what_waits_is_delivered_when_the_back_end_comes_back() {
    let closed = ClosedPort::new();
    let collector = Collector::start(&grpc_exporter(closed.address(), "")).await;
    for start in (0..500).step_by(50) {
        send(&collector, start..start + 50).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(collector.account().totals().queued, 500);
    let sink = GrpcSink::default();
    sink.serve_on(closed.open());
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
            "initial_interval: 1h, max_interval: 1h, max_elapsed_time: 0",
        );
    let collector = Collector::start(&text).await;
    for start in (0..30).step_by(10) {
        send(&collector, start..start + 10).await;
    }
    eventually("all have failed once", async || sink.calls() == 3).await;
    // Not before the answers have been read.
    tokio::time::sleep(Duration::from_secs(1)).await;
    send(&collector, 30..40).await;
    eventually("all have arrived", async || sink.spans().len() == 40).await;
    collector.stop(DRAIN).await;
    assert_eq!(distinct_ids(&sink.spans()), all(0..40));
}
