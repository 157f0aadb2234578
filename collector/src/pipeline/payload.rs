//! A request as it came over the wire.

use bytes::Bytes;
use spanmesh_otlp::{CheckError, Signal};

/// A well-formed OTLP export request, still encoded.
///
/// Invariant: the bytes have passed [`spanmesh_otlp::check`], so that payloads may be appended to
/// each other without one spoiling the rest.
#[derive(Clone, Debug)]
pub struct Payload {
    signal: Signal,
    bytes: Bytes,
    items: u64,
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
        })
    }

    /// What kind of request it is.
    pub fn signal(&self) -> Signal {
        self.signal
    }

    /// The encoded request.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// How many bytes of memory it takes up, with what is kept about it.
    pub fn memory(&self) -> u64 {
        self.bytes.len() as u64 + OVERHEAD
    }

    /// Spans, log records or metric data points.
    pub fn items(&self) -> u64 {
        self.items
    }
}
