//! The servers behind an endpoint, and whose turn it is.
//!
//! With `round_robin` each address that the endpoint's name has gets a connection, and each call goes to
//! the next one. An address that cannot be connected to is passed over for a while. The name is looked
//! up again every 30 seconds, and soon after a failure, so that servers may come and go.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::lookup_host;
use tonic::transport::{Channel, Endpoint};
use tracing::{info, warn};

use super::options::Balancer;
use crate::telemetry::Throttle;
use crate::transport::{Connector, Target};

/// See the module.
pub(super) enum Peers {
    /// One connection, to whatever the connector finds behind the name.
    One(Arc<Peer>),
    /// One for each address.
    Many(Arc<Addresses>),
}

/// One server.
pub(super) struct Peer {
    address: Option<SocketAddr>,
    channel: Channel,
    health: Mutex<Health>,
}

/// The servers that a name stands for.
pub(super) struct Addresses {
    host: String,
    port: u16,
    endpoint: Endpoint,
    connector: Connector,
    state: Mutex<State>,
    turn: AtomicUsize,
    failures: Throttle,
}

/// A call to a server. One that is dropped without an end, because there was no time left, counts as
/// failed.
pub(super) struct Attempt<'a> {
    peer: &'a Peer,
    settled: bool,
}

#[derive(Default)]
struct Health {
    /// How often in a row it could not be reached.
    failures: u32,
    /// Until then others are asked first.
    down_until: Option<Instant>,
}

#[derive(Default)]
struct State {
    /// Sorted by address.
    peers: Vec<Arc<Peer>>,
    looked_up: Option<Instant>,
    looking_up: bool,
}

/// How old addresses may be.
const LOOKUP_INTERVAL: Duration = Duration::from_secs(30);
/// How old they may be while a server cannot be reached.
const LOOKUP_INTERVAL_AFTER_FAILURE: Duration = Duration::from_secs(1);
/// How long a server that cannot be reached is passed over for the first time, and at most.
const DOWN_MIN: Duration = Duration::from_secs(1);
const DOWN_MAX: Duration = Duration::from_secs(30);

// === impl Peers ===

impl Peers {
    pub(super) fn new(
        balancer: Balancer,
        target: &Target,
        endpoint: Endpoint,
        connector: Connector,
    ) -> Self {
        match (balancer, target.name()) {
            (Balancer::RoundRobin, Some((host, port))) => Self::Many(Arc::new(Addresses {
                host,
                port,
                endpoint,
                connector,
                state: Mutex::default(),
                turn: AtomicUsize::new(0),
                failures: Throttle::default(),
            })),
            (Balancer::RoundRobin | Balancer::PickFirst, _) => {
                let channel = endpoint.connect_with_connector_lazy(connector);
                Self::One(Arc::new(Peer::new(None, channel)))
            }
        }
    }

    /// The servers in the order in which the next call shall try them.
    ///
    /// # Errors
    /// The name cannot be looked up, and never could.
    pub(super) async fn in_turn(&self) -> io::Result<Vec<Arc<Peer>>> {
        match self {
            Self::One(peer) => Ok(vec![peer.clone()]),
            Self::Many(addresses) => addresses.in_turn().await,
        }
    }
}

// === impl Addresses ===

impl Addresses {
    async fn in_turn(self: &Arc<Self>) -> io::Result<Vec<Arc<Peer>>> {
        let mut peers = self.known();
        if peers.is_empty() {
            self.look_up().await?;
            peers = self.known();
        } else if self.is_outdated(&peers) {
            let addresses = self.clone();
            tokio::spawn(async move {
                if let Err(error) = addresses.look_up().await
                    && addresses.failures.count(1).is_some()
                {
                    let host = addresses.host.as_str();
                    warn!(
                        host,
                        "cannot be looked up, its former addresses stay: {error}"
                    );
                }
                addresses.lock().looking_up = false;
            });
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let first = turn.checked_rem(peers.len()).unwrap_or_default();
        peers.rotate_left(first);
        // The sort is stable: among those that can be reached the order stays.
        let now = Instant::now();
        peers.sort_by_cached_key(|peer| peer.down_until().filter(|until| *until > now));
        Ok(peers)
    }

    fn known(&self) -> Vec<Arc<Peer>> {
        self.lock().peers.clone()
    }

    /// Whether the caller shall look the name up: it is time, and nobody else does.
    fn is_outdated(&self, peers: &[Arc<Peer>]) -> bool {
        let interval = match peers.iter().any(|peer| peer.down_until().is_some()) {
            true => LOOKUP_INTERVAL_AFTER_FAILURE,
            false => LOOKUP_INTERVAL,
        };
        let mut state = self.lock();
        let outdated = state.looked_up.is_none_or(|at| at.elapsed() >= interval);
        outdated && !std::mem::replace(&mut state.looking_up, true)
    }

    async fn look_up(&self) -> io::Result<()> {
        let found = lookup_host((self.host.as_str(), self.port)).await;
        self.lock().looked_up = Some(Instant::now());
        let mut found: Vec<_> = found?.collect();
        found.sort_unstable();
        found.dedup();
        self.replace(&found);
        Ok(())
    }

    /// Keeps the connections to addresses that are still there.
    fn replace(&self, addresses: &[SocketAddr]) {
        if addresses.is_empty() {
            return;
        }
        let mut state = self.lock();
        let before = std::mem::take(&mut state.peers);
        let same = before.iter().filter_map(|peer| peer.address);
        if !before.is_empty() && !same.eq(addresses.iter().copied()) {
            let host = self.host.as_str();
            info!(host, ?addresses, "has other addresses now");
        }
        for address in addresses {
            let known = before.iter().find(|peer| peer.address == Some(*address));
            let peer = known.cloned().unwrap_or_else(|| {
                let connector = self.connector.to_address(*address);
                let channel = self.endpoint.connect_with_connector_lazy(connector);
                Arc::new(Peer::new(Some(*address), channel))
            });
            state.peers.push(peer);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Peer ===

impl Peer {
    fn new(address: Option<SocketAddr>, channel: Channel) -> Self {
        Self {
            address,
            channel,
            health: Mutex::default(),
        }
    }

    pub(super) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Begins a call.
    pub(super) fn attempt(&self) -> Attempt<'_> {
        Attempt {
            peer: self,
            settled: false,
        }
    }

    fn down_until(&self) -> Option<Instant> {
        self.lock().down_until
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Attempt ===

impl Attempt<'_> {
    /// The server has answered, whatever it said.
    pub(super) fn answered(mut self) {
        self.settled = true;
        *self.peer.lock() = Health::default();
    }

    /// The server could not be reached.
    pub(super) fn failed(self) {
        drop(self);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let mut health = self.peer.lock();
        let factor = 1 << health.failures.min(10);
        health.failures = health.failures.saturating_add(1);
        health.down_until = Some(Instant::now() + (DOWN_MIN * factor).min(DOWN_MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(count: u8) -> Arc<Addresses> {
        let target = Target::parse_grpc("localhost:4317", false).unwrap();
        let connector = Connector::new(None, None).unwrap();
        let endpoint = Endpoint::from(target.uri().clone());
        let Peers::Many(addresses) = Peers::new(Balancer::RoundRobin, &target, endpoint, connector)
        else {
            panic!("a name is one address")
        };
        replace(&addresses, 0..count);
        addresses
    }

    fn replace(addresses: &Addresses, hosts: std::ops::Range<u8>) {
        let found: Vec<_> = hosts.map(|host| ([127, 0, 0, host], 4317).into()).collect();
        addresses.lock().looked_up = Some(Instant::now());
        addresses.replace(&found);
    }

    async fn hosts(addresses: &Arc<Addresses>) -> Vec<u8> {
        let peers = addresses.in_turn().await.unwrap();
        let host = |peer: &Arc<Peer>| match peer.address.unwrap() {
            SocketAddr::V4(address) => address.ip().octets()[3],
            SocketAddr::V6(_) => panic!(),
        };
        peers.iter().map(host).collect()
    }

    #[tokio::test]
    async fn each_address_has_its_turn() {
        let addresses = addresses(3);
        assert_eq!(hosts(&addresses).await, [0, 1, 2]);
        assert_eq!(hosts(&addresses).await, [1, 2, 0]);
        assert_eq!(hosts(&addresses).await, [2, 0, 1]);
        assert_eq!(hosts(&addresses).await, [0, 1, 2]);
    }

    #[tokio::test]
    async fn who_cannot_be_reached_comes_last_until_it_answers() {
        let addresses = addresses(3);
        let peers = addresses.known();
        // So that the name is not looked up.
        addresses.lock().looking_up = true;
        // So often that they are passed over for longer than this takes.
        for _ in 0..5 {
            peers[1].attempt().failed();
            drop(peers[2].attempt());
        }
        peers[2].attempt().failed();
        assert_eq!(hosts(&addresses).await, [0, 1, 2]);
        assert_eq!(hosts(&addresses).await, [0, 1, 2]);
        peers[2].attempt().answered();
        assert_eq!(hosts(&addresses).await, [2, 0, 1]);
    }

    #[tokio::test]
    async fn connections_outlive_a_look_up() {
        let addresses = addresses(2);
        let before = addresses.known();
        replace(&addresses, 1..3);
        let after = addresses.known();
        assert!(Arc::ptr_eq(&before[1], &after[0]));
        assert_eq!(after.len(), 2);
        replace(&addresses, 0..0);
        assert_eq!(
            addresses.known().len(),
            2,
            "no address is no reason to stop"
        );
    }
}
