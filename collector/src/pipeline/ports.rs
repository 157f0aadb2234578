//! The ports that are open, so that a new configuration takes them over from the one before it: a port
//! that is closed and opened again would refuse connections in between.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream as BlockingUnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::net::{TcpListener, UnixListener, UnixStream};

/// The ports of one configuration. Clones are the same ports.
#[derive(Clone, Debug, Default)]
pub struct Ports(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Those of the configuration before that nobody has taken over yet.
    inherited: Vec<Port>,
    open: Vec<Port>,
    inherited_sockets: Vec<Weak<BoundSocket>>,
    open_sockets: Vec<Weak<BoundSocket>>,
}

/// An open port. It is closed when the last of those who accept from it has left.
#[derive(Clone, Debug)]
struct Port {
    owner: String,
    endpoint: String,
    listener: Weak<TcpListener>,
}

/// A unix socket that is open. Its file goes when the last of those who accept from it has left.
#[derive(Debug)]
pub struct BoundSocket {
    listener: UnixListener,
    path: PathBuf,
}

// === impl Ports ===

impl Ports {
    /// The ports of the next configuration, which can take over these here. Both accept for as long as
    /// both want to.
    #[must_use]
    pub fn next(&self) -> Self {
        let state = self.lock();
        Self(Arc::new(Mutex::new(State {
            inherited: state.open.clone(),
            inherited_sockets: state.open_sockets.clone(),
            ..State::default()
        })))
    }

    /// Takes over the port that `owner` had open at `endpoint`, or one that anybody had open at
    /// `address`. Each can be taken over once.
    pub fn take_over(
        &self,
        owner: &str,
        endpoint: &str,
        address: SocketAddr,
    ) -> Option<Arc<TcpListener>> {
        let mut state = self.lock();
        let is_own = |port: &Port| port.owner == owner && port.endpoint == endpoint;
        let index = state
            .inherited
            .iter()
            .position(is_own)
            .or_else(|| state.inherited.iter().position(|port| port.is_at(address)))?;
        state.inherited.swap_remove(index).listener.upgrade()
    }

    /// Leaves the port at `address` with the one who has it open already.
    pub fn keep(&self, address: SocketAddr) {
        let mut state = self.lock();
        let at = state.inherited.iter().position(|port| port.is_at(address));
        if let Some(index) = at {
            let port = state.inherited.swap_remove(index);
            state.open.push(port);
        }
    }

    /// Leaves the socket at `path` with the one who has it open already.
    pub fn keep_socket(&self, path: &Path) {
        let mut state = self.lock();
        let is_here =
            |socket: &Weak<BoundSocket>| socket.upgrade().is_some_and(|open| open.path == path);
        if let Some(index) = state.inherited_sockets.iter().position(is_here) {
            let socket = state.inherited_sockets.swap_remove(index);
            state.open_sockets.push(socket);
        }
    }

    /// Notes a port that is open now.
    pub fn opened(&self, owner: &str, endpoint: &str, listener: &Arc<TcpListener>) {
        self.lock().open.push(Port {
            owner: owner.to_owned(),
            endpoint: endpoint.to_owned(),
            listener: Arc::downgrade(listener),
        });
    }

    /// Opens the socket at `path`, or takes it over. One that a process left behind which is no more
    /// gives way; nothing else does.
    ///
    /// # Errors
    /// Why it cannot be opened, as a sentence.
    pub fn socket(&self, path: &Path) -> Result<Arc<BoundSocket>, String> {
        let mut state = self.lock();
        let mut inherited = state.inherited_sockets.iter().filter_map(Weak::upgrade);
        let socket = match inherited.find(|socket| socket.path == path) {
            Some(socket) => socket,
            None => Arc::new(BoundSocket::open(path)?),
        };
        state
            .inherited_sockets
            .retain(|other| !other.ptr_eq(&Arc::downgrade(&socket)));
        state.open_sockets.push(Arc::downgrade(&socket));
        Ok(socket)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl BoundSocket ===

impl BoundSocket {
    fn open(path: &Path) -> Result<Self, String> {
        if let Ok(metadata) = std::fs::symlink_metadata(path) {
            if !metadata.file_type().is_socket() {
                return Err("a file that is no socket is in its place".to_owned());
            }
            if BlockingUnixStream::connect(path).is_ok() {
                return Err("the socket is already in use by another process".to_owned());
            }
            std::fs::remove_file(path).map_err(|error| error.to_string())?;
        }
        let listener = UnixListener::bind(path).map_err(|error| error.to_string())?;
        Ok(Self {
            listener,
            path: path.to_owned(),
        })
    }

    /// The next connection.
    ///
    /// # Errors
    /// Typically for want of file descriptors.
    pub async fn accept(&self) -> io::Result<UnixStream> {
        let (stream, _) = self.listener.accept().await?;
        Ok(stream)
    }
}

impl Drop for BoundSocket {
    fn drop(&mut self) {
        // It may be gone already; then there is nothing to do.
        let _ = std::fs::remove_file(&self.path);
    }
}

// === impl Port ===

impl Port {
    fn is_at(&self, address: SocketAddr) -> bool {
        let listener = self.listener.upgrade();
        listener.is_some_and(|open| open.local_addr().is_ok_and(|open| open == address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_is_taken_over_once_by_its_owner_or_by_its_address() {
        let first = Ports::default();
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let address = listener.local_addr().unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        first.opened("a", "localhost:0", &listener);
        assert!(first.take_over("a", "localhost:0", any).is_none());

        let next = first.next();
        assert!(next.take_over("b", "localhost:0", any).is_none());
        assert!(next.take_over("a", "localhost:0", any).is_some());
        assert!(next.take_over("a", "localhost:0", any).is_none());

        let next = first.next();
        assert!(next.take_over("b", "127.0.0.1:1", address).is_some());
        let next = first.next();
        next.keep(address);
        assert!(next.take_over("b", "127.0.0.1:1", address).is_none());
        assert!(next.next().take_over("b", "127.0.0.1:1", address).is_some());
        let next = first.next();
        drop(listener);
        assert!(next.take_over("a", "localhost:0", any).is_none());
    }

    #[tokio::test]
    async fn sockets_take_the_place_of_dead_ones_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("otlp.sock");
        let first = Ports::default();
        let socket = first.socket(&path).unwrap();
        let error = Ports::default().socket(&path).unwrap_err();
        assert!(
            error.ends_with("already in use by another process"),
            "{error}"
        );
        let taken_over = first.next().socket(&path).unwrap();
        assert!(Arc::ptr_eq(&socket, &taken_over));
        drop(socket);
        assert!(path.exists());
        drop(taken_over);
        assert!(!path.exists());
        // A process that was killed leaves its socket behind.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        drop(Ports::default().socket(&path).unwrap());
        std::fs::write(&path, "precious").unwrap();
        let error = Ports::default().socket(&path).unwrap_err();
        assert!(
            error.ends_with("a file that is no socket is in its place"),
            "{error}"
        );
        assert!(path.exists());
    }
}
