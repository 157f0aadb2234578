//! Waits for the files of a configuration to change.
//!
//! They are read now and then: what tells of changes in a file system does not see a Kubernetes
//! ConfigMap, whose files are symbolic links to links, nor what lies on a network.

use std::time::Duration;

use super::input::Files;

/// See the module.
#[derive(Debug)]
pub struct Watch {
    /// What was read last.
    known: Files,
    /// What was found since then, until it stays the same for one interval: who writes may not be
    /// finished.
    found: Option<Files>,
}

/// How often the files are read.
const INTERVAL: Duration = Duration::from_secs(1);

// === impl Watch ===

impl Watch {
    /// Waits for changes since `known`.
    pub fn new(known: Files) -> Self {
        Self { known, found: None }
    }

    /// Whether there is nothing to wait for.
    pub fn is_pointless(&self) -> bool {
        self.known.is_empty()
    }

    /// Returns when the files hold something else, and have for a second. May be dropped and called
    /// again.
    pub async fn changed(&mut self) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            let known = self.known.clone();
            let Ok(now) = tokio::task::spawn_blocking(move || known.again()).await else {
                // The runtime is about to end.
                continue;
            };
            if now == self.known {
                self.found = None;
            } else if self.found.as_ref() == Some(&now) {
                return;
            } else {
                self.found = Some(now);
            }
        }
    }
}
