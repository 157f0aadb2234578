//! Limits that are reserved before they are used.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// An amount that can be shared out.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    used: AtomicU64,
    freed: Notify,
}

/// A part of a [`Budget`], given back when it is dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    amount: u64,
}

// === impl Budget ===

impl Budget {
    /// A budget of `limit`.
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicU64::new(0),
            freed: Notify::new(),
        })
    }

    /// Reserves `amount` if so much is left.
    pub fn try_reserve(self: &Arc<Self>, amount: u64) -> Option<Reservation> {
        self.used
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |used| {
                used.checked_add(amount).filter(|used| *used <= self.limit)
            })
            .ok()?;
        Some(Reservation {
            budget: self.clone(),
            amount,
        })
    }

    /// Reserves `amount`, and waits until so much is left; `None` if the whole budget is less.
    pub async fn reserve(self: &Arc<Self>, amount: u64) -> Option<Reservation> {
        if amount > self.limit {
            return None;
        }
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            // Enabled before the attempt, so that what is freed in between is not missed.
            freed.as_mut().enable();
            if let Some(reservation) = self.try_reserve(amount) {
                return Some(reservation);
            }
            freed.await;
        }
    }

    /// The whole of it.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// How much is reserved.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

// === impl Reservation ===

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.amount, Ordering::AcqRel);
        self.budget.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_shared_out_than_there_is() {
        let budget = Budget::new(10);
        let first = budget.try_reserve(7).unwrap();
        assert!(budget.try_reserve(4).is_none());
        let _second = budget.try_reserve(3).unwrap();
        drop(first);
        assert_eq!(budget.used(), 3);
        assert!(budget.try_reserve(u64::MAX).is_none());
    }

    #[tokio::test]
    async fn those_who_wait_get_what_is_freed() {
        let budget = Budget::new(10);
        assert!(budget.reserve(11).await.is_none());
        let held = budget.try_reserve(10).unwrap();
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.reserve(5).await.is_some() }
        });
        tokio::task::yield_now().await;
        drop(held);
        assert!(waiting.await.unwrap());
    }
}
