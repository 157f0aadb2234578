//! How much later a client hears that its payload was taken when a destination takes less than comes
//! in.
//!
//! Without this, whoever sends as fast as it is answered fills the queue of a destination that is only
//! a little slower than itself, up to the last byte, and with memory that has to be fetched from the
//! system first. A client that hears a little later sends a little less, and the queue stays about as
//! long as the destination needs it.
//!
//! The queue holds the payload meanwhile, so nothing depends on the client's patience, of which little
//! is asked. And a destination that takes nothing at all does not slow clients down: to bridge that is
//! what the queue is for. Neither does a queue on disk, which is there to become long.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// See the module. One for each queue.
#[derive(Debug)]
pub(super) struct Pace {
    /// So many bytes wait or are on their way without any delay.
    free: u64,
    suspended: AtomicBool,
}

/// What a queue beyond that costs.
const DELAY_PER_MIB: Duration = Duration::from_millis(1);
/// A client that waits for each answer before it sends again still has 20 requests a second.
const MAX_DELAY: Duration = Duration::from_millis(50);

// === impl Pace ===

impl Pace {
    /// The pace of a queue whose batches have at most `max_batch_bytes`, and which takes up at most
    /// `memory` bytes.
    pub(super) fn new(max_batch_bytes: usize, memory: u64) -> Self {
        // A batch that fills and one on its way are no sign of anything.
        let batches = (max_batch_bytes as u64).saturating_mul(2);
        Self {
            free: batches.min(memory / 2),
            suspended: AtomicBool::new(false),
        }
    }

    /// How long the next answer waits if the queue takes up so many bytes of memory.
    pub(super) fn delay(&self, used: u64) -> Option<Duration> {
        let beyond = used.checked_sub(self.free).filter(|beyond| *beyond > 0)?;
        if self.suspended.load(Ordering::Relaxed) {
            return None;
        }
        let delay = DELAY_PER_MIB.mul_f64(beyond as f64 / f64::from(1 << 20));
        Some(delay.min(MAX_DELAY))
    }

    /// The destination fails, or works again. Returns what was the case before.
    pub(super) fn suspend(&self, suspended: bool) -> bool {
        // Nearly always nothing changes, and then nothing is written.
        if self.suspended.load(Ordering::Relaxed) == suspended {
            return suspended;
        }
        self.suspended.swap(suspended, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn answers_come_later_the_longer_the_queue_is() {
        let pace = Pace::new(4 << 20, 1 << 30);
        assert_eq!(pace.delay(0), None);
        assert_eq!(pace.delay(8 * MIB), None);
        assert_eq!(pace.delay(9 * MIB), Some(DELAY_PER_MIB));
        assert_eq!(pace.delay(18 * MIB), Some(DELAY_PER_MIB * 10));
        assert_eq!(pace.delay(1_000 * MIB), Some(MAX_DELAY));
        assert_eq!(pace.delay(u64::MAX), Some(MAX_DELAY));
    }

    #[test]
    fn a_small_queue_fills_to_its_half_without_a_delay() {
        let pace = Pace::new(usize::MAX, 10 * MIB);
        assert_eq!(pace.delay(5 * MIB), None);
        assert_eq!(pace.delay(7 * MIB), Some(DELAY_PER_MIB * 2));
    }

    #[test]
    fn a_destination_that_fails_delays_nobody() {
        let pace = Pace::new(4 << 20, 1 << 30);
        pace.suspend(true);
        assert_eq!(pace.delay(100 * MIB), None);
        pace.suspend(false);
        assert_eq!(pace.delay(100 * MIB), Some(MAX_DELAY));
    }
}
