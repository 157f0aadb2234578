//! The receiving side: answers every OTLP export with a success and counts what was in it.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use h2::server::{Builder, SendResponse};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use serde::Serialize;
use spanmesh_otlp::{Signal, count};
use tokio::net::{TcpListener, TcpStream};

use crate::{Error, frame, ids};

/// Flow control that never holds a sender back.
const STREAM_WINDOW: u32 = 8 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 64 * 1024 * 1024;

/// What has been received so far.
#[derive(Debug, Default)]
pub struct Account {
    requests: AtomicU64,
    spans: AtomicU64,
    log_records: AtomicU64,
    metric_points: AtomicU64,
    ids: AtomicU64,
    wire_bytes: AtomicU64,
    compressed: AtomicU64,
    malformed: AtomicU64,
}

/// An [`Account`] at one moment.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Totals {
    /// Export requests that were answered with a success.
    pub requests: u64,
    /// The spans in them.
    pub spans: u64,
    /// The log records in them.
    pub log_records: u64,
    /// The metric data points in them.
    pub metric_points: u64,
    /// The sum of the ids of the spans and log records, see [`ids`].
    pub ids: u64,
    /// Bytes of the requests' bodies as they came.
    pub wire_bytes: u64,
    /// How many of the requests were compressed.
    pub compressed: u64,
    /// Requests that were no OTLP export, answered with an error.
    pub malformed: u64,
}

/// Serves every connection of `listener`, each on a task of its own.
///
/// # Errors
///
/// When the listener fails. What goes wrong on one connection ends that connection only.
pub async fn serve(listener: TcpListener, account: &'static Account) -> Result<(), Error> {
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        tokio::spawn(async move {
            // A client that goes away without a word is no event here.
            let _ = connection(socket, account).await;
        });
    }
}

async fn connection(socket: TcpStream, account: &'static Account) -> Result<(), Error> {
    let mut connection = Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .handshake(socket)
        .await?;
    while let Some(request) = connection.accept().await {
        let (request, respond) = request?;
        tokio::spawn(async move {
            let _ = exchange(request, respond, account).await;
        });
    }
    Ok(())
}

async fn exchange(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    account: &Account,
) -> Result<(), Error> {
    let (head, mut body) = request.into_parts();
    let signal = Signal::all()
        .into_iter()
        .find(|signal| head.uri.path() == signal.grpc_path());
    let body = collect(&mut body).await?;
    let grpc_status = match signal.map(|signal| account.add(signal, &body)) {
        Some(Ok(())) => "0",
        Some(Err(_)) => "3",
        None => "12",
    };
    if grpc_status != "0" {
        account.malformed.fetch_add(1, Ordering::Relaxed);
    }
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    let mut send = respond.send_response(response, false)?;
    if grpc_status == "0" {
        send.send_data(frame::EMPTY, false)?;
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(grpc_status));
    send.send_trailers(trailers)?;
    Ok(())
}

/// Reads a body, without a copy when it comes in one piece.
async fn collect(body: &mut RecvStream) -> Result<Bytes, Error> {
    let Some(first) = body.data().await.transpose()? else {
        return Ok(Bytes::new());
    };
    body.flow_control().release_capacity(first.len())?;
    let mut whole: Option<BytesMut> = None;
    while let Some(chunk) = body.data().await.transpose()? {
        body.flow_control().release_capacity(chunk.len())?;
        whole
            .get_or_insert_with(|| BytesMut::from(&*first))
            .extend_from_slice(&chunk);
    }
    Ok(whole.map_or(first, BytesMut::freeze))
}

// === impl Account ===

impl Account {
    /// Returns what has been received so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Totals {
            requests: load(&self.requests),
            spans: load(&self.spans),
            log_records: load(&self.log_records),
            metric_points: load(&self.metric_points),
            ids: load(&self.ids),
            wire_bytes: load(&self.wire_bytes),
            compressed: load(&self.compressed),
            malformed: load(&self.malformed),
        }
    }

    fn add(&self, signal: Signal, body: &Bytes) -> Result<(), Error> {
        let add = |counter: &AtomicU64, by: usize| counter.fetch_add(by as u64, Ordering::Relaxed);
        let wire_bytes = body.len();
        let compressed = body.first() == Some(&1);
        let message = frame::decode(body)?;
        let items = count(signal, &message);
        let counter = match signal {
            Signal::Traces => &self.spans,
            Signal::Logs => &self.log_records,
            Signal::Metrics => &self.metric_points,
        };
        add(counter, items);
        // Wraps around, as the sum itself does.
        self.ids
            .fetch_add(ids::sum(signal, &message), Ordering::Relaxed);
        add(&self.wire_bytes, wire_bytes);
        add(&self.compressed, compressed.into());
        add(&self.requests, 1);
        Ok(())
    }
}
