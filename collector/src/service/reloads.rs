//! What the metrics say of reloads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::telemetry::{Counter, Registry};

/// See the module.
#[derive(Debug)]
pub(super) struct Reloads {
    succeeded: Counter,
    failed: Counter,
    /// 1 if the last reload, or the start, went well; else 0.
    last: Arc<AtomicU64>,
    /// When the configuration was last taken over, in seconds since 1970.
    at: Arc<AtomicU64>,
}

// === impl Reloads ===

impl Reloads {
    /// For a collector that has just started.
    pub(super) fn new(registry: &Registry) -> Self {
        let counter = |result| {
            registry.counter(
                "spanmesh_config_reloads",
                "How often the configuration was read again.",
                &[("result", result)],
            )
        };
        let reloads = Self {
            succeeded: counter("success"),
            failed: counter("failure"),
            last: Arc::new(AtomicU64::new(1)),
            at: Arc::new(AtomicU64::new(now())),
        };
        let last = reloads.last.clone();
        registry.gauge(
            "spanmesh_config_last_reload_successful",
            "1 if the configuration was taken over when it was last read, 0 if it was refused.",
            &[],
            move || last.load(Ordering::Relaxed) as f64,
        );
        let at = reloads.at.clone();
        registry.gauge(
            "spanmesh_config_last_reload_success_timestamp_seconds",
            "When the configuration was last taken over, in seconds since 1970.",
            &[],
            move || at.load(Ordering::Relaxed) as f64,
        );
        reloads
    }

    pub(super) fn succeeded(&self) {
        self.succeeded.add(1);
        self.last.store(1, Ordering::Relaxed);
        self.at.store(now(), Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failed.add(1);
        self.last.store(0, Ordering::Relaxed);
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
