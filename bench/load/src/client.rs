//! The sending side: connections that keep a number of export requests in flight until a common
//! number of spans has been acknowledged.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::{HeaderMap, Method, Request};
use serde::Serialize;
use spanmesh_otlp::Signal;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{Error, frame, payload};

/// How long a refused request waits before it is sent again.
const RETRY_DELAY: Duration = Duration::from_millis(20);
/// How many different requests there are; they are sent in turn.
const DIFFERENT: u64 = 64;

/// What to send.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The server.
    pub target: SocketAddr,
    /// Requests in all, over all connections.
    pub requests: u64,
    /// Spans in a request.
    pub spans_per_request: usize,
    /// Connections to open.
    pub connections: usize,
    /// Requests that one connection has in flight.
    pub in_flight: usize,
    /// Requests per second over all connections; as fast as the server answers without.
    pub rate: Option<f64>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Outcome {
    /// Spans whose request was answered with OK.
    pub acknowledged: u64,
    /// Answers other than OK; the request was sent again each time.
    pub refused: u64,
    /// From the first request to the last answer.
    pub seconds: f64,
}

/// What the senders share.
#[derive(Debug)]
struct Shared {
    payloads: Vec<Bytes>,
    plan: Plan,
    begin: Instant,
    /// Requests that a sender has taken.
    taken: AtomicU64,
    acknowledged: AtomicU64,
    refused: AtomicU64,
}

/// Sends everything.
///
/// # Errors
///
/// When a connection cannot be opened or breaks.
pub async fn send(plan: Plan) -> Result<Outcome, Error> {
    let payloads = (0..DIFFERENT)
        .map(|seed| frame::encode(&payload::request(plan.spans_per_request, seed)))
        .collect::<Result<_, _>>()?;
    let shared = Arc::new(Shared {
        payloads,
        plan,
        begin: Instant::now(),
        taken: AtomicU64::new(0),
        acknowledged: AtomicU64::new(0),
        refused: AtomicU64::new(0),
    });
    let mut senders = JoinSet::new();
    for _ in 0..plan.connections {
        let connection = connect(plan.target).await?;
        for _ in 0..plan.in_flight {
            senders.spawn(sender(connection.clone(), Arc::clone(&shared)));
        }
    }
    while let Some(ended) = senders.join_next().await {
        ended??;
    }
    Ok(Outcome {
        acknowledged: shared.acknowledged.load(Ordering::Relaxed),
        refused: shared.refused.load(Ordering::Relaxed),
        seconds: shared.begin.elapsed().as_secs_f64(),
    })
}

async fn connect(target: SocketAddr) -> Result<SendRequest<Bytes>, Error> {
    let socket = TcpStream::connect(target).await?;
    socket.set_nodelay(true)?;
    let (send, connection) = Builder::new().handshake(socket).await?;
    tokio::spawn(async move {
        // A broken connection shows in the requests that were on it.
        let _ = connection.await;
    });
    Ok(send)
}

async fn sender(connection: SendRequest<Bytes>, shared: Arc<Shared>) -> Result<(), Error> {
    let plan = shared.plan;
    let spans = plan.spans_per_request as u64;
    loop {
        let number = shared.taken.fetch_add(1, Ordering::Relaxed);
        if number >= plan.requests {
            return Ok(());
        }
        if let Some(rate) = plan.rate {
            sleep_until(shared.begin + Duration::from_secs_f64(number as f64 / rate)).await;
        }
        let payload = &shared.payloads[(number % DIFFERENT) as usize];
        while !export(&connection, plan.target, payload).await? {
            shared.refused.fetch_add(1, Ordering::Relaxed);
            sleep(RETRY_DELAY).await;
        }
        shared.acknowledged.fetch_add(spans, Ordering::Relaxed);
    }
}

/// Makes one call; whether it was answered with OK.
async fn export(
    connection: &SendRequest<Bytes>,
    target: SocketAddr,
    payload: &Bytes,
) -> Result<bool, Error> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://{target}{}", Signal::Traces.grpc_path()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())?;
    let mut connection = connection.clone().ready().await?;
    let (response, mut body) = connection.send_request(request, false)?;
    body.send_data(payload.clone(), true)?;
    let (head, mut answer) = response.await?.into_parts();
    while let Some(chunk) = answer.data().await.transpose()? {
        answer.flow_control().release_capacity(chunk.len())?;
    }
    let trailers = answer.trailers().await?;
    // An error may come as the only header block, without trailers of its own.
    Ok(is_ok(trailers.as_ref().unwrap_or(&head.headers)))
}

fn is_ok(headers: &HeaderMap) -> bool {
    headers
        .get("grpc-status")
        .is_some_and(|status| status == "0")
}
