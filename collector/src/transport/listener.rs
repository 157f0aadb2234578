//! A bound port.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket, lookup_host};

use crate::pipeline::StartError;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// A bound port that does not accept yet.
#[derive(Debug)]
pub struct Listener {
    pub(super) inner: TcpListener,
    address: SocketAddr,
}

// === impl Listener ===

impl Listener {
    /// Binds `endpoint` (`host:port`; an empty host is every address) for `component`.
    ///
    /// # Errors
    /// The name is unknown, or the port is in use or forbidden.
    pub async fn bind(component: &str, endpoint: &str) -> Result<Self, StartError> {
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
        let inner = bind(address).map_err(fail)?;
        let address = inner.local_addr().map_err(fail)?;
        Ok(Self { inner, address })
    }

    /// The address, with the port that port 0 became.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
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

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let first = Listener::bind("receiver \"otlp\" (grpc)", "localhost:0")
            .await
            .unwrap();
        let endpoint = first.address().to_string();
        let error = Listener::bind("receiver \"otlp\" (grpc)", &endpoint)
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
