//! What became of a payload, for clients that wait for it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::account::DropReason;

/// Hears of every item of a payload until all are settled. Shared by the parts of the payload.
#[derive(Debug)]
pub(super) struct Watcher(Mutex<State>);

/// `Ok` if nothing was dropped, except for what the destination itself rejected from a request that
/// it took; otherwise the last reason.
pub(super) type Outcome = oneshot::Receiver<Result<(), DropReason>>;

#[derive(Debug)]
struct State {
    open: u64,
    dropped: Option<DropReason>,
    done: Option<oneshot::Sender<Result<(), DropReason>>>,
}

// === impl Watcher ===

impl Watcher {
    /// Watches over so many items.
    pub(super) fn new(items: u64) -> (Arc<Self>, Outcome) {
        let (done, outcome) = oneshot::channel();
        let state = State {
            open: items,
            dropped: None,
            done: Some(done),
        };
        (Arc::new(Self(Mutex::new(state))), outcome)
    }

    /// Hears that items are settled, and if they were dropped, why.
    pub(super) fn settled(&self, items: u64, dropped: Option<DropReason>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.open = state.open.saturating_sub(items);
        state.dropped = dropped.or(state.dropped);
        if state.open > 0 {
            return;
        }
        if let Some(done) = state.done.take() {
            // The client may have gone.
            let _ = done.send(state.dropped.map_or(Ok(()), Err));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outcome_is_known_when_every_item_is_settled() {
        let (watcher, mut outcome) = Watcher::new(10);
        watcher.settled(4, None);
        watcher.settled(1, Some(DropReason::TooLarge));
        assert!(outcome.try_recv().is_err());
        watcher.settled(5, None);
        assert_eq!(outcome.try_recv(), Ok(Err(DropReason::TooLarge)));
    }
}
