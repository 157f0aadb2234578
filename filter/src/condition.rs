//! Conditions that users write in CEL, evaluated by Envoy.
//!
//! Parsed when the configuration arrives; a syntax error is a configuration error. One that fails
//! on a request, as `response.code >= 400` does where there is no response, or whose result is no
//! boolean, does not hold; that is counted, and logged once for each condition.

use std::cell::Cell;

use crate::host::{Expression, Host};
use crate::stats::Stats;

/// A parsed condition.
#[derive(Debug)]
pub(crate) struct Condition {
    expression: Expression,
    failures: Failures,
}

/// What is told of a configured expression that fails on requests.
#[derive(Debug)]
pub(crate) struct Failures {
    /// Where the expression stands in the configuration.
    path: String,
    was_logged: Cell<bool>,
}

impl Condition {
    /// A condition that stands at `path` in the configuration.
    pub(crate) fn new(expression: Expression, path: String) -> Self {
        Self {
            expression,
            failures: Failures::new(path),
        }
    }

    /// Whether it holds for the current stream.
    pub(crate) fn holds(&self, host: &impl Host, stats: &Stats) -> bool {
        match host.evaluate(self.expression).as_deref() {
            Some([result @ (0 | 1)]) => *result == 1,
            found => {
                let what = match found {
                    Some(_) => "gives no boolean on a request, and so does not hold",
                    None => "fails on a request, and so does not hold",
                };
                self.failures.count(stats, what);
                false
            }
        }
    }
}

impl Failures {
    /// Of the expression that stands at `path` in the configuration.
    pub(crate) fn new(path: String) -> Self {
        Self {
            path,
            was_logged: Cell::new(false),
        }
    }

    /// Counts one more, and logs the first.
    pub(crate) fn count(&self, stats: &Stats, what: &str) {
        stats.expressions_failed.add(1);
        if !self.was_logged.replace(true) {
            log::warn!("{} {what}", self.path);
        }
    }
}
