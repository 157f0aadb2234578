//! A new configuration in a running collector: what is in flight, what waits, and the ports.

mod support;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message;
use support::sink::GrpcSink;
use support::telemetry::{distinct_ids, traces};
use support::{
    ClosedPort, Collector, DRAIN, assert_balanced, eventually, try_post, was_not_sent, within,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::{Code, Status};

/// A traces pipeline with `batch` to a gRPC exporter for each of these names and addresses.
fn sections(timeout: &str, exporters: &[(&str, SocketAddr)]) -> String {
    let mut text = format!("processors:\n  batch: {{timeout: {timeout}}}\nexporters:\n");
    for (name, address) in exporters {
        text.push_str(&format!(
            "  otlp_grpc/{name}:\n    endpoint: {address}\n    tls: {{insecure: true}}\n    \
             timeout: 1m\n    retry_on_failure: {{initial_interval: 10ms, max_interval: 50ms}}\n"
        ));
    }
    let names: Vec<String> = exporters
        .iter()
        .map(|(name, _)| format!("otlp_grpc/{name}"))
        .collect();
    text.push_str(&format!(
        "service:\n  {{metrics}}\n  pipelines:\n    traces: {{receivers: [otlp], processors: \
         [batch], exporters: [{}]}}\n",
        names.join(", ")
    ));
    text
}

/// The same for one exporter with its queue on disk.
fn stored(folder: &std::path::Path, address: SocketAddr) -> String {
    let storage = format!(
        "extensions:\n  file_storage: {{directory: '{}'}}\n",
        folder.display()
    );
    let text = sections("1ms", &[("x", address)])
        .replace(
            "    retry_on_failure",
            "    sending_queue: {storage: file_storage}\n    retry_on_failure",
        )
        .replace("service:\n", "service:\n  extensions: [file_storage]\n");
    storage + &text
}

/// Ten spans by the number of their request.
fn ids(request: u64) -> std::ops::Range<u64> {
    request * 10..request * 10 + 10
}

/// [`support::RECEIVER`], and beside it a receiver that another configuration does not have.
fn receivers() -> String {
    let old = "  otlp/old: {protocols: {http: {endpoint: 'localhost:0'}}}\n";
    support::RECEIVER.to_owned() + old
}

/// Sections in which both of these feed the pipeline.
fn fed_by_both(sections: &str) -> String {
    sections.replace("receivers: [otlp]", "receivers: [otlp, otlp/old]")
}

/// A request of which the head is there.
struct Begun {
    stream: TcpStream,
    body: Vec<u8>,
}

impl Begun {
    /// Begins a request; returns when the collector waits for its body.
    async fn new(address: SocketAddr, request: u64) -> Self {
        let body = traces(ids(request)).encode_to_vec();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST /v1/traces HTTP/1.1\r\nhost: collector\r\nexpect: 100-continue\r\nconnection: \
             close\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 25];
        let read = within(
            "the collector asks for the body",
            stream.read_exact(&mut answer),
        );
        read.await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
        Self { stream, body }
    }

    /// Sends the body; what became of the spans according to the answer.
    async fn finish(mut self, request: u64) -> BTreeSet<u64> {
        self.stream.write_all(&self.body).await.unwrap();
        let mut answer = Vec::new();
        let read = within("the answer", self.stream.read_to_end(&mut answer));
        read.await.unwrap();
        match &answer[..12] {
            b"HTTP/1.1 200" => ids(request).collect(),
            b"HTTP/1.1 503" => BTreeSet::new(),
            _ => panic!("{}", String::from_utf8_lossy(&answer)),
        }
    }
}

/// How long a server that leaves its port to another one waits for the first request of a connection.
const LINGER: Duration = Duration::from_secs(1);

/// Whether OTLP allows to send a request again.
fn may_be_sent_again(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Cancelled) || was_not_sent(status)
}

/// Sends over one gRPC connection until told to stop, but something, each request again until it is
/// taken. Any other failure than one that `allows` for that is the test's.
async fn export(
    endpoint: String,
    first: u64,
    stop: Arc<AtomicBool>,
    allows: fn(&Status) -> bool,
) -> BTreeSet<u64> {
    let mut client = TraceServiceClient::connect(endpoint).await.unwrap();
    let mut taken = BTreeSet::new();
    let mut request = first;
    while !stop.load(Ordering::Relaxed) || taken.is_empty() {
        match client.export(traces(ids(request))).await {
            Ok(_) => {
                taken.extend(ids(request));
                request += 1;
            }
            Err(status) => assert!(allows(&status), "{status:?}"),
        }
    }
    taken
}

/// The same over one HTTP connection, which may not be closed.
async fn post_on(address: SocketAddr, first: u64, stop: Arc<AtomicBool>) -> BTreeSet<u64> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut taken = BTreeSet::new();
    let mut request = first;
    while !stop.load(Ordering::Relaxed) || taken.is_empty() {
        let body = traces(ids(request)).encode_to_vec();
        let post = Request::post("/v1/traces")
            .header("host", "collector")
            .header("content-type", "application/x-protobuf")
            .body(Full::<Bytes>::new(body.into()))
            .unwrap();
        sender.ready().await.expect("the connection was closed");
        let answer = sender.send_request(post).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer.into_body().collect().await.unwrap();
        taken.extend(ids(request));
        request += 1;
    }
    taken
}

/// The same, each request over a connection of its own, none of which may be refused, unless the test
/// itself was so slow to use it that the server had left.
async fn post(url: String, first: u64, stop: Arc<AtomicBool>) -> BTreeSet<u64> {
    let mut taken = BTreeSet::new();
    let mut request = first;
    while !stop.load(Ordering::Relaxed) || taken.is_empty() {
        let began = Instant::now();
        match try_post(&url, traces(ids(request)).encode_to_vec()).await {
            Some(200) => {
                taken.extend(ids(request));
                request += 1;
            }
            Some(status) => assert_eq!(status, 503),
            None => assert!(
                began.elapsed() >= LINGER,
                "the connection was refused or broken off"
            ),
        }
    }
    taken
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_what_is_behind_the_receiver_changes() {
    let (first, second) = (GrpcSink::default(), GrpcSink::default());
    let (to_first, to_second) = (first.serve().await, second.serve().await);
    let mut collector = Collector::start(&sections("5ms", &[("a", to_first)])).await;
    let addresses = (
        collector.address("otlp", "grpc"),
        collector.address("otlp", "http"),
    );
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for client in 0..4 {
        let first = client * 1_000_000;
        clients.spawn(export(collector.grpc(), first, stop.clone(), |_| false));
    }
    for client in 4..6 {
        clients.spawn(post_on(addresses.1, client * 1_000_000, stop.clone()));
    }
    let url = format!("http://{}/v1/traces", addresses.1);
    clients.spawn(post(url, 6_000_000, stop.clone()));
    // The batches change, the destination changes, it moves, another one comes and goes.
    for (timeout, exporters) in [
        ("1ms", vec![("a", to_first)]),
        ("1ms", vec![("a", to_second)]),
        ("10ms", vec![("b", to_second)]),
        ("10ms", vec![("a", to_first), ("c", to_second)]),
        ("5ms", vec![("a", to_first)]),
    ] {
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(collector.reload(&sections(timeout, &exporters)).await);
        let now = (
            collector.address("otlp", "grpc"),
            collector.address("otlp", "http"),
        );
        assert_eq!(now, addresses);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    stop.store(true, Ordering::Relaxed);
    let mut taken = BTreeSet::new();
    while let Some(client) = within("the clients' end", clients.join_next()).await {
        let client = client.unwrap();
        assert!(!client.is_empty());
        taken.extend(client);
    }
    let account = collector.stop(DRAIN).await;
    let mut arrived: BTreeSet<u64> = distinct_ids(&first.spans());
    arrived.extend(distinct_ids(&second.spans()));
    assert_eq!(arrived, taken);
    assert_eq!(account.received, taken.len() as u64);
    assert_eq!(account.totals().dropped_total(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_a_queue_on_disk_is_handed_over() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (GrpcSink::default(), GrpcSink::default());
    let (to_first, to_second) = (first.serve().await, second.serve().await);
    let mut collector = Collector::start(&stored(folder.path(), to_first)).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for client in 0..2 {
        let first = client * 1_000_000;
        clients.spawn(export(collector.grpc(), first, stop.clone(), |_| false));
    }
    let http = collector.address("otlp", "http");
    clients.spawn(post_on(http, 2_000_000, stop.clone()));
    for address in [to_second, to_first, to_second] {
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(collector.reload(&stored(folder.path(), address)).await);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    stop.store(true, Ordering::Relaxed);
    let taken = within("the clients' end", clients.join_all()).await;
    let taken: BTreeSet<u64> = taken.into_iter().flatten().collect();
    let account = collector.stop(DRAIN).await;
    let mut arrived: BTreeSet<u64> = distinct_ids(&first.spans());
    arrived.extend(distinct_ids(&second.spans()));
    assert_eq!(arrived, taken);
    assert_eq!(account.received, taken.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_while_the_receiver_itself_changes() {
    let sink = GrpcSink::default();
    let sections = sections("5ms", &[("a", sink.serve().await)]);
    let mut collector = Collector::start(&sections).await;
    let http = collector.address("otlp", "http");
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for client in 0..2 {
        let first = client * 1_000_000;
        let endpoint = collector.grpc();
        clients.spawn(export(endpoint, first, stop.clone(), may_be_sent_again));
    }
    let url = format!("http://{http}/v1/traces");
    clients.spawn(post(url, 2_000_000, stop.clone()));
    for mebibytes in [10, 20, 30] {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let option = format!("grpc: {{max_recv_msg_size_mib: {mebibytes}, ");
        let receiver = support::RECEIVER.replace("grpc: {", &option);
        assert!(collector.reload_with(&receiver, &sections).await);
        assert_eq!(collector.address("otlp", "http"), http);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    stop.store(true, Ordering::Relaxed);
    let taken = within("the clients' end", clients.join_all()).await;
    let taken: BTreeSet<u64> = taken.into_iter().flatten().collect();
    let account = collector.stop(DRAIN).await;
    assert_eq!(distinct_ids(&sink.spans()), taken);
    assert_eq!(account.received, taken.len() as u64);
}

#[tokio::test]
async fn a_stop_soon_after_a_reload_loses_nothing_that_is_acknowledged_meanwhile() {
    let sink = GrpcSink::default();
    let sections = sections("1ms", &[("a", sink.serve().await)]);
    let mut collector = Collector::start_with(&receivers(), &fed_by_both(&sections)).await;
    let late = Begun::new(collector.address("otlp/old", "http"), 0).await;
    assert!(collector.reload(&sections).await);
    let stopping = tokio::spawn(collector.stop_anyhow(DRAIN));
    // Enough for the consumers of what runs to end.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let taken = late.finish(0).await;
    let account = within("it has stopped", stopping).await.unwrap();
    assert_eq!(distinct_ids(&sink.spans()), taken);
    assert_eq!(account.received, taken.len() as u64);
    assert_balanced(&account);
}

#[tokio::test]
async fn two_reloads_in_a_row_lose_nothing_that_is_acknowledged_meanwhile() {
    let (first, second) = (GrpcSink::default(), GrpcSink::default());
    let before = sections("1ms", &[("a", first.serve().await)]);
    let after = sections("1ms", &[("a", second.serve().await)]);
    let mut collector = Collector::start_with(&receivers(), &fed_by_both(&before)).await;
    let late = Begun::new(collector.address("otlp/old", "http"), 0).await;
    assert!(collector.reload(&before).await);
    assert!(collector.reload(&after).await);
    // Enough for the consumers of the former destination to end.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let taken = late.finish(0).await;
    let account = collector.stop_anyhow(DRAIN).await;
    let mut arrived = distinct_ids(&first.spans());
    arrived.extend(distinct_ids(&second.spans()));
    assert_eq!(arrived, taken);
    assert_eq!(account.received, taken.len() as u64);
    assert_balanced(&account);
}

#[tokio::test]
async fn what_waits_for_a_destination_that_is_taken_out_is_still_delivered() {
    let sink = GrpcSink::default();
    let closed = ClosedPort::new();
    let down = closed.address();
    let mut collector = Collector::start(&sections("1ms", &[("down", down)])).await;
    collector.post_traces(traces(0..50).encode_to_vec()).await;
    let other = sink.serve().await;
    assert!(collector.reload(&sections("1ms", &[("up", other)])).await);
    collector.post_traces(traces(50..60).encode_to_vec()).await;
    eventually("the new destination delivers", async || {
        collector.account().totals().sent == 10
    })
    .await;
    assert_eq!(sink.spans().len(), 10);
    assert_eq!(collector.account().totals().queued, 50);
    let queued = "spanmesh_account_queued_items{exporter=\"otlp_grpc/down\",signal=\"traces\"}";
    assert_eq!(collector.metric(queued).await, 50.0);

    let late = GrpcSink::default();
    late.serve_on(closed.open());
    eventually("the former destination has everything", async || {
        late.spans().len() == 50
    })
    .await;
    // Nobody hears that it fails when it is no more.
    eventually("its gauges are gone", async || {
        let metrics = collector.metrics().await;
        !metrics.contains("spanmesh_exporter_failing{exporter=\"otlp_grpc/down\"}")
    })
    .await;
    let account = collector.stop(DRAIN).await;
    assert_eq!((account.received, account.totals().sent), (60, 60));
}

#[tokio::test]
async fn what_waits_for_a_destination_that_stays_or_moves_is_delivered() {
    let sink = GrpcSink::default();
    let closed = ClosedPort::new();
    let down = closed.address();
    let mut collector = Collector::start(&sections("1ms", &[("x", down)])).await;
    collector.post_traces(traces(0..50).encode_to_vec()).await;
    // It stays, and its queue with it.
    assert!(collector.reload(&sections("2ms", &[("x", down)])).await);
    collector.post_traces(traces(50..60).encode_to_vec()).await;
    // It moves: what was taken for the former place goes there.
    let moved = sink.serve().await;
    assert!(collector.reload(&sections("2ms", &[("x", moved)])).await);
    collector.post_traces(traces(60..70).encode_to_vec()).await;
    eventually("the new place has what is new", async || {
        sink.spans().len() == 10
    })
    .await;
    let sent = "spanmesh_account_sent_items{exporter=\"otlp_grpc/x\",signal=\"traces\"}";
    let accepted = "spanmesh_account_accepted_items{exporter=\"otlp_grpc/x\",signal=\"traces\"}";
    eventually("the account goes on", async || {
        collector.metric(sent).await == 10.0
    })
    .await;
    assert_eq!(collector.metric(accepted).await, 70.0);
    // The process ends before the former place is back.
    let account = collector.stop(Duration::from_millis(100)).await;
    assert_eq!(account.totals().accepted, 70);
    assert_eq!(account.totals().dropped_total(), 60);
}

#[tokio::test]
async fn a_configuration_that_cannot_start_changes_nothing() {
    let sink = GrpcSink::default();
    let address = sink.serve().await;
    let right = sections("1ms", &[("x", address)]);
    let mut collector = Collector::start(&right).await;
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let receiver = format!(
        "receivers:\n  otlp:\n    protocols:\n      grpc: {{endpoint: '{}'}}\n",
        taken.local_addr().unwrap()
    );
    let other = sections("2ms", &[("y", address)]);
    assert!(!collector.reload_with(&receiver, &other).await);
    assert!(
        !collector
            .reload(&right.replace("endpoint", "endpont"))
            .await
    );
    // It is a folder, which only the attempt to open it tells.
    let nowhere = right
        .replace("exporters:\n", "exporters:\n  file: {path: /}\n")
        .replace("[otlp_grpc/x]", "[otlp_grpc/x, file]");
    assert!(!collector.reload(&nowhere).await);
    collector.post_traces(traces(0..10).encode_to_vec()).await;
    let failed = "spanmesh_config_reloads{result=\"failure\"}";
    assert_eq!(collector.metric(failed).await, 3.0);
    assert_eq!(
        collector
            .metric("spanmesh_config_last_reload_successful")
            .await,
        0.0
    );
    assert!(collector.reload(&right).await);
    assert_eq!(
        collector
            .metric("spanmesh_config_last_reload_successful")
            .await,
        1.0
    );
    let account = collector.stop(DRAIN).await;
    assert_eq!(account.totals().sent, 10);
}

#[tokio::test]
async fn ports_that_are_not_there_any_more_are_closed_and_new_ones_open() {
    let sink = GrpcSink::default();
    let address = sink.serve().await;
    let sections = sections("1ms", &[("x", address)]);
    let mut collector = Collector::start(&sections).await;
    let grpc = collector.address("otlp", "grpc");
    let http = collector.address("otlp", "http");
    let receiver = "receivers:\n  otlp:\n    protocols:\n      http: {endpoint: 'localhost:0'}\n";
    assert!(collector.reload_with(receiver, &sections).await);
    assert_eq!(collector.address("otlp", "http"), http);
    eventually("the port is closed", async || {
        TcpStream::connect(grpc).await.is_err()
    })
    .await;
    assert!(collector.reload(&sections).await);
    let again = collector.address("otlp", "grpc");
    assert!(TcpStream::connect(again).await.is_ok());
    // Another receiver takes the port of the first one over.
    let renamed = format!(
        "receivers:\n  otlp/renamed:\n    protocols:\n      http: {{endpoint: '{http}'}}\n"
    );
    let sections = sections.replace("[otlp]", "[otlp/renamed]");
    assert!(collector.reload_with(&renamed, &sections).await);
    assert_eq!(collector.address("otlp/renamed", "http"), http);
    let url = format!("http://{http}/v1/traces");
    let status = try_post(&url, traces(0..10).encode_to_vec()).await;
    assert_eq!(status, Some(200));
    let account = collector.stop(DRAIN).await;
    assert_eq!(account.totals().sent, 10);
}

#[tokio::test]
async fn what_waits_on_disk_goes_to_the_destination_as_it_is_configured_now() {
    let folder = tempfile::tempdir().unwrap();
    let closed = ClosedPort::new();
    let down = closed.address();
    let stored = |address| stored(folder.path(), address);
    let mut collector = Collector::start(&stored(down)).await;
    collector.post_traces(traces(0..50).encode_to_vec()).await;
    // The same again: the queue stays open.
    assert!(collector.reload(&stored(down)).await);
    collector.post_traces(traces(50..60).encode_to_vec()).await;
    let sink = GrpcSink::default();
    let up = sink.serve().await;
    assert!(collector.reload(&stored(up)).await);
    collector.post_traces(traces(60..70).encode_to_vec()).await;
    eventually("everything is delivered", async || sink.spans().len() == 70).await;
    assert_eq!(distinct_ids(&sink.spans()), (0..70).collect());
    let account = collector.stop(DRAIN).await;
    let totals = account.totals();
    assert_eq!((totals.accepted, totals.sent), (70, 70));
    assert_eq!((totals.recovered, totals.queued), (0, 0));
}

#[tokio::test]
async fn what_waits_on_disk_counts_once_though_its_exporter_was_taken_out_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let closed = ClosedPort::new();
    let down = closed.address();
    let sink = GrpcSink::default();
    let up = sink.serve().await;
    let mut collector = Collector::start(&stored(folder.path(), down)).await;
    collector.post_traces(traces(0..50).encode_to_vec()).await;
    assert!(collector.reload(&sections("1ms", &[("y", up)])).await);
    assert_eq!(collector.account().totals().queued, 50);
    // Its folder is free as soon as it has noticed that the destination is still away.
    eventually("it can be put back", async || {
        collector.reload(&stored(folder.path(), up)).await
    })
    .await;
    eventually("everything is delivered", async || sink.spans().len() == 50).await;
    let totals = collector.stop(DRAIN).await.totals();
    assert_eq!((totals.accepted, totals.recovered), (50, 0));
    assert_eq!((totals.sent, totals.queued), (50, 0));
}

#[tokio::test]
async fn what_had_started_for_a_refused_configuration_leaves_no_trace() {
    let (own, taken) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sink = GrpcSink::default();
    let address = sink.serve().await;
    // Another collector has the folder.
    let other = Collector::start(&stored(taken.path(), address)).await;
    let text = own.path().join("text.json");
    std::fs::write(&text, "kept").unwrap();
    let sections = |batch: &str, size: u64, storage: &std::path::Path| {
        format!(
            "
processors:
  {batch}: {{timeout: 1ms}}
extensions:
  file_storage/a: {{directory: '{own}', timeout: 10ms}}
  file_storage/b: {{directory: '{}', timeout: 10ms}}
exporters:
  nop:
  file: {{path: '{}'}}
  otlp_grpc/a:
    endpoint: {address}
    tls: {{insecure: true}}
    sending_queue: {{sizer: items, queue_size: {size}, storage: file_storage/a}}
  otlp_grpc/x:
    endpoint: {address}
    tls: {{insecure: true}}
    sending_queue: {{storage: file_storage/b}}
service:
  {{metrics}}
  extensions: [file_storage/a, file_storage/b]
  pipelines:
    traces: {{receivers: [otlp], processors: [{batch}], exporters: [nop, file, otlp_grpc/a, otlp_grpc/x]}}
",
            storage.display(),
            text.display(),
            own = own.path().display(),
        )
    };
    let right = sections("batch", 100, own.path());
    let small = right.replace("nop, file, otlp_grpc/a, otlp_grpc/x", "nop");
    let mut collector = Collector::start(&small).await;
    assert!(
        !collector
            .reload(&sections("batch/other", 200, taken.path()))
            .await
    );
    // What has started first had its queue open, and what comes later a file that it begins with.
    assert_eq!(std::fs::read_to_string(&text).unwrap(), "kept");
    let capacity = "otelcol_exporter_queue_capacity{exporter=\"otlp_grpc/a\"}";
    assert!(!collector.metrics().await.contains(capacity));
    collector.post_traces(traces(0..10).encode_to_vec()).await;
    let batches = |batch: &str| {
        format!("otelcol_processor_batch_batch_send_size_count{{processor=\"{batch}\"}}")
    };
    let (own_batches, others) = (batches("batch"), batches("batch/other"));
    eventually("the batch is counted by what runs", async || {
        let metrics = collector.metrics().await;
        metrics.contains(&format!("{own_batches} 1"))
    })
    .await;
    assert!(!collector.metrics().await.contains(&format!("{others} 1")));
    other.stop(DRAIN).await;
    assert!(
        collector
            .reload(&sections("batch/other", 300, own.path()))
            .await
    );
    assert_eq!(collector.metric(capacity).await, 300.0);
    collector.post_traces(traces(10..20).encode_to_vec()).await;
    eventually("the batch is counted by what runs", async || {
        let metrics = collector.metrics().await;
        !metrics.contains(&format!("{others} 0"))
    })
    .await;
    collector.stop(DRAIN).await;
}

#[tokio::test]
async fn destinations_that_stay_share_the_memory_with_those_that_come() {
    let sink = GrpcSink::default();
    let address = sink.serve().await;
    let mut collector = Collector::start(&sections("1ms", &[("x", address)])).await;
    let memory = "spanmesh_exporter_queue_memory_capacity_bytes{exporter=\"otlp_grpc/x\"}";
    let size = "otelcol_exporter_queue_capacity{exporter=\"otlp_grpc/x\"}";
    let whole = collector.metric(memory).await;
    let both = sections("1ms", &[("x", address), ("y", address)]);
    assert!(collector.reload(&both).await);
    let half = (whole / 2.0).floor();
    assert_eq!(collector.metric(memory).await, half);
    assert_eq!(collector.metric(size).await, half);
    collector.stop(DRAIN).await;
}

#[tokio::test]
async fn a_queue_on_disk_batches_as_a_pipeline_before_a_connector_says_now() {
    let folder = tempfile::tempdir().unwrap();
    let sink = GrpcSink::default();
    let address = sink.serve().await;
    let sections = |timeout: &str| {
        let text = stored(folder.path(), address).replace(
            "traces: {receivers: [otlp], processors: [batch], exporters: [otlp_grpc/x]}",
            "traces/in: {receivers: [otlp], processors: [batch], exporters: [forward]}\n    \
             traces/out: {receivers: [forward], exporters: [otlp_grpc/x]}\nconnectors: {forward: }",
        );
        text.replace("{timeout: 1ms}", &format!("{{timeout: {timeout}}}"))
    };
    let mut collector = Collector::start(&sections("1h")).await;
    collector.post_traces(traces(0..10).encode_to_vec()).await;
    assert!(collector.reload(&sections("1ms")).await);
    eventually("what waits is sent", async || sink.spans().len() == 10).await;
    let totals = collector.stop(DRAIN).await.totals();
    assert_eq!((totals.sent, totals.recovered), (10, 0));
}
