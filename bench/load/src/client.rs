//! The sending side: connections that keep a number of export requests in flight until a common
//! number of items has been acknowledged.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use spanmesh_otlp::Signal;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::connection::{Connection, Transport};
use crate::{Error, frame, ids, payload};

/// How long a refused request waits before it is sent again.
const RETRY_DELAY: Duration = Duration::from_millis(20);
/// How many different requests there are; they are sent in turn.
const DIFFERENT: u64 = 64;

/// What to send.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The server.
    pub target: SocketAddr,
    /// What the requests hold.
    pub signal: Signal,
    /// How they travel.
    pub transport: Transport,
    /// Whether they are compressed, with gzip. That is done before the first of them is sent.
    pub gzip: bool,
    /// How large the frames of HTTP/2 are; as large as the server allows without.
    pub frame_bytes: Option<usize>,
    /// Requests in all, over all connections.
    pub requests: u64,
    /// Spans or log records in a request.
    pub items_per_request: usize,
    /// Connections to open; over HTTP/1.1, which has one request at a time, `in_flight` times as many.
    pub connections: usize,
    /// Requests that one connection has in flight.
    pub in_flight: usize,
    /// Requests per second over all connections; as fast as the server answers without.
    pub rate: Option<f64>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Outcome {
    /// Items whose request was answered with OK.
    pub acknowledged: u64,
    /// The sum of their ids, see [`ids`].
    pub ids: u64,
    /// Answers other than OK; the request was sent again each time.
    pub refused: u64,
    /// From the first request to the last answer.
    pub seconds: f64,
    /// How long the calls took that were answered with OK: half of them so long or less.
    pub median_ms: f64,
    /// The same of 99 in 100.
    pub p99_ms: f64,
}

/// One request.
#[derive(Debug)]
struct Sample {
    body: Bytes,
    /// The sum of its items' ids.
    ids: u64,
}

/// What the senders share.
#[derive(Debug)]
struct Shared {
    samples: Vec<Sample>,
    plan: Plan,
    begin: Instant,
    /// Requests that a sender has taken.
    taken: AtomicU64,
    acknowledged: AtomicU64,
    ids: AtomicU64,
    refused: AtomicU64,
    /// Of every call that was answered with OK.
    latencies: Mutex<Vec<Duration>>,
}

// === impl Sample ===

impl Sample {
    fn new(plan: &Plan, seed: u64) -> Result<Self, Error> {
        let message = payload::request(plan.signal, plan.items_per_request, seed);
        let body = match (plan.transport, plan.gzip) {
            (Transport::Grpc, false) => frame::encode(&message)?,
            (Transport::Grpc, true) => frame::encode_gzip(&message)?,
            (Transport::Http, false) => message.clone().into(),
            (Transport::Http, true) => frame::gzip(&message)?.into(),
        };
        Ok(Self {
            body,
            ids: ids::sum(plan.signal, &message),
        })
    }
}

/// Sends everything.
///
/// # Errors
///
/// When a connection cannot be opened or breaks.
pub async fn send(plan: Plan) -> Result<Outcome, Error> {
    let samples = (0..DIFFERENT)
        .map(|seed| Sample::new(&plan, seed))
        .collect::<Result<_, _>>()?;
    let shared = Arc::new(Shared {
        samples,
        plan,
        begin: Instant::now(),
        taken: AtomicU64::new(0),
        acknowledged: AtomicU64::new(0),
        ids: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        latencies: Mutex::default(),
    });
    let mut senders = JoinSet::new();
    for _ in 0..plan.connections {
        let connection = Connection::open(&plan).await?;
        for _ in 0..plan.in_flight {
            let own = match &connection {
                Connection::Http1(_) => Connection::open(&plan).await?,
                Connection::Http2(sender) => Connection::Http2(sender.clone()),
            };
            senders.spawn(sender(own, Arc::clone(&shared)));
        }
    }
    while let Some(ended) = senders.join_next().await {
        ended??;
    }
    let seconds = shared.begin.elapsed().as_secs_f64();
    let mut latencies = shared
        .latencies
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    latencies.sort_unstable();
    let at = |share: f64| {
        let index = (latencies.len() as f64 * share) as usize;
        let latency = latencies.get(index).or(latencies.last());
        latency.map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
    };
    Ok(Outcome {
        acknowledged: shared.acknowledged.load(Ordering::Relaxed),
        ids: shared.ids.load(Ordering::Relaxed),
        refused: shared.refused.load(Ordering::Relaxed),
        seconds,
        median_ms: at(0.5),
        p99_ms: at(0.99),
    })
}

async fn sender(mut connection: Connection, shared: Arc<Shared>) -> Result<(), Error> {
    let plan = shared.plan;
    let items = plan.items_per_request as u64;
    let mut latencies = Vec::new();
    loop {
        let number = shared.taken.fetch_add(1, Ordering::Relaxed);
        if number >= plan.requests {
            break;
        }
        if let Some(rate) = plan.rate {
            sleep_until(shared.begin + Duration::from_secs_f64(number as f64 / rate)).await;
        }
        let sample = &shared.samples[(number % DIFFERENT) as usize];
        let latency = loop {
            let begin = Instant::now();
            if connection.export(&plan, &sample.body).await? {
                break begin.elapsed();
            }
            shared.refused.fetch_add(1, Ordering::Relaxed);
            sleep(RETRY_DELAY).await;
        };
        latencies.push(latency);
        shared.acknowledged.fetch_add(items, Ordering::Relaxed);
        // Wraps around, as the sum itself does.
        shared.ids.fetch_add(sample.ids, Ordering::Relaxed);
    }
    let mut all = shared
        .latencies
        .lock()
        .map_err(|_| io::Error::other("a sender has panicked"))?;
    all.append(&mut latencies);
    Ok(())
}
