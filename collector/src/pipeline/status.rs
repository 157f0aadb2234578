//! What runs and how it is, for those who look at the collector from outside: how the pipelines are
//! wired, and what their exporters have met with. Numbers are in the metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::options::Sizer;
use crate::telemetry::excerpt;

/// See the module. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Status(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    layout: Layout,
    exporters: BTreeMap<String, ExporterStatus>,
}

/// Names of components, as the configuration wires them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The pipelines.
    pub pipelines: Vec<WiredPipeline>,
    /// The extensions.
    pub extensions: Vec<String>,
}

/// The names of one pipeline's components.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WiredPipeline {
    /// Its own: `traces`, `traces/audit`.
    pub name: String,
    /// Of its signal.
    pub signal: &'static str,
    /// Its receivers, and connectors that it is behind.
    pub receivers: Vec<String>,
    /// Its processors.
    pub processors: Vec<String>,
    /// Its exporters, and connectors that it leads to.
    pub exporters: Vec<String>,
}

/// How one exporter is. Clones are the same exporter's.
#[derive(Clone, Debug)]
pub struct ExporterStatus {
    /// What its queue counts in.
    pub sizer: Sizer,
    /// How many batches are sent at the same time.
    pub consumers: usize,
    health: Arc<Mutex<Health>>,
}

/// What an exporter met with last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// What it means.
    pub condition: Condition,
    /// Since when it is so.
    pub since: SystemTime,
    /// What the destination said last, or why it said nothing; empty if all is well.
    pub message: String,
}

/// Whether a destination takes what it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The last batch was taken, or there was none yet.
    Works,
    /// The last attempt failed, and is made again.
    Fails,
    /// The last batch was refused for good.
    Refuses,
}

// === impl Status ===

impl Status {
    /// The configuration that runs from now on is wired like this.
    pub fn show(&self, layout: Layout) {
        self.lock().layout = layout;
    }

    /// How the configuration that runs is wired.
    pub fn layout(&self) -> Layout {
        self.lock().layout.clone()
    }

    /// An exporter runs. One of the same name in a former configuration is not shown any more.
    pub(super) fn attach(&self, id: &str, exporter: ExporterStatus) {
        self.lock().exporters.insert(id.to_owned(), exporter);
    }

    /// The exporters that the layout names, by name.
    pub fn exporters(&self) -> BTreeMap<String, ExporterStatus> {
        let state = self.lock();
        let pipelines = &state.layout.pipelines;
        let is_used = |id: &String| pipelines.iter().any(|one| one.exporters.contains(id));
        let exporters = state.exporters.iter();
        exporters
            .filter(|(id, _)| is_used(id))
            .map(|(id, status)| (id.clone(), status.clone()))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl ExporterStatus ===

impl ExporterStatus {
    /// One that has met with nothing yet.
    pub(super) fn new(sizer: Sizer, consumers: usize) -> Self {
        Self {
            sizer,
            consumers,
            health: Arc::new(Mutex::new(Health::new(Condition::Works, ""))),
        }
    }

    /// How it is.
    pub fn health(&self) -> Health {
        self.lock().clone()
    }

    /// A batch was taken.
    pub(super) fn works(&self) {
        self.enter(Condition::Works, "");
    }

    /// An attempt failed, and is made again.
    pub(super) fn fails(&self, message: &str) {
        self.enter(Condition::Fails, message);
    }

    /// A batch was refused for good.
    pub(super) fn refuses(&self, message: &str) {
        self.enter(Condition::Refuses, message);
    }

    fn enter(&self, condition: Condition, message: &str) {
        let mut health = self.lock();
        if health.condition != condition {
            *health = Health::new(condition, message);
        } else if condition != Condition::Works {
            health.message = excerpt(message);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Health ===

impl Health {
    fn new(condition: Condition, message: &str) -> Self {
        Self {
            condition,
            since: SystemTime::now(),
            message: excerpt(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_lasts_until_another_one_begins() {
        let exporter = ExporterStatus::new(Sizer::Bytes, 10);
        exporter.fails("no connection");
        let first = exporter.health();
        assert_eq!(
            (first.condition, &*first.message),
            (Condition::Fails, "no connection")
        );
        exporter.fails("no answer\n");
        let second = exporter.health();
        assert_eq!(
            (second.since, &*second.message),
            (first.since, "no answer\\n")
        );
        exporter.refuses("not allowed");
        assert_eq!(exporter.health().condition, Condition::Refuses);
        exporter.works();
        let last = exporter.health();
        assert_eq!((last.condition, &*last.message), (Condition::Works, ""));
    }

    #[test]
    fn only_exporters_that_are_wired_are_listed() {
        let status = Status::default();
        for id in ["a", "b"] {
            status.attach(id, ExporterStatus::new(Sizer::Items, 1));
        }
        status.show(Layout {
            pipelines: vec![WiredPipeline {
                name: "traces".to_owned(),
                signal: "traces",
                receivers: vec!["otlp".to_owned()],
                processors: Vec::new(),
                exporters: vec!["b".to_owned()],
            }],
            extensions: Vec::new(),
        });
        assert_eq!(status.exporters().into_keys().collect::<Vec<_>>(), ["b"]);
    }
}
