//! A request as it came over the wire.

use std::sync::Arc;

use bytes::Bytes;
use spanmesh_otlp::{CheckError, Signal};

use super::client::Client;

/// A well-formed OTLP export request, still encoded.
///
/// Invariant: the bytes have passed [`spanmesh_otlp::check`], so that payloads may be appended to
/// each other without one spoiling the rest.
#[derive(Clone, Debug)]
pub struct Payload {
    signal: Signal,
    bytes: Bytes,
    items: u64,
    client: Option<Arc<Client>>,
}

/// What a payload takes up beside its bytes: its places in queues, its reservations, its shares of
/// allocations. Without it, a queue of the smallest requests would take up several times what it
/// accounts for.
const OVERHEAD: u64 = 256;

// === impl Payload ===

impl Payload {
    /// Checks a request to its last field.
    ///
    /// # Errors
    /// The first field that is wrong, with its path.
    pub fn parse(signal: Signal, bytes: Bytes) -> Result<Self, CheckError> {
        let counts = spanmesh_otlp::check(signal, &bytes)?;
        Ok(Self {
            signal,
            bytes,
            items: counts.items as u64,
            client: None,
        })
    }

    /// The same from a known client.
    #[must_use]
    pub fn from_client(self, client: Client) -> Self {
        Self {
            client: Some(Arc::new(client)),
            ..self
        }
    }

    /// What a processor made of it: other bytes, which are well formed as before, with this number of
    /// items.
    #[must_use]
    pub fn rewritten(self, bytes: Vec<u8>, items: u64) -> Self {
        debug_assert_eq!(
            spanmesh_otlp::check(self.signal, &bytes).map(|counts| counts.items as u64),
            Ok(items)
        );
        Self {
            bytes: bytes.into(),
            items,
            ..self
        }
    }

    /// What kind of request it is.
    pub fn signal(&self) -> Signal {
        self.signal
    }

    /// The encoded request.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Who sent it, if that is known.
    pub fn client(&self) -> Option<&Client> {
        self.client.as_deref()
    }

    /// How many bytes of memory it takes up, with what is kept about it.
    pub fn memory(&self) -> u64 {
        Self::memory_of(self.bytes.len())
    }

    /// The same for a payload of so many bytes.
    pub(super) fn memory_of(bytes: usize) -> u64 {
        bytes as u64 + OVERHEAD
    }

    /// Spans, log records or metric data points.
    pub fn items(&self) -> u64 {
        self.items
    }
}
