//! Memory for a request while it is being read.
//!
//! The budget would be of no use if it only counted what has been read: a few slow clients with large
//! bodies would take up more than all queues together.

use std::sync::Arc;

use super::budget::{Budget, Reservation};
use super::intake::{Overload, Refusal};

/// What a request takes up of the memory budget so far. Grows while the request is being read and
/// is handed on with the payload.
#[derive(Debug)]
pub struct Hold {
    reservation: Reservation,
    limit: u64,
}

// === impl Hold ===

impl Hold {
    pub(super) fn new(memory: &Arc<Budget>) -> Self {
        Self {
            reservation: memory.empty(),
            limit: memory.limit(),
        }
    }

    /// From now on the request takes up so many bytes.
    ///
    /// # Errors
    /// So much is not left, or is more than the whole budget.
    pub fn resize(&mut self, bytes: u64) -> Result<(), Refusal> {
        if self.reservation.resize(bytes) {
            Ok(())
        } else if bytes > self.limit {
            Err(Refusal::TooLarge)
        } else {
            Err(Refusal::overloaded(Overload::MemoryUsedUp))
        }
    }

    pub(super) fn into_reservation(self) -> Reservation {
        self.reservation
    }
}
