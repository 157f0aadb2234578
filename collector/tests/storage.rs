//! Queues on disk: what is acknowledged is delivered, by whichever process. Spans are followed by
//! their ids.

mod support;

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use spanmesh_collector::pipeline::{DropReason, Totals};
use spanmesh_collector::service::FinalAccount;
use support::sink::GrpcSink;
use support::telemetry::{distinct_ids, traces};
use support::{Collector, DRAIN, Failure, assert_settled, eventually};

/// A port that nobody listens on.
const NOWHERE: &str = "127.0.0.1:9";

/// A pipeline whose queue is in `directory`; `storage` and `exporter` are further options.
fn sections(directory: &Path, endpoint: &str, storage: &str, exporter: &str) -> String {
    let directory = directory.display();
    format!(
        "
exporters:
  otlp_grpc:
    endpoint: {endpoint}
    tls: {{insecure: true}}
    timeout: 1m
    retry_on_failure: {{initial_interval: 10ms, max_interval: 50ms}}
    sending_queue: {{storage: file_storage, num_consumers: 1}}
{exporter}
extensions:
  file_storage:
    directory: {directory}
{storage}
service:
  {{metrics}}
  extensions: [file_storage]
  pipelines:
    traces: {{receivers: [otlp], exporters: [{}]}}
",
        match exporter {
            "" => "otlp_grpc",
            _ => "otlp_grpc, nop",
        }
    )
}

async fn start(directory: &Path, endpoint: &str) -> Collector {
    Collector::start(&sections(directory, endpoint, "", "")).await
}

async fn send(collector: &Collector, ids: std::ops::Range<u64>) {
    collector.post_traces(traces(ids).encode_to_vec()).await;
}

async fn post(collector: &Collector, ids: std::ops::Range<u64>) -> support::Answer {
    let headers = [("content-type", "application/x-protobuf")];
    let body = traces(ids).encode_to_vec();
    collector.post("/v1/traces", &headers, body).await
}

/// Stops a collector whose destination may be down.
async fn stop(collector: Collector) -> Totals {
    let account = collector.stop_anyhow(DRAIN).await;
    assert_settled(&account);
    account.totals()
}

fn totals(account: &FinalAccount, exporter: &str) -> Totals {
    let found = account.destinations.iter().find(|(id, ..)| id == exporter);
    found.unwrap().2.clone()
}

fn segments(directory: &Path) -> Vec<PathBuf> {
    let folder = directory.join("exporter_otlp_grpc_traces");
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "segment"))
        .collect();
    found.sort();
    found
}

fn all(ids: std::ops::Range<u64>) -> BTreeSet<u64> {
    ids.collect()
}

#[tokio::test]
async fn what_could_not_be_delivered_is_delivered_by_the_next_process_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let collector = start(folder.path(), NOWHERE).await;
    for first in (0..200).step_by(10) {
        send(&collector, first..first + 10).await;
    }
    let totals = stop(collector).await;
    assert_eq!((totals.accepted, totals.sent, totals.queued), (200, 0, 200));
    assert_eq!(totals.dropped, []);

    // Also twice.
    let totals = stop(start(folder.path(), NOWHERE).await).await;
    assert_eq!(
        (totals.accepted, totals.recovered, totals.queued),
        (0, 200, 200)
    );

    let sink = GrpcSink::default();
    let address = sink.serve().await.to_string();
    let collector = start(folder.path(), &address).await;
    send(&collector, 200..210).await;
    eventually("all have arrived", async || sink.spans().len() == 210).await;
    let arrived = sink.spans();
    assert!(arrived.is_sorted_by_key(|span| span.span_id.clone()));
    assert_eq!(distinct_ids(&arrived), all(0..210));
    let totals = stop(collector).await;
    assert_eq!((totals.accepted, totals.recovered), (10, 200));
    assert_eq!((totals.sent, totals.queued), (210, 0));
    // What is delivered takes up nothing, and is not delivered again.
    assert_eq!(segments(folder.path()), [] as [PathBuf; 0]);
    let totals = stop(start(folder.path(), &address).await).await;
    assert_eq!(totals, Totals::default());
}

#[tokio::test]
async fn shutting_down_does_not_wait_for_a_destination_that_is_down() {
    let folder = tempfile::tempdir().unwrap();
    let collector = start(folder.path(), NOWHERE).await;
    send(&collector, 0..10).await;
    // Without a storage this waits for as long as it may.
    let stopped = tokio::time::timeout(DRAIN, collector.stop_anyhow(Duration::from_secs(3600)));
    assert_eq!(stopped.await.unwrap().totals().queued, 10);
}

#[tokio::test]
async fn a_damaged_record_costs_itself_and_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let collector = start(folder.path(), NOWHERE).await;
    for first in (0..50).step_by(10) {
        send(&collector, first..first + 10).await;
    }
    stop(collector).await;
    let path = &segments(folder.path())[0];
    let file = OpenOptions::new().write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    file.write_all_at(&[0xff; 8], length / 2).unwrap();

    let sink = GrpcSink::default();
    let address = sink.serve().await.to_string();
    let collector = start(folder.path(), &address).await;
    eventually("the others have arrived", async || sink.spans().len() == 40).await;
    let totals = stop(collector).await;
    assert_eq!((totals.recovered, totals.sent), (50, 40));
    assert_eq!(totals.dropped, [(DropReason::StorageCorrupt, 10)]);
    assert_eq!(distinct_ids(&sink.spans()), &all(0..20) | &all(30..50));
}

#[tokio::test]
async fn a_torn_end_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let collector = start(folder.path(), NOWHERE).await;
    send(&collector, 0..10).await;
    send(&collector, 10..20).await;
    stop(collector).await;
    let path = &segments(folder.path())[0];
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() - 3).unwrap();

    let sink = GrpcSink::default();
    let address = sink.serve().await.to_string();
    let collector = start(folder.path(), &address).await;
    send(&collector, 20..30).await;
    eventually("the others have arrived", async || sink.spans().len() == 20).await;
    stop(collector).await;
    assert_eq!(distinct_ids(&sink.spans()), &all(0..10) | &all(20..30));
}

#[tokio::test]
async fn a_full_storage_refuses_with_a_hint_and_keeps_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let text = sections(folder.path(), NOWHERE, "    max_size: 20KiB", "");
    let text = text.replace("num_consumers: 1", "num_consumers: 1, queue_size: 1000000");
    let collector = Collector::start(&text).await;
    let mut acknowledged = BTreeSet::new();
    let mut refused = 0;
    for first in (0..1000).step_by(10) {
        let answer = post(&collector, first..first + 10).await;
        if answer.status == 200 {
            acknowledged.extend(first..first + 10);
        } else {
            assert_eq!(answer.status, 503);
            assert!(answer.headers.contains_key("retry-after"));
            refused += 10;
        }
    }
    assert!(refused > 0 && !acknowledged.is_empty());
    let size = "spanmesh_storage_size_bytes{exporter=\"otlp_grpc\",signal=\"traces\"}";
    assert!(collector.metric(size).await <= f64::from(20 << 10));
    let account = collector.stop_anyhow(DRAIN).await;
    assert_settled(&account);
    assert_eq!(account.refused, refused);
    assert_eq!(account.totals().accepted, acknowledged.len() as u64);

    let sink = GrpcSink::default();
    let address = sink.serve().await.to_string();
    let text = sections(folder.path(), &address, "    max_size: 20KiB", "");
    let collector = Collector::start(&text).await;
    let expected = acknowledged.len();
    eventually("all have arrived", async || sink.spans().len() == expected).await;
    eventually("this is known", async || {
        collector.account().totals().queued == 0
    })
    .await;
    // There is room again.
    send(&collector, 1000..1010).await;
    stop(collector).await;
    acknowledged.extend(1000..1010);
    assert_eq!(distinct_ids(&sink.spans()), acknowledged);
}

#[tokio::test]
async fn a_storage_that_fails_does_not_stop_the_other_destinations() {
    let folder = tempfile::tempdir().unwrap();
    let text = sections(folder.path(), NOWHERE, "    max_size: 10KiB", "  nop: {}");
    let text = text.replace("num_consumers: 1", "num_consumers: 1, queue_size: 1000000");
    let collector = Collector::start(&text).await;
    for first in (0..200).step_by(10) {
        send(&collector, first..first + 10).await;
    }
    let account = collector.stop_anyhow(DRAIN).await;
    assert_settled(&account);
    let (stored, other) = (totals(&account, "otlp_grpc"), totals(&account, "nop"));
    assert_eq!((other.accepted, other.sent), (200, 200));
    assert_eq!(stored.accepted, 200);
    let failed = stored.dropped_for(DropReason::StorageFailed);
    assert!(failed > 0 && stored.queued == 200 - failed, "{stored:?}");
}

#[tokio::test]
async fn one_process_at_a_time_has_a_queue() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(folder.path(), NOWHERE).await;
    let text = sections(folder.path(), NOWHERE, "    timeout: 50ms", "");
    let Err(Failure(message)) = Collector::try_start(&text).await else {
        panic!("two collectors have the same queue")
    };
    assert!(
        message.contains("exporter \"otlp_grpc\": storage: "),
        "{message}"
    );
    assert!(message.ends_with("is used by another process"), "{message}");
    send(&first, 0..10).await;
    assert_eq!(stop(first).await.queued, 10);
}

#[tokio::test]
async fn what_is_refused_for_good_leaves_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let sink = GrpcSink::with_script([
        Err(tonic::Status::invalid_argument("no")),
        Err(tonic::Status::unavailable("later")),
        Ok(ExportTraceServiceResponse::default()),
    ]);
    let address: SocketAddr = sink.serve().await;
    let collector = start(folder.path(), &address.to_string()).await;
    send(&collector, 0..10).await;
    send(&collector, 10..20).await;
    eventually("the second was taken", async || sink.spans().len() == 10).await;
    let totals = stop(collector).await;
    assert_eq!((totals.accepted, totals.sent), (20, 10));
    assert_eq!(totals.dropped, [(DropReason::Refused, 10)]);
    assert_eq!(segments(folder.path()), [] as [PathBuf; 0]);
}
