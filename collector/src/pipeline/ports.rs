//! The ports that are open, so that a new configuration takes them over from the one before it: a port
//! that is closed and opened again would refuse connections in between.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::net::TcpListener;

/// The ports of one configuration. Clones are the same ports.
#[derive(Clone, Debug, Default)]
pub struct Ports(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Those of the configuration before that nobody has taken over yet.
    inherited: Vec<Port>,
    open: Vec<Port>,
}

/// An open port. It is closed when the last of those who accept from it has left.
#[derive(Clone, Debug)]
struct Port {
    owner: String,
    endpoint: String,
    listener: Weak<TcpListener>,
}

// === impl Ports ===

impl Ports {
    /// The ports of the next configuration, which can take over these here. Both accept for as long as
    /// both want to.
    #[must_use]
    pub fn next(&self) -> Self {
        let inherited = self.lock().open.clone();
        Self(Arc::new(Mutex::new(State {
            inherited,
            open: Vec::new(),
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

    /// Notes a port that is open now.
    pub fn opened(&self, owner: &str, endpoint: &str, listener: &Arc<TcpListener>) {
        self.lock().open.push(Port {
            owner: owner.to_owned(),
            endpoint: endpoint.to_owned(),
            listener: Arc::downgrade(listener),
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
}
