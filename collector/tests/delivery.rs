//! What back ends get: every span as it was sent, in each encoding and compression, in batches by
//! size and by time. Spans are followed by their ids.

mod support;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use spanmesh_otlp::{Signal, json};
use support::pipeline::{all, grpc_exporter, http_exporter, sections, send};
use support::sink::{GrpcSink, HttpSink};
use support::telemetry::{distinct_ids, spans, traces};
use support::{Collector, DRAIN, eventually};

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
        .replace("{timeout: 10ms}", "{send_batch_size: 100, timeout: 1s}");
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
async fn queues_batch_without_a_processor() {
    let sink = GrpcSink::default();
    let address = sink.serve().await;
    let more = "sending_queue: {batch: {flush_timeout: 1s, min_size: 100}}";
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
