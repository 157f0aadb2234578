//! An HTTP/1.1 and HTTP/2 server that can be stopped without breaking requests off.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use super::listener::Listener;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What clients may use up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests at the same time on one HTTP/2 connection.
    pub max_concurrent_streams: u32,
    /// Connections at the same time; further ones wait.
    pub max_connections: usize,
}

/// Where a client is: an extension of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// Serves one connection, and says of each request where it comes from.
#[derive(Clone)]
struct WithPeer<S> {
    service: S,
    peer: Peer,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
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
/// some hundred spans and then wait for a round trip.
const STREAM_WINDOW: u32 = 8 << 20;
const CONNECTION_WINDOW: u32 = 24 << 20;
/// How long a connection over HTTP/1.1 may be idle. The library measures from the end of one request
/// to the end of the next one's headers, so that it is also the limit for slow headers; exporters that
/// send once a minute shall keep their connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// How long a client may take for the TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// How often an HTTP/2 client is asked whether it is still there, and how long it may take to answer.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);
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
        }
    }
}

// === impl Server ===

impl Server {
    /// Serves every connection of `listener` with `service`.
    pub fn start<S, B>(
        listener: Listener,
        tls: Option<TlsAcceptor>,
        limits: Limits,
        service: S,
    ) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + 'static,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let address = listener.address();
        let (phase, phases) = watch::channel(Phase::Serving);
        let task = tokio::spawn(run(listener, tls, limits, service, phases));
        Self {
            address,
            phase,
            task,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
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
        request.extensions_mut().insert(self.peer);
        self.service.call(request)
    }
}

async fn run<S, B>(
    listener: Listener,
    tls: Option<TlsAcceptor>,
    limits: Limits,
    service: S,
    mut phases: watch::Receiver<Phase>,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let builder = Arc::new(builder(limits));
    let graceful = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(limits.max_connections));
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
        let watcher = graceful.watcher();
        let service = WithPeer {
            service: service.clone(),
            peer,
        };
        let (builder, tls) = (builder.clone(), tls.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let result = match tls {
                None => {
                    let connection = builder.serve_connection(TokioIo::new(stream), service);
                    watcher.watch(connection.into_owned()).await
                }
                Some(tls) => {
                    let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream));
                    let Ok(Ok(stream)) = handshake.await else {
                        debug!("a TLS handshake failed");
                        return;
                    };
                    let connection = builder.serve_connection(TokioIo::new(stream), service);
                    watcher.watch(connection.into_owned()).await
                }
            };
            if let Err(error) = result {
                debug!("a connection ended early: {error}");
            }
        });
    }
    drop(listener);
    if *phases.borrow() == Phase::Leaving {
        let stopping = phases.wait_for(|phase| *phase == Phase::Stopping);
        // Either way the time is over; an error means that nobody is left to say so.
        let _ = tokio::time::timeout(LINGER, stopping).await;
    }
    if tokio::time::timeout(STOP_TIMEOUT, graceful.shutdown())
        .await
        .is_err()
    {
        warn!("some requests had not finished when the server stopped");
    }
}

async fn accept(
    listener: &Listener,
    permits: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, Peer, OwnedSemaphorePermit)> {
    let permit = permits
        .clone()
        .acquire_owned()
        .await
        .map_err(std::io::Error::other)?;
    let (stream, address) = listener.inner.accept().await?;
    // Answers are small; without this they wait for the client's delayed acknowledgement.
    stream.set_nodelay(true)?;
    Ok((stream, Peer(address.ip()), permit))
}

fn builder(limits: Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(limits.max_concurrent_streams)
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
    builder
}
