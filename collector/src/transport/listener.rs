//! A bound port.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;

use serde::de::{self, Deserialize, Deserializer};
use tokio::net::{TcpListener, TcpSocket, lookup_host};

use crate::pipeline::{Ports, StartError};

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// A bound port that does not accept yet.
#[derive(Debug)]
pub struct Listener {
    pub(super) inner: Arc<TcpListener>,
    address: SocketAddr,
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
        Ok(Self { inner, address })
    }

    /// The address, with the port that port 0 became.
    pub fn address(&self) -> SocketAddr {
        self.address
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
}
