//! The gate through which payloads come in, and which is closed before the queues are drained.
//!
//! A request that is answered while the collector stops must not be acknowledged after the last
//! consumer has left: nobody would deliver it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// See the module.
#[derive(Debug, Default)]
pub struct Gate {
    /// Nobody waits for room any more.
    hurried: AtomicBool,
    closed: AtomicBool,
    /// Whether another gate opens in its place.
    has_successor: AtomicBool,
    /// How many are between the gate and the queues.
    inside: AtomicUsize,
    changed: Notify,
}

/// The permission to put a payload into queues, as long as it is held.
#[derive(Debug)]
pub(super) struct Pass<'a>(&'a Gate);

// === impl Gate ===

impl Gate {
    /// An open gate.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Lets a payload in; `None` if the gate is closed.
    pub(super) fn enter(&self) -> Option<Pass<'_>> {
        // Counted before the look at the gate, so that whoever closes it either is seen or waits.
        self.inside.fetch_add(1, Ordering::SeqCst);
        let pass = Pass(self);
        (!self.closed.load(Ordering::SeqCst)).then_some(pass)
    }

    /// From now on nobody waits for room in a queue; who does so already is refused.
    pub fn hurry(&self) {
        self.hurried.store(true, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    /// Whether nobody waits for room any more.
    pub(super) fn is_hurried(&self) -> bool {
        self.hurried.load(Ordering::SeqCst)
    }

    /// Closes the gate and waits until everybody who came in has left.
    pub async fn close(&self) {
        self.hurry();
        self.closed.store(true, Ordering::SeqCst);
        self.changed.notify_waiters();
        self.until(|| self.inside.load(Ordering::SeqCst) == 0).await;
    }

    /// The same, where another gate opens soon: nobody who comes too late need be sent away.
    pub async fn hand_over(&self) {
        self.has_successor.store(true, Ordering::SeqCst);
        self.close().await;
    }

    /// Whether another gate opens in its place.
    pub fn has_successor(&self) -> bool {
        self.has_successor.load(Ordering::SeqCst)
    }

    /// Waits until waiting is over.
    pub(super) async fn hurried(&self) {
        self.until(|| self.hurried.load(Ordering::SeqCst)).await;
    }

    async fn until(&self, so: impl Fn() -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Enabled before the look, so that a change in between is not missed.
            changed.as_mut().enable();
            if so() {
                return;
            }
            changed.await;
        }
    }
}

// === impl Pass ===

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let last = self.0.inside.fetch_sub(1, Ordering::SeqCst) == 1;
        if last && self.0.closed.load(Ordering::SeqCst) {
            self.0.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn closing_waits_for_those_inside_and_keeps_others_out() {
        let gate = Gate::new();
        let pass = gate.enter().unwrap();
        let closing = tokio::spawn({
            let gate = gate.clone();
            async move { gate.close().await }
        });
        gate.hurried().await;
        tokio::task::yield_now().await;
        assert!(gate.enter().is_none());
        assert!(!closing.is_finished());
        drop(pass);
        closing.await.unwrap();
    }
}
