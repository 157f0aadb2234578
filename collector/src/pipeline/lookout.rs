//! Looking whether a destination that nobody could reach is there again.
//!
//! While it is away every delivery waits for its own next attempt, in the end half a minute and more.
//! So one of them keeps looking in short intervals, which costs a connection that fails; when it gets
//! through, the others are woken. Only a connection that did not come about is looked for like this:
//! a server that answers says itself, or by `retry_on_failure`, when it wants to hear again.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether somebody looks.
#[derive(Debug, Default)]
pub(super) struct Lookout(AtomicBool);

/// The one who does, as long as it exists.
#[derive(Debug)]
pub(super) struct Watch<'a>(&'a Lookout);

// === impl Lookout ===

impl Lookout {
    /// Begins to look, unless somebody does.
    pub(super) fn begin(&self) -> Option<Watch<'_>> {
        let taken = self.0.swap(true, Ordering::Relaxed);
        (!taken).then_some(Watch(self))
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Relaxed);
    }
}
