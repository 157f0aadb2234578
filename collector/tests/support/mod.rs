//! What the integration tests share: a collector in this process, clients, and back ends that
//! answer as they are told.
// Each test program uses a part of it.
#![allow(dead_code, missing_docs, unreachable_pub)]

pub mod pipeline;
pub mod program;
pub mod sink;
pub mod telemetry;

use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use spanmesh_collector::config::{Problems, ProcessEnvironment};
use spanmesh_collector::service::{FinalAccount, Plan, Service};
use tokio::net::{TcpListener, TcpSocket};
use tonic::{Code, Status};

/// A receiver on free ports, and the part of `service` that has no port of its own.
pub const RECEIVER: &str = "
receivers:
  otlp:
    protocols:
      grpc: {endpoint: 'localhost:0'}
      http: {endpoint: 'localhost:0'}
";

/// How long what has only to happen at some time may take, on a machine that has other things to do,
/// too. Nothing is waited for without this limit, so that a test fails and does not hang.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Time enough to deliver everything.
pub const DRAIN: Duration = PATIENCE;

/// A collector in this process.
pub struct Collector {
    service: Service,
}

/// A port that nobody listens on. As long as this is there nobody else is given it, neither to listen
/// on nor to connect from.
pub struct ClosedPort(TcpSocket);

/// Why a collector did not start.
#[derive(Debug)]
pub struct Failure(pub String);

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Collector {
    /// Starts a collector with [`RECEIVER`] and these further sections; `{metrics}` stands for the
    /// telemetry section with a free port.
    pub async fn start(sections: &str) -> Self {
        let started = Self::try_start(sections).await;
        started.unwrap_or_else(|Failure(message)| panic!("{message}"))
    }

    /// The same where it may not start.
    pub async fn try_start(sections: &str) -> Result<Self, Failure> {
        let plan = plan(RECEIVER, sections).unwrap_or_else(|p| panic!("{p}"));
        match within("a start", Service::start(plan)).await {
            Ok(service) => Ok(Self { service }),
            Err(error) => Err(Failure(error.to_string())),
        }
    }

    /// Starts a collector with another receiver.
    pub async fn start_with(receiver: &str, sections: &str) -> Self {
        let plan = plan(receiver, sections).unwrap_or_else(|p| panic!("{p}"));
        let started = within("a start", Service::start(plan)).await;
        Self {
            service: started.unwrap_or_else(|error| panic!("{error}")),
        }
    }

    /// Reloads with these sections instead; whether they were taken over.
    pub async fn reload(&mut self, sections: &str) -> bool {
        self.reload_with(RECEIVER, sections).await
    }

    pub async fn reload_with(&mut self, receiver: &str, sections: &str) -> bool {
        let plan = plan(receiver, sections);
        within("a reload", self.service.reload(plan)).await.unwrap()
    }

    pub fn address(&self, component: &str, transport: &str) -> SocketAddr {
        let addresses = self.service.addresses();
        let found = addresses
            .iter()
            .find(|(id, over, _)| id == component && *over == transport);
        found
            .unwrap_or_else(|| panic!("{component} {transport}: {addresses:?}"))
            .2
    }

    pub fn grpc(&self) -> String {
        format!("http://{}", self.address("otlp", "grpc"))
    }

    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let url = format!("http://{}{path}", self.address("otlp", "http"));
        request("POST", &url, headers, body).await
    }

    /// Posts JSON or protobuf traces and expects success.
    pub async fn post_traces(&self, body: Vec<u8>) {
        let headers = [("content-type", "application/x-protobuf")];
        let answer = self.post("/v1/traces", &headers, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    }

    pub async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.address("metrics", "http"));
        let answer = request("GET", &url, &[], Vec::new()).await;
        String::from_utf8(answer.body.to_vec()).unwrap()
    }

    /// The value of one metric, by its name and labels as they are written.
    pub async fn metric(&self, series: &str) -> f64 {
        let text = self.metrics().await;
        let line = text.lines().find(|line| {
            line.rsplit_once(' ')
                .is_some_and(|(name, _)| name == series)
        });
        let line = line.unwrap_or_else(|| panic!("{series} not in\n{text}"));
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    }

    pub fn account(&self) -> FinalAccount {
        self.service.account()
    }

    pub async fn stop(self, drain: Duration) -> FinalAccount {
        let account = self.stop_anyhow(drain).await;
        assert_balanced(&account);
        account
    }

    /// Stops it when something may still be queued.
    pub async fn stop_anyhow(self, drain: Duration) -> FinalAccount {
        let stopping = self.service.stop(drain);
        within_time("a stop", drain.saturating_add(PATIENCE), stopping).await
    }
}

impl ClosedPort {
    pub fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self(socket)
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// From now on somebody listens.
    pub fn open(self) -> TcpListener {
        self.0.listen(1024).unwrap()
    }
}

fn plan(receiver: &str, sections: &str) -> Result<Plan, Problems> {
    let readers = "readers: [{pull: {exporter: {prometheus: {host: localhost, port: 0}}}}]";
    let telemetry = format!("telemetry: {{metrics: {{{readers}}}}}");
    let text = format!("{receiver}{}", sections.replace("{metrics}", &telemetry));
    Plan::load(&[("test.yaml".to_owned(), text)], &ProcessEnvironment)
}

/// accepted + recovered = sent + sampled out + dropped + queued, for each destination, and nothing is
/// queued or lost at the end.
pub fn assert_balanced(account: &FinalAccount) {
    assert_settled(account);
    for (id, signal, totals) in &account.destinations {
        assert_eq!(totals.queued, 0, "{id} {signal}: {totals:?}");
    }
}

/// The same where something stays queued on disk.
pub fn assert_settled(account: &FinalAccount) {
    for (pipeline, signal, flow) in &account.pipelines {
        let out = flow.handed_on + flow.sampled_out + flow.dropped;
        assert_eq!(flow.received, out, "{pipeline} {signal}: {flow:?}");
    }
    for (id, signal, totals) in &account.destinations {
        let out = totals.sent + totals.sampled_out + totals.dropped_total() + totals.queued;
        let entered = totals.accepted + totals.recovered;
        assert_eq!(entered, out, "{id} {signal}: {totals:?}");
        assert!(
            totals
                .dropped
                .iter()
                .all(|(reason, _)| reason.name() != "lost"),
            "{id} {signal}: {totals:?}"
        );
    }
}

pub async fn request(method: &str, url: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body.into())).unwrap();
    let answering = async {
        let response = client.request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    };
    within(&format!("an answer to {method} {url}"), answering).await
}

/// Posts a protobuf request; the status code, or `None` if there was no answer.
pub async fn try_post(url: &str, body: Vec<u8>) -> Option<u16> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let request = Request::post(url)
        .header("content-type", "application/x-protobuf")
        .body(Full::new(body.into()))
        .unwrap();
    let response = within("an answer", client.request(request)).await.ok()?;
    Some(response.status().as_u16())
}

/// Exports over gRPC; whether it was taken.
pub async fn try_export(endpoint: &str, request: ExportTraceServiceRequest) -> bool {
    let exporting = async {
        match TraceServiceClient::connect(endpoint.to_owned()).await {
            Ok(mut client) => client.export(request).await.is_ok(),
            Err(_) => false,
        }
    };
    within("an answer", exporting).await
}

/// Whether a request was not sent because the connection was being closed without an error. tonic says
/// INTERNAL then; other clients send it over the next connection.
pub fn was_not_sent(status: &Status) -> bool {
    let closed = "GoAway(b\"\", NO_ERROR, Remote)";
    status.code() == Code::Internal && format!("{status:?}").contains(closed)
}

/// Waits until something is so; see [`PATIENCE`].
pub async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !check().await {
        assert!(
            Instant::now() < deadline,
            "not so within {PATIENCE:?}: {what}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits for something that comes to an end; see [`PATIENCE`].
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    within_time(what, PATIENCE, future).await
}

async fn within_time<T>(what: &str, limit: Duration, future: impl Future<Output = T>) -> T {
    let result = tokio::time::timeout(limit, future).await;
    result.unwrap_or_else(|_| panic!("no end within {limit:?}: {what}"))
}
