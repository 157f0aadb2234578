//! The limits of a `memory_limiter`, and what became of requests at them.
//!
//! Memory is what payloads take up from the moment that their first byte is read. At the soft limit
//! no new request is read; those that are being read may go on up to the hard limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use spanmesh_otlp::Signal;

use super::budget::Budget;
use crate::telemetry::{Counter, Registry};

/// The limits, in bytes. Invariant: the soft limit is not above the hard one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimits {
    /// From here on new requests are refused before they are read.
    pub soft: u64,
    /// Nothing goes beyond this.
    pub hard: u64,
    /// For how long a refusal at the hard limit counts as pressure.
    pub check_interval: Duration,
    /// Whether the collector is not ready while the pressure is hard.
    pub fails_readiness: bool,
}

/// How near the limit the memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressure {
    /// Below the soft limit.
    None,
    /// New requests are refused.
    Soft,
    /// A request that had begun was refused, a short while ago at most.
    Hard,
}

/// A `memory_limiter` in one pipeline. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Limiter {
    limits: MemoryLimits,
    /// When a request was refused at the hard limit, in milliseconds after `start`; 0 for never.
    last_hard: Arc<AtomicU64>,
    start: Instant,
    accepted: Counter,
    refused: Counter,
}

// === impl Limiter ===

impl Limiter {
    /// One without metrics.
    pub fn new(limits: MemoryLimits) -> Self {
        Self {
            limits,
            last_hard: Arc::default(),
            start: Instant::now(),
            accepted: Counter::default(),
            refused: Counter::default(),
        }
    }

    /// The same with metrics under its name in the configuration.
    #[must_use]
    pub fn counted(self, id: &str, signal: Signal, registry: &Registry) -> Self {
        let (accepted, refused) = match signal {
            Signal::Traces => (
                "otelcol_processor_memory_limiter_accepted_spans",
                "otelcol_processor_memory_limiter_refused_spans",
            ),
            Signal::Logs => (
                "otelcol_processor_memory_limiter_accepted_log_records",
                "otelcol_processor_memory_limiter_refused_log_records",
            ),
            Signal::Metrics => (
                "otelcol_processor_memory_limiter_accepted_metric_points",
                "otelcol_processor_memory_limiter_refused_metric_points",
            ),
        };
        let labels = [("processor", id)];
        for (kind, limit) in [("soft", self.limits.soft), ("hard", self.limits.hard)] {
            registry.gauge(
                "spanmesh_memory_limiter_limit_bytes",
                "Bytes of payloads from which requests are refused.",
                &[labels[0], ("limit", kind)],
                move || limit as f64,
            );
        }
        Self {
            accepted: registry.counter(accepted, "Items taken within the limits.", &labels),
            refused: registry.counter(
                refused,
                "Items refused at the limits after their requests had been read.",
                &labels,
            ),
            ..self
        }
    }

    /// Its limits.
    pub fn limits(&self) -> MemoryLimits {
        self.limits
    }

    /// How near its limits `memory` is.
    pub fn pressure(&self, memory: &Budget) -> Pressure {
        let used = memory.used();
        let now = self.start.elapsed().as_millis() as u64;
        let last = self.last_hard.load(Ordering::Relaxed);
        let interval = self.limits.check_interval.as_millis() as u64;
        if used >= self.limits.hard || (last > 0 && now.saturating_sub(last) <= interval) {
            Pressure::Hard
        } else if used >= self.limits.soft {
            Pressure::Soft
        } else {
            Pressure::None
        }
    }

    /// A request that had begun was refused.
    pub(super) fn refused_at_hard_limit(&self) {
        let now = self.start.elapsed().as_millis() as u64;
        self.last_hard.store(now.max(1), Ordering::Relaxed);
    }

    pub(super) fn count_accepted(&self, items: u64) {
        self.accepted.add(items);
    }

    pub(super) fn count_refused(&self, items: u64) {
        self.refused.add(items);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_is_soft_before_it_is_hard_and_does_not_last() {
        let limiter = Limiter::new(MemoryLimits {
            soft: 80,
            hard: 100,
            check_interval: Duration::ZERO,
            fails_readiness: true,
        });
        let memory = Budget::new(100);
        assert_eq!(limiter.pressure(&memory), Pressure::None);
        let mut held = memory.try_reserve(80).unwrap();
        assert_eq!(limiter.pressure(&memory), Pressure::Soft);
        assert!(held.resize(100));
        assert_eq!(limiter.pressure(&memory), Pressure::Hard);
        drop(held);
        limiter.refused_at_hard_limit();
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(limiter.pressure(&memory), Pressure::None);
        let patient = Limiter::new(MemoryLimits {
            check_interval: Duration::from_secs(3600),
            ..limiter.limits()
        });
        patient.refused_at_hard_limit();
        assert_eq!(patient.pressure(&memory), Pressure::Hard);
    }
}
