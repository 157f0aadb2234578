//! An HTTP/1.1 and HTTP/2 server that can be stopped without breaking requests off.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tracing::{debug, warn};

use super::activity::{Activity, Busy};
use super::listener::{Address, Listener};
use super::socket::Socket;
use super::tls::ServerTls;
use crate::pipeline::random_fraction;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What clients may use up.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Requests at the same time on one HTTP/2 connection.
    pub max_concurrent_streams: u32,
    /// Connections at the same time; further ones wait.
    pub max_connections: usize,
    /// How long an HTTP/1.1 client may take from the end of one request to the end of the next one's
    /// headers, and any client to the end of the first one's.
    pub header_timeout: Duration,
    /// A connection without requests for so long is closed; `None` for no limit.
    pub idle_timeout: Option<Duration>,
    /// A connection that is so old takes no more requests, a tenth more or less so that not all go at
    /// once; `None` for no limit.
    pub max_age: Option<Duration>,
    /// How long the requests of such a connection may go on; `None` for no limit.
    pub max_age_grace: Option<Duration>,
    /// How often an HTTP/2 client is asked whether it is still there.
    pub ping_interval: Duration,
    /// How long it may take to answer.
    pub ping_timeout: Duration,
    /// Whether an HTTP/1.1 connection is kept for further requests.
    pub keep_alive: bool,
}

/// Where a client is: an extension of every request that came over TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// Serves one connection, and says of each request where it comes from.
struct WithPeer<S> {
    service: S,
    peer: Option<Peer>,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    address: Address,
    phase: watch::Sender<Phase>,
    task: JoinHandle<()>,
}

/// How far a server is with ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    /// It accepts nothing more, and serves the connections that it has for a moment.
    Leaving,
    /// Its connections end with the requests that have begun.
    Stopping,
}

/// Flow-control windows of HTTP/2. The defaults of 64 KiB would let a client send one request of
/// some hundred spans and then wait for a round trip. A connection may make us keep as much before it
/// is accounted for.
const STREAM_WINDOW: u32 = 8 << 20;
const CONNECTION_WINDOW: u32 = 24 << 20;
/// How large the frames may be that a client sends. With the default of 16 KiB a request of a hundred
/// spans comes in four, each of which is read, kept and counted by itself.
const MAX_FRAME: u32 = 64 << 10;
/// How long a client may take for the TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a server that leaves its port to another one serves the connections that it has accepted:
/// the request of a fresh one is on its way, and would have to be sent again if the connection ended.
const LINGER: Duration = Duration::from_secs(1);
/// How long requests may take to finish when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause after a failed accept, typically for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_concurrent_streams: 1024,
            max_connections: 16_384,
            // Exporters that send once a minute shall keep their connection.
            header_timeout: Duration::from_secs(300),
            idle_timeout: None,
            max_age: None,
            max_age_grace: None,
            ping_interval: Duration::from_secs(60),
            ping_timeout: Duration::from_secs(20),
            keep_alive: true,
        }
    }
}

// === impl Server ===

impl Server {
    /// Serves every connection of `listener` with `service`.
    pub fn start<S, B>(
        listener: Listener,
        tls: Option<ServerTls>,
        limits: Limits,
        service: S,
    ) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + 'static,
        S::Future: Send + Unpin + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let address = listener.address().clone();
        let (phase, phases) = watch::channel(Phase::Serving);
        let task = tokio::spawn(run(listener, tls, limits, service, phases));
        Self {
            address,
            phase,
            task,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Accepts nothing more; returns when the requests that have begun are answered, or after five
    /// seconds.
    pub async fn stop(self) {
        self.phase.send_replace(Phase::Stopping);
        // Only fails if the task has ended already.
        let _ = self.task.await;
    }

    /// The same, for when another server accepts from the same port: connections have a second for the
    /// requests that are on their way.
    pub async fn leave(self) {
        self.phase.send_replace(Phase::Leaving);
        let _ = self.task.await;
    }
}

// === impl WithPeer ===

impl<S: Service<Request<Incoming>>> Service<Request<Incoming>> for WithPeer<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(peer);
        }
        self.service.call(request)
    }
}

async fn run<S, B>(
    listener: Listener,
    tls: Option<ServerTls>,
    limits: Limits,
    service: S,
    mut phases: watch::Receiver<Phase>,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send + Unpin + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let builder = Arc::new(builder(&limits));
    let permits = Arc::new(Semaphore::new(limits.max_connections));
    let limits = Arc::new(limits);
    // Every connection has a receiver, so that the channel closes with the last one.
    let (end, ending) = watch::channel(false);
    loop {
        let accepted = tokio::select! {
            _ = phases.wait_for(|phase| *phase > Phase::Serving) => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        let (stream, peer, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(address = %listener.address(), "cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let service = WithPeer {
            service: service.clone(),
            peer,
        };
        let (builder, tls) = (builder.clone(), tls.clone());
        let (limits, ending) = (limits.clone(), ending.clone());
        tokio::spawn(async move {
            let _permit = permit;
            match tls {
                None => serve(stream, &builder, service, &limits, ending).await,
                Some(tls) => {
                    let handshake = tls.acceptor().accept(stream);
                    let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake);
                    let Ok(Ok(stream)) = handshake.await else {
                        debug!("a TLS handshake failed");
                        return;
                    };
                    serve(stream, &builder, service, &limits, ending).await;
                }
            }
        });
    }
    drop(listener);
    if *phases.borrow() == Phase::Leaving {
        let stopping = phases.wait_for(|phase| *phase == Phase::Stopping);
        // Either way the time is over; an error means that nobody is left to say so.
        let _ = tokio::time::timeout(LINGER, stopping).await;
    }
    drop(ending);
    // An error means that there is no connection.
    let _ = end.send(true);
    if tokio::time::timeout(STOP_TIMEOUT, end.closed())
        .await
        .is_err()
    {
        warn!("some requests had not finished when the server stopped");
    }
}

/// Serves one connection until it ends, or is too old, idle for too long, or told to end.
async fn serve<S, B>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    builder: &Builder<TokioExecutor>,
    service: S,
    limits: &Limits,
    mut ending: watch::Receiver<bool>,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Send + 'static,
    S::Future: Send + Unpin + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let activity = Arc::new(Activity::default());
    let service = Busy::new(service, activity.clone());
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let mut ends = std::pin::pin!(async {
        tokio::select! {
            // An error means that the server is gone.
            _ = ending.wait_for(|ending| *ending) => None,
            () = elapsed(limits.max_age.map(jittered)) => limits.max_age_grace,
            // Until a client has said which version of HTTP it speaks, hyper waits without a limit.
            () = activity.unused(limits.header_timeout) => Some(limits.ping_timeout),
            // Nobody waits for an answer, and the client may be gone without a word.
            () = activity.idle(limits.idle_timeout) => Some(limits.ping_timeout),
        }
    });
    let grace = tokio::select! {
        result = &mut connection => return ended(result),
        grace = &mut ends => grace,
    };
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        result = connection => ended(result),
        () = elapsed(grace) => debug!("a connection was too old and is closed"),
    }
}

fn ended(result: Result<(), BoxError>) {
    if let Err(error) = result {
        debug!("a connection ended early: {error}");
    }
}

/// Returns when so much time has passed; never for `None`.
async fn elapsed(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

/// A tenth more or less.
fn jittered(time: Duration) -> Duration {
    time.mul_f64(0.9 + 0.2 * random_fraction())
}

async fn accept(
    listener: &Listener,
    permits: &Arc<Semaphore>,
) -> std::io::Result<(Socket, Option<Peer>, OwnedSemaphorePermit)> {
    let permit = permits
        .clone()
        .acquire_owned()
        .await
        .map_err(std::io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    Ok((stream, address.map(Peer), permit))
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .keep_alive(limits.keep_alive)
        .header_read_timeout(limits.header_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME)
        .max_concurrent_streams(limits.max_concurrent_streams)
        .keep_alive_interval(limits.ping_interval)
        .keep_alive_timeout(limits.ping_timeout);
    builder
}
