//! Memory for a request while it is being read.
//!
//! The budget would be of no use if it only counted what has been read: a few slow clients with large
//! bodies would take up more than all queues together.

use std::sync::Arc;

use super::budget::{Budget, Reservation};
use super::intake::{Overload, Refusal, RequestMetrics};
use super::limiter::Limiter;

/// What a request takes up of the memory budget so far. Grows while the request is being read and
/// is handed on with the payload.
#[derive(Debug)]
pub struct Hold {
    reservation: Reservation,
    /// The most that may be reserved by everybody.
    limit: u64,
    limiter: Option<Limiter>,
    metrics: Arc<RequestMetrics>,
}

// === impl Hold ===

impl Hold {
    pub(super) fn new(
        memory: &Arc<Budget>,
        limiter: Option<&Limiter>,
        metrics: Arc<RequestMetrics>,
    ) -> Self {
        Self {
            reservation: memory.empty(),
            limit: limiter.map_or(memory.limit(), |limiter| limiter.limits().hard),
            limiter: limiter.cloned(),
            metrics,
        }
    }

    /// From now on the request, which is still being read, takes up so many bytes.
    ///
    /// # Errors
    /// So much is not left, or is more than the whole budget. The request cannot be read then.
    pub fn resize(&mut self, bytes: u64) -> Result<(), Refusal> {
        let resized = self.fit(bytes);
        if matches!(resized, Err(Refusal::Overloaded { .. })) {
            self.metrics.overloaded();
        }
        resized
    }

    /// The same for a request that has been read, and is accounted for by its items.
    pub(super) fn fit(&mut self, bytes: u64) -> Result<(), Refusal> {
        if self.reservation.resize_within(bytes, self.limit) {
            Ok(())
        } else if bytes > self.limit {
            Err(Refusal::TooLarge)
        } else {
            if let Some(limiter) = &self.limiter {
                limiter.refused_at_hard_limit();
            }
            Err(Refusal::overloaded(Overload::MemoryUsedUp))
        }
    }

    /// The same request, which has taken up so much before.
    #[must_use]
    pub(super) fn with(self, reservation: Reservation) -> Self {
        Self {
            reservation,
            ..self
        }
    }

    pub(super) fn into_reservation(self) -> Reservation {
        self.reservation
    }
}
