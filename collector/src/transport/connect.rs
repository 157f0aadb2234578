//! Connections to other servers: TCP or a unix socket, and TLS on top of it.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::socket::{Either, Socket};
use super::target::Target;
use super::tls::{ClientTls, TlsUser};
use crate::telemetry::Registry;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects to the host and port of a URI, or to where it was told to; with TLS if the scheme of the
/// URI is `https`.
#[derive(Clone)]
pub struct Connector {
    tls: Option<ClientTls>,
    server_name: Option<ServerName<'static>>,
    route: Route,
}

/// Which of the addresses behind a name is connected to.
#[derive(Clone)]
enum Route {
    /// The first that answers, beginning with another one each time.
    InTurn(Arc<AtomicUsize>),
    /// The first that answers.
    First,
    /// This one, whatever the name.
    Address(SocketAddr),
    /// A socket on this machine, whatever the name.
    Unix(Arc<Path>),
}

/// Why a connection did not come about.
#[derive(Debug)]
pub struct ConnectError {
    target: String,
    source: io::Error,
}

/// A connection without TLS (left), or with it (right).
type Stream = Either<Socket, Box<TlsStream<Socket>>>;

// === impl Connector ===

impl Connector {
    /// A connector; `tls` is what it uses for `https`.
    ///
    /// # Errors
    /// `server_name` is no host name.
    pub fn new(tls: Option<ClientTls>, server_name: Option<&str>) -> Result<Self, String> {
        let server_name = server_name
            .map(|name| {
                ServerName::try_from(name.to_owned())
                    .map_err(|_| format!("expected a host name, but found {name:?}"))
            })
            .transpose()?;
        Ok(Self {
            tls,
            server_name,
            route: Route::First,
        })
    }

    /// Shows when the certificates that it uses for an exporter expire.
    pub fn show_expiry(&self, exporter: &str, transport: &str, registry: &Registry) {
        let Some(tls) = &self.tls else {
            return;
        };
        let component = &format!("exporter:{exporter}");
        let user = TlsUser {
            component,
            transport,
        };
        tls.show_expiry(user, registry);
    }

    /// The same, each time beginning with another one of the addresses that a name has.
    #[must_use]
    pub fn in_turn(mut self) -> Self {
        self.route = Route::InTurn(Arc::default());
        self
    }

    /// The same, always to one address.
    #[must_use]
    pub fn to_address(&self, address: SocketAddr) -> Self {
        Self {
            route: Route::Address(address),
            ..self.clone()
        }
    }

    /// The same, to a unix socket if the target is one.
    #[must_use]
    pub fn for_target(mut self, target: &Target) -> Self {
        if let Some(path) = target.unix_path() {
            self.route = Route::Unix(path.into());
        }
        self
    }

    async fn connect(self, uri: Uri) -> Result<TokioIo<Stream>, ConnectError> {
        let host = uri.host().unwrap_or_default();
        let tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let target = match &self.route {
            Route::InTurn(_) | Route::First => format!("{host}:{port}"),
            Route::Address(address) => format!("{host}:{port} ({address})"),
            Route::Unix(path) => path.display().to_string(),
        };
        let connecting = self.connect_to(host, port, tls);
        let result = match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(result) => result,
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no connection within {CONNECT_TIMEOUT:?}"),
            )),
        };
        result
            .map(TokioIo::new)
            .map_err(|source| ConnectError { target, source })
    }

    async fn connect_to(&self, host: &str, port: u16, tls: bool) -> io::Result<Stream> {
        // A literal IPv6 address stands in brackets in a URI.
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let stream = self.socket(bare, port).await?;
        if !tls {
            return Ok(Stream::Left(stream));
        }
        let Some(tls) = &self.tls else {
            return Err(io::Error::other("TLS is not configured"));
        };
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(bare.to_owned()).map_err(io::Error::other)?,
        };
        let stream = TlsConnector::from(tls.config())
            .connect(name, stream)
            .await?;
        Ok(Stream::Right(Box::new(stream)))
    }

    async fn socket(&self, host: &str, port: u16) -> io::Result<Socket> {
        let stream = match &self.route {
            Route::Unix(path) => return Ok(Socket::Right(UnixStream::connect(path).await?)),
            Route::Address(address) => TcpStream::connect(address).await?,
            Route::First => TcpStream::connect((host, port)).await?,
            Route::InTurn(turn) => {
                let mut addresses: Vec<_> = lookup_host((host, port)).await?.collect();
                addresses.sort_unstable();
                let turn = turn.fetch_add(1, Ordering::Relaxed);
                let first = turn.checked_rem(addresses.len()).unwrap_or_default();
                addresses.rotate_left(first);
                TcpStream::connect(&*addresses).await?
            }
        };
        stream.set_nodelay(true)?;
        Ok(Socket::Left(stream))
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

// === impl ConnectError ===

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to {}: {}", self.target, self.source)
    }
}

impl Error for ConnectError {}

/// Whether an error came about because there was no connection: nothing has been sent.
pub fn is_unconnected(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<ConnectError>() {
            return true;
        }
        next = error.source();
    }
    false
}

// === impl Stream ===

impl Connection for Stream {
    fn connected(&self) -> Connected {
        let connected = Connected::new();
        match self {
            Self::Right(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                connected.negotiated_h2()
            }
            Self::Left(_) | Self::Right(_) => connected,
        }
    }
}
