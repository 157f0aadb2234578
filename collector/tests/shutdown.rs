//! Stopping: what waits is delivered while there is time, what cannot be is counted, and nothing that
//! was acknowledged is lost.

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use prost::Message;
use spanmesh_collector::pipeline::DropReason;
use support::pipeline::{all, grpc_exporter, send};
use support::sink::GrpcSink;
use support::telemetry::{distinct_ids, traces};
use support::{Collector, DRAIN, eventually, within};

#[tokio::test]
async fn stopping_delivers_what_waits_for_a_batch_and_what_waits_for_a_retry() {
    let sink = GrpcSink::with_script([Err(tonic::Status::unavailable("not yet"))]);
    let address = sink.serve().await;
    let text = grpc_exporter(address, "")
        .replace("{timeout: 10ms}", "{timeout: 1h}")
        .replace(
            "initial_interval: 10ms, max_interval: 50ms",
            "initial_interval: 1h, max_interval: 1h, max_elapsed_time: 0",
        );
    let collector = Collector::start(&text).await;
    send(&collector, 0..8192).await; // A whole batch: its first attempt fails.
    eventually("the attempt is made", async || sink.calls() == 1).await;
    send(&collector, 8192..8200).await; // A part of one.
    // What is tried no more before the time is over is dropped.
    let account = collector.stop(DRAIN).await;
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
    assert!(start.elapsed() < Duration::from_secs(60));
    assert_eq!(account.totals().dropped, [(DropReason::Shutdown, 25)]);
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
    eventually("something is acknowledged", async || {
        collector.account().received > 0
    })
    .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let account = collector.stop(DRAIN).await;
    let mut acknowledged = BTreeSet::new();
    for client in clients {
        acknowledged.extend(within("a client's end", client).await.unwrap());
    }
    assert!(!acknowledged.is_empty());
    let arrived = distinct_ids(&sink.spans());
    let lost = acknowledged.difference(&arrived).count();
    assert_eq!(lost, 0, "of {} acknowledged spans", acknowledged.len());
    assert_eq!(account.totals().sent, arrived.len() as u64);
}
