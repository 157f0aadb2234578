//! What is counted of the requests that come to a receiver over one transport.

use spanmesh_otlp::Signal;

use crate::telemetry::{Counter, Registry};

/// The metrics of one receiver, transport and signal.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct RequestMetrics {
    /// Items, as otelcol counts them.
    pub(super) accepted: Counter,
    pub(super) refused: Counter,
    pub(super) failed: Counter,
    /// Requests by what became of them.
    requests_taken: Counter,
    requests_refused: Counter,
    requests_failed: Counter,
    /// Requests whose items are not known, by what was wrong.
    malformed: Counter,
    too_large: Counter,
    overloaded: Counter,
    unauthenticated: Counter,
}

// === impl RequestMetrics ===

impl RequestMetrics {
    pub(super) fn new(
        receiver: &str,
        transport: &str,
        signal: Signal,
        registry: &Registry,
    ) -> Self {
        let (accepted, refused, failed) = match signal {
            Signal::Traces => (
                "otelcol_receiver_accepted_spans",
                "otelcol_receiver_refused_spans",
                "otelcol_receiver_failed_spans",
            ),
            Signal::Logs => (
                "otelcol_receiver_accepted_log_records",
                "otelcol_receiver_refused_log_records",
                "otelcol_receiver_failed_log_records",
            ),
            Signal::Metrics => (
                "otelcol_receiver_accepted_metric_points",
                "otelcol_receiver_refused_metric_points",
                "otelcol_receiver_failed_metric_points",
            ),
        };
        let labels = [("receiver", receiver), ("transport", transport)];
        let requests = |outcome| {
            registry.counter(
                "otelcol_receiver_requests",
                "Requests by their outcome: \"success\", \"refused\" if the client was told to try \
                 again, \"failure\".",
                &[labels[0], labels[1], ("outcome", outcome)],
            )
        };
        let rejected = |reason| {
            registry.counter(
                "spanmesh_receiver_rejected_requests",
                "Requests that were not taken, and whose items are not known.",
                &[
                    labels[0],
                    labels[1],
                    ("signal", signal.name()),
                    ("reason", reason),
                ],
            )
        };
        Self {
            accepted: registry.counter(accepted, "Items taken from clients.", &labels),
            refused: registry.counter(
                refused,
                "Items not taken from clients, which were told to try again.",
                &labels,
            ),
            failed: registry.counter(
                failed,
                "Items taken whose clients were told that a destination did not take them.",
                &labels,
            ),
            requests_taken: requests("success"),
            requests_refused: requests("refused"),
            requests_failed: requests("failure"),
            malformed: rejected("malformed"),
            too_large: rejected("too_large"),
            overloaded: rejected("overloaded"),
            unauthenticated: rejected("unauthenticated"),
        }
    }

    pub(super) fn taken(&self, items: u64) {
        self.accepted.add(items);
    }

    /// The client got the answer that its request was taken.
    pub(super) fn succeeded(&self) {
        self.requests_taken.add(1);
    }

    /// Items were taken, but the client was told that they did not arrive.
    pub(super) fn failed(&self, items: u64) {
        self.failed.add(items);
        self.requests_failed.add(1);
    }

    pub(super) fn malformed(&self) {
        self.malformed.add(1);
        self.requests_failed.add(1);
    }

    pub(super) fn too_large(&self) {
        self.too_large.add(1);
        self.requests_failed.add(1);
    }

    pub(super) fn unauthenticated(&self) {
        self.unauthenticated.add(1);
        self.requests_failed.add(1);
    }

    /// A request was not read to its end for want of memory.
    pub(in crate::pipeline) fn overloaded(&self) {
        self.overloaded.add(1);
        self.requests_refused.add(1);
    }

    /// A request that had been read was refused. One that is too large is told apart by the receiver.
    pub(super) fn refused(&self, items: u64, is_retryable: bool) {
        self.refused.add(items);
        if is_retryable {
            self.requests_refused.add(1);
        }
    }
}
