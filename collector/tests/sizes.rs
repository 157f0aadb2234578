//! How large requests to back ends get: batches have their limits, and what is refused for its size is
//! sent in parts.

mod support;

use http::Response;
use http_body_util::Full;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use spanmesh_collector::pipeline::DropReason;
use spanmesh_otlp::status;
use support::pipeline::{all, grpc_exporter, http_exporter, send};
use support::sink::{GrpcSink, HttpSink};
use support::telemetry::{distinct_ids, spans, traces};
use support::{Collector, DRAIN, eventually};

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
