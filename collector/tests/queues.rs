//! What clients hear when queues are full, dead, or not there, and the account while it all goes on.

mod support;

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message;
use spanmesh_collector::pipeline::DropReason;
use spanmesh_otlp::status;
use support::pipeline::{all, grpc_exporter, sections, send};
use support::sink::GrpcSink;
use support::telemetry::{distinct_ids, spans, traces};
use support::{ClosedPort, Collector, DRAIN, eventually, within};
use tonic::Code;

#[tokio::test]
async fn a_dead_back_end_does_not_stop_the_others() {
    let sink = GrpcSink::default();
    let address = sink.serve().await;
    let dead = ClosedPort::new();
    let dead_address = dead.address();
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
    let held = "spanmesh_memory_budget_used_bytes";
    let before = collector.metric(held).await;
    let url = format!("http://{}/v1/traces", collector.address("otlp", "http"));
    let waiting = tokio::spawn(async move {
        let headers = [("content-type", "application/x-protobuf")];
        support::request("POST", &url, &headers, traces(10..20).encode_to_vec()).await
    });
    eventually("the second request is there", async || {
        collector.metric(held).await > before
    })
    .await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    let account = collector.stop(Duration::from_millis(100)).await;
    let answer = within("an answer", waiting).await.unwrap();
    assert_eq!(answer.status, 503);
    assert_eq!((account.received, account.refused), (10, 10));
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

/// A receiver that knows the headers of its clients, and batches by one of them.
fn by_tenant(address: std::net::SocketAddr, batch: &str) -> (String, String) {
    let receiver = support::RECEIVER.replace("http: {", "http: {include_metadata: true, ");
    let sections = grpc_exporter(address, "").replace("{timeout: 10ms}", batch);
    (receiver, sections)
}

async fn send_as(
    collector: &Collector,
    tenant: &str,
    ids: std::ops::Range<u64>,
) -> support::Answer {
    let headers = [
        ("content-type", "application/x-protobuf"),
        ("x-tenant", tenant),
    ];
    let body = traces(ids).encode_to_vec();
    collector.post("/v1/traces", &headers, body).await
}

#[tokio::test]
async fn batches_of_different_clients_do_not_mix() {
    let sink = GrpcSink::default();
    let batch = "{timeout: 1h, send_batch_size: 20, metadata_keys: [X-Tenant]}";
    let (receiver, sections) = by_tenant(sink.serve().await, batch);
    let collector = Collector::start_with(&receiver, &sections).await;
    for (tenant, ids) in [
        ("a", 0..10),
        ("b", 100..110),
        ("a", 10..20),
        ("b", 110..120),
    ] {
        assert_eq!(send_as(&collector, tenant, ids).await.status, 200);
    }
    eventually("both batches are full", async || sink.spans().len() == 40).await;
    let requests = sink.requests();
    let batches = requests.iter().map(|request| distinct_ids(&spans(request)));
    let mut batches: Vec<_> = batches.collect();
    batches.sort();
    assert_eq!(batches, [all(0..20), all(100..120)]);
    for (name, value) in [
        ("batch_size_trigger_send", 2.0),
        ("timeout_trigger_send", 0.0),
        ("batch_send_size_count", 2.0),
        ("batch_send_size_sum", 40.0),
        ("batch_send_size_bytes_count", 2.0),
    ] {
        let series = format!("otelcol_processor_batch_{name}{{processor=\"batch\"}}");
        assert_eq!(collector.metric(&series).await, value, "{name}");
    }
    let size = "otelcol_processor_batch_batch_send_size_bucket{processor=\"batch\",le=\"25\"}";
    assert_eq!(collector.metric(size).await, 2.0);
    let account = collector.stop(DRAIN).await;
    assert_eq!(account.totals().sent, 40);
}

#[tokio::test]
async fn clients_beyond_the_limit_of_groups_come_back_later() {
    let sink = GrpcSink::default();
    let batch = "{timeout: 1h, send_batch_size: 20, metadata_keys: [x-tenant], \
                 metadata_cardinality_limit: 1}";
    let (receiver, sections) = by_tenant(sink.serve().await, batch);
    let collector = Collector::start_with(&receiver, &sections).await;
    assert_eq!(send_as(&collector, "a", 0..10).await.status, 200);
    let refused = send_as(&collector, "b", 100..110).await;
    assert_eq!(refused.status, 503);
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(send_as(&collector, "a", 10..20).await.status, 200);
    // Nothing waits for the first one any more, so there is a place for the other one.
    eventually("the batch is sent", async || sink.spans().len() == 20).await;
    assert_eq!(send_as(&collector, "b", 100..110).await.status, 200);
    let account = collector.stop(DRAIN).await;
    assert_eq!((account.totals().sent, account.refused), (30, 10));
}
