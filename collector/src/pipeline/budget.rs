//! Limits that are reserved before they are used.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// An amount that can be shared out.
#[derive(Debug)]
pub struct Budget {
    limit: AtomicU64,
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
            limit: AtomicU64::new(limit),
            used: AtomicU64::new(0),
            freed: Notify::new(),
        })
    }

    /// Reserves `amount` if so much is left. Nothing always is, also when more is reserved than there is:
    /// see [`Self::reserve_over`].
    pub fn try_reserve(self: &Arc<Self>, amount: u64) -> Option<Reservation> {
        self.try_reserve_within(amount, self.limit())
    }

    /// The same if no more than `limit` is reserved then.
    fn try_reserve_within(self: &Arc<Self>, amount: u64, limit: u64) -> Option<Reservation> {
        if amount == 0 {
            return Some(self.empty());
        }
        let limit = limit.min(self.limit());
        self.used
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |used| {
                used.checked_add(amount).filter(|used| *used <= limit)
            })
            .ok()?;
        Some(Reservation {
            budget: self.clone(),
            amount,
        })
    }

    /// Reserves `amount` whether or not so much is left: for what is there already, and has to be
    /// counted.
    pub(super) fn reserve_over(self: &Arc<Self>, amount: u64) -> Reservation {
        self.used.fetch_add(amount, Ordering::AcqRel);
        Reservation {
            budget: self.clone(),
            amount,
        }
    }

    /// A reservation of nothing, to be resized.
    pub fn empty(self: &Arc<Self>) -> Reservation {
        Reservation {
            budget: self.clone(),
            amount: 0,
        }
    }

    /// Waits until `amount` is left, which never is if the whole budget is less. Reserves nothing: by
    /// the time that this returns somebody else may have taken it.
    pub async fn vacant(&self, amount: u64) {
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            // Enabled before the look, so that what is freed in between is not missed.
            freed.as_mut().enable();
            if amount <= self.limit().saturating_sub(self.used()) {
                return;
            }
            freed.await;
        }
    }

    /// The whole of it.
    pub fn limit(&self) -> u64 {
        self.limit.load(Ordering::Acquire)
    }

    /// Makes the whole larger or smaller. What is reserved stays so, even if it is more.
    pub fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::Release);
        self.freed.notify_waiters();
    }

    /// How much is reserved.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Acquire)
    }
}

// === impl Reservation ===

impl Reservation {
    /// Makes it larger or smaller; changes nothing and says `false` if so much is not left.
    pub fn resize(&mut self, amount: u64) -> bool {
        self.resize_within(amount, self.budget.limit())
    }

    /// The same, with no more than `limit` reserved of the budget by everybody.
    pub fn resize_within(&mut self, amount: u64, limit: u64) -> bool {
        if let Some(more) = amount.checked_sub(self.amount) {
            let Some(mut more) = self.budget.try_reserve_within(more, limit) else {
                return false;
            };
            more.amount = 0;
        } else {
            drop(self.split(self.amount - amount));
        }
        self.amount = amount;
        true
    }

    /// Takes another reservation of the same budget over.
    pub(super) fn merge(&mut self, mut other: Self) {
        self.amount += std::mem::take(&mut other.amount);
    }

    /// Takes `amount` of it out into a reservation of its own; less if there is less.
    pub fn split(&mut self, amount: u64) -> Self {
        let amount = amount.min(self.amount);
        self.amount -= amount;
        Self {
            budget: self.budget.clone(),
            amount,
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.amount == 0 {
            return;
        }
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

    #[test]
    fn nothing_is_there_also_when_more_is_taken_than_there_is() {
        let budget = Budget::new(10);
        let mut over = budget.reserve_over(11);
        assert!(budget.try_reserve(0).is_some());
        assert!(over.resize(11));
        assert!(budget.try_reserve(1).is_none());
        assert_eq!(budget.used(), 11);
    }

    #[test]
    fn reservations_can_grow_and_shrink() {
        let budget = Budget::new(10);
        let mut reservation = budget.try_reserve(2).unwrap();
        assert!(reservation.resize(10));
        assert!(!reservation.resize(11));
        assert_eq!(budget.used(), 10);
        assert!(reservation.resize(1));
        assert_eq!(budget.used(), 1);
        drop(reservation);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn parts_are_given_back_on_their_own() {
        let budget = Budget::new(10);
        let mut whole = budget.try_reserve(7).unwrap();
        let part = whole.split(3);
        assert_eq!(budget.used(), 7);
        drop(whole);
        assert_eq!(budget.used(), 3);
        drop(part);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn those_who_wait_hear_of_what_is_freed() {
        let budget = Budget::new(10);
        let held = budget.try_reserve(10).unwrap();
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.vacant(5).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(held);
        waiting.await.unwrap();
    }
}
