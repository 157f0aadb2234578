//! Connections to other servers: TCP, and TLS on top of it.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects to the host and port of a URI; with TLS if the scheme is `https`.
#[derive(Clone)]
pub struct Connector {
    tls: Option<Arc<ClientConfig>>,
    server_name: Option<ServerName<'static>>,
}

/// Where an exporter sends to: scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(Uri);

/// Why a connection did not come about.
#[derive(Debug)]
pub struct ConnectError {
    target: String,
    source: io::Error,
}

/// A connection.
#[derive(Debug)]
pub enum Stream {
    /// Without TLS.
    Plain(TcpStream),
    /// With TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

// === impl Target ===

impl Target {
    /// Reads `host:port` (with TLS, if `tls`) or a URL whose scheme decides about TLS.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(endpoint: &str, tls: bool) -> Result<Self, String> {
        // What stands before an @ may be a password and is not repeated.
        let shown = match endpoint.rsplit_once('@') {
            Some((_, rest)) => format!("…@{rest}"),
            None => endpoint.to_owned(),
        };
        let fail =
            || format!("expected an endpoint as in \"host:4317\" or a URL, but found {shown:?}");
        let url = if endpoint.contains("://") {
            endpoint.to_owned()
        } else {
            let scheme = if tls { "https" } else { "http" };
            format!("{scheme}://{endpoint}")
        };
        let uri: Uri = url.parse().map_err(|_| fail())?;
        let known = matches!(uri.scheme_str(), Some("http" | "https"));
        let (Some(authority), None) = (uri.authority(), uri.query()) else {
            return Err(fail());
        };
        if authority.as_str().contains('@') {
            return Err(format!(
                "expected no user name or password in {shown:?}; \"headers\" may hold an \
                 \"authorization\""
            ));
        }
        let host = authority.host();
        // A port that is not a number is no port to the parser of URIs.
        let rest = authority.as_str().strip_prefix(host);
        let has_port = authority.port_u16().is_some();
        if !known || host.is_empty() || rest.is_none_or(|rest| has_port == rest.is_empty()) {
            return Err(fail());
        }
        Ok(Self(uri))
    }

    /// Whether connections use TLS.
    pub fn is_tls(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }

    /// As a URI.
    pub fn uri(&self) -> &Uri {
        &self.0
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl Connector ===

impl Connector {
    /// A connector; `tls` is what it uses for `https`.
    ///
    /// # Errors
    /// `server_name` is no host name.
    pub fn new(tls: Option<Arc<ClientConfig>>, server_name: Option<&str>) -> Result<Self, String> {
        let server_name = server_name
            .map(|name| {
                ServerName::try_from(name.to_owned())
                    .map_err(|_| format!("expected a host name, but found {name:?}"))
            })
            .transpose()?;
        Ok(Self { tls, server_name })
    }

    async fn connect(self, uri: Uri) -> Result<TokioIo<Stream>, ConnectError> {
        let host = uri.host().unwrap_or_default();
        let tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let target = format!("{host}:{port}");
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
        let stream = TcpStream::connect((bare, port)).await?;
        stream.set_nodelay(true)?;
        if !tls {
            return Ok(Stream::Plain(stream));
        }
        let Some(config) = self.tls.clone() else {
            return Err(io::Error::other("TLS is not configured"));
        };
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(bare.to_owned()).map_err(io::Error::other)?,
        };
        let stream = TlsConnector::from(config).connect(name, stream).await?;
        Ok(Stream::Tls(Box::new(stream)))
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

impl std::error::Error for ConnectError {}

// === impl Stream ===

impl Connection for Stream {
    fn connected(&self) -> Connected {
        let connected = Connected::new();
        match self {
            Self::Tls(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                connected.negotiated_h2()
            }
            Self::Plain(_) | Self::Tls(_) => connected,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_hosts_or_urls() {
        let p = |endpoint, tls| Target::parse(endpoint, tls).map(|target| target.to_string());
        assert_eq!(p("host:4317", true).unwrap(), "https://host:4317/");
        assert_eq!(p("host:4317", false).unwrap(), "http://host:4317/");
        assert_eq!(p("http://host:4318/x", true).unwrap(), "http://host:4318/x");
        for bad in ["", "ftp://host", "host:port", "http://", "http://a b"] {
            assert!(p(bad, false).is_err(), "{bad}");
        }
        for secret in [
            "https://user:xyzzy@host:4317",
            "user:xyzzy@host:4317",
            "https://user:xyz zy@host",
            "https:/user:xyzzy@host",
        ] {
            let message = p(secret, true).unwrap_err();
            assert!(!message.contains("xyz"), "{message}");
        }
        let message = p("https://user:x@host:4317", true).unwrap_err();
        assert!(
            message.starts_with("expected no user name or password"),
            "{message}"
        );
    }
}
