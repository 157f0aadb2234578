//! A bound port, or a unix socket.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::{self, Deserialize, Deserializer};
use tokio::net::{TcpListener, TcpSocket, lookup_host};

use super::socket::Socket;
use crate::pipeline::{BoundSocket, Ports, StartError};

/// `transport` of a receiver: what its endpoint is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// `host:port`; an empty host is every address.
    #[default]
    #[serde(alias = "tcp4", alias = "tcp6")]
    Tcp,
    /// The path of a socket.
    Unix,
}

/// What may stand before the path of a socket.
const UNIX_SCHEME: &str = "unix://";

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// A bound port or socket that does not accept yet.
#[derive(Debug)]
pub struct Listener {
    inner: Inner,
    address: Address,
}

#[derive(Debug)]
enum Inner {
    Tcp(Arc<TcpListener>),
    Unix(Arc<BoundSocket>),
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// With the port that port 0 became.
    Tcp(SocketAddr),
    /// A socket on this machine.
    Unix(PathBuf),
}

// === impl Transport ===

impl Transport {
    /// Whether an endpoint is what this says.
    ///
    /// # Errors
    /// A sentence that says what was expected.
    pub fn check(self, endpoint: &str) -> Result<(), String> {
        match (self, is_path(endpoint)) {
            (Self::Tcp, false) | (Self::Unix, true) => Ok(()),
            (Self::Tcp, true) => Err(format!(
                "expected \"transport: unix\" with the endpoint {endpoint:?}"
            )),
            (Self::Unix, false) => Err(format!(
                "expected the path of a socket with \"transport: unix\", as in \
                 \"/run/otlp.sock\", but found the endpoint {endpoint:?}"
            )),
        }
    }
}

// === impl Listener ===

impl Listener {
    /// Binds `endpoint` (`host:port`; an empty host is every address) for `component`, or takes it over
    /// from the configuration before.
    ///
    /// # Errors
    /// The name is unknown, or the port is in use or forbidden.
    pub async fn bind(component: &str, endpoint: &str, ports: &Ports) -> Result<Self, StartError> {
        let fail = |error: io::Error| {
            let hint = match error.kind() {
                io::ErrorKind::AddrInUse => "the port is already in use by another process",
                io::ErrorKind::PermissionDenied => "permission to open the port is denied",
                io::ErrorKind::AddrNotAvailable => "this machine does not have the address",
                _ => "",
            };
            let reason = if hint.is_empty() {
                error.to_string()
            } else {
                hint.to_owned()
            };
            StartError(format!("{component} cannot listen on {endpoint}: {reason}"))
        };
        let host_and_port = match endpoint.strip_prefix(':') {
            Some(port) => format!("0.0.0.0:{port}"),
            None => endpoint.to_owned(),
        };
        let address = lookup_host(&host_and_port)
            .await
            .map_err(fail)?
            // `localhost` is 127.0.0.1 for every client; ::1 only for some.
            .min_by_key(SocketAddr::is_ipv6)
            .ok_or_else(|| StartError(format!("{component}: {endpoint} has no address")))?;
        let inner = match ports.take_over(component, endpoint, address) {
            Some(open) => open,
            None => Arc::new(bind(address).map_err(fail)?),
        };
        ports.opened(component, endpoint, &inner);
        let address = inner.local_addr().map_err(fail)?;
        Ok(Self {
            inner: Inner::Tcp(inner),
            address: Address::Tcp(address),
        })
    }

    /// Binds what `transport` says that `endpoint` is.
    ///
    /// # Errors
    /// Those of [`Self::bind`]; or the socket is in use, or something else stands in its place.
    pub async fn bind_over(
        transport: Transport,
        component: &str,
        endpoint: &str,
        ports: &Ports,
    ) -> Result<Self, StartError> {
        if transport == Transport::Tcp {
            return Self::bind(component, endpoint, ports).await;
        }
        let path = Path::new(endpoint.strip_prefix(UNIX_SCHEME).unwrap_or(endpoint));
        let socket = ports.socket(path).map_err(|reason| {
            let path = path.display();
            StartError(format!("{component} cannot listen on {path}: {reason}"))
        })?;
        Ok(Self {
            inner: Inner::Unix(socket),
            address: Address::Unix(path.to_owned()),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The next connection, and where it comes from; `None` on sockets without addresses.
    ///
    /// # Errors
    /// Typically for want of file descriptors.
    pub(super) async fn accept(&self) -> io::Result<(Socket, Option<IpAddr>)> {
        match &self.inner {
            Inner::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // Answers are small; without this they wait for the client's delayed acknowledgement.
                stream.set_nodelay(true)?;
                Ok((Socket::Left(stream), Some(address.ip())))
            }
            Inner::Unix(socket) => Ok((Socket::Right(socket.accept().await?), None)),
        }
    }
}

// === impl Address ===

impl Address {
    /// Host and port, if it has them.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// Whether an endpoint can be one: `host:port`, with an empty host for every address.
///
/// # Errors
/// A sentence that says what was expected.
pub fn check_endpoint(endpoint: &str) -> Result<(), String> {
    let well_formed = endpoint.rsplit_once(':').is_some_and(|(host, port)| {
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host_is_right = match bare {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => host
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_')),
        };
        host_is_right && port.parse::<u16>().is_ok()
    });
    match well_formed {
        true => Ok(()),
        false => Err(format!(
            "expected a host and a port to listen on, as in \"localhost:4317\", but found \
             {endpoint:?}"
        )),
    }
}

/// For `#[serde(deserialize_with = "listen_endpoint")]`: an endpoint that [`Listener::bind`] can try.
///
/// # Errors
/// It is none.
pub fn listen_endpoint<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let endpoint = String::deserialize(deserializer)?;
    check_endpoint(&endpoint).map_err(de::Error::custom)?;
    Ok(endpoint)
}

/// The same, for an endpoint that may also be the path of a socket.
///
/// # Errors
/// It is neither.
pub fn listen_endpoint_or_path<'de, D>(deserializer: D) -> Result<String, D::Error>
where
    D: Deserializer<'de>,
{
    let endpoint = String::deserialize(deserializer)?;
    if !is_path(&endpoint) {
        check_endpoint(&endpoint).map_err(de::Error::custom)?;
    }
    Ok(endpoint)
}

/// Paths of sockets have a slash, which neither hosts nor ports have.
fn is_path(endpoint: &str) -> bool {
    endpoint.starts_with(UNIX_SCHEME) || (endpoint.contains('/') && !endpoint.contains("://"))
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A restart does not have to wait for old connections to time out.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_hosts_with_ports() {
        for right in [
            "localhost:4317",
            ":4317",
            "0.0.0.0:0",
            "[::1]:4317",
            "a-b.c_d:1",
        ] {
            assert!(check_endpoint(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "localhost",
            "localhost:",
            "localhost:x",
            "a:65536",
            "::1:4317",
            "[x]:1",
            "http://localhost:4317",
            "a b:1",
        ] {
            assert!(check_endpoint(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let ports = Ports::default();
        let first = Listener::bind("receiver \"otlp\" (grpc)", "localhost:0", &ports)
            .await
            .unwrap();
        let endpoint = first.address().to_string();
        let error = Listener::bind("receiver \"otlp\" (grpc)", &endpoint, &ports)
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "receiver \"otlp\" (grpc) cannot listen on {endpoint}: the port is already in use \
                 by another process"
            )
        );
    }

    #[test]
    fn endpoints_fit_their_transport() {
        for (transport, endpoint, fits) in [
            (Transport::Tcp, "localhost:4317", true),
            (Transport::Tcp, "/run/otlp.sock", false),
            (Transport::Unix, "/run/otlp.sock", true),
            (Transport::Unix, "unix:///run/otlp.sock", true),
            (Transport::Unix, "./otlp.sock", true),
            (Transport::Unix, "localhost:4317", false),
            (Transport::Unix, "http://localhost:4317", false),
        ] {
            assert_eq!(transport.check(endpoint).is_ok(), fits, "{endpoint}");
        }
    }
}
