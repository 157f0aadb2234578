//! The second version's answer: the state of the whole, of each pipeline and of each component, as
//! the OpenTelemetry Collector's `healthcheckv2` writes it.
//!
//! Receivers, processors and extensions of this collector cannot fail once they have started, so
//! only exporters have conditions of their own.

use std::collections::BTreeMap;
use std::time::SystemTime;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::options::ComponentHealth;
use crate::pipeline::{Condition, ExporterStatus, Health, Layout};
use crate::telemetry::rfc3339;

/// What the whole collector is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It does not receive yet.
    Starting,
    /// It receives.
    Running,
    /// It should get no new clients, since its memory is used up.
    Pressed,
    /// It does not receive any more.
    Stopping,
}

/// Everything that the answer is made of.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    pub(super) stage: Stage,
    /// Since when it is in this stage.
    pub(super) since: SystemTime,
    pub(super) layout: &'a Layout,
    pub(super) exporters: &'a BTreeMap<String, ExporterStatus>,
    pub(super) rules: ComponentHealth,
}

/// How something is. The worse one is the greater one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    rank: Rank,
    healthy: bool,
    since: SystemTime,
    error: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Ok,
    Recoverable,
    Permanent,
    Pressed,
    Starting,
    Stopping,
}

/// A query as in `pipeline=traces&verbose`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    /// Only this pipeline.
    pub(super) pipeline: Option<String>,
    /// With the parts.
    pub(super) verbose: bool,
}

// === impl Tree ===

impl Tree<'_> {
    /// The answer; `None` if there is no such pipeline.
    pub(super) fn answer(&self, query: &Query, now: SystemTime) -> Option<(StatusCode, Value)> {
        let pipelines = self.layout.pipelines.iter();
        let asked = query.pipeline.as_deref();
        let pipelines: Vec<_> = pipelines
            .filter(|pipeline| asked.is_none_or(|name| name == pipeline.name))
            .collect();
        if asked.is_some() && pipelines.is_empty() {
            return None;
        }
        let mut whole = self.own();
        let mut parts = Map::new();
        for pipeline in pipelines {
            let mut components = Map::new();
            let mut state = self.own();
            let own = self.own();
            for id in &pipeline.receivers {
                components.insert(format!("receiver:{id}"), own.json());
            }
            for id in &pipeline.processors {
                components.insert(format!("processor:{id}"), own.json());
            }
            for id in &pipeline.exporters {
                let Some(exporter) = self.exporters.get(id) else {
                    components.insert(format!("connector:{id}"), own.json());
                    continue;
                };
                let one = self.exporter(&exporter.health(), now);
                components.insert(format!("exporter:{id}"), one.json());
                state = state.worse(one);
            }
            let mut value = state.json();
            if let Value::Object(object) = &mut value {
                object.insert("components".to_owned(), Value::Object(components));
            }
            parts.insert(format!("pipeline:{}", pipeline.name), value);
            whole = whole.worse(state);
        }
        let code = whole.code();
        let mut value = whole.json();
        if let (Value::Object(object), true) = (&mut value, query.verbose) {
            if asked.is_none() {
                parts.insert("extensions".to_owned(), self.extensions());
            }
            object.insert("components".to_owned(), Value::Object(parts));
        }
        Some((code, value))
    }

    fn extensions(&self) -> Value {
        let own = self.own().json();
        let ids = self.layout.extensions.iter();
        let components: Map<_, _> = ids
            .map(|id| (format!("extension:{id}"), own.clone()))
            .collect();
        let mut value = own;
        if let Value::Object(object) = &mut value {
            object.insert("components".to_owned(), Value::Object(components));
        }
        value
    }

    /// What holds for every part, whatever its own condition.
    fn own(&self) -> State {
        let (rank, error) = match self.stage {
            Stage::Starting => (Rank::Starting, ""),
            Stage::Running => (Rank::Ok, ""),
            Stage::Pressed => (Rank::Pressed, "the memory limit is reached"),
            Stage::Stopping => (Rank::Stopping, ""),
        };
        State {
            rank,
            healthy: rank == Rank::Ok,
            since: self.since,
            error: error.to_owned(),
        }
    }

    fn exporter(&self, health: &Health, now: SystemTime) -> State {
        let own = self.own();
        let lasts = now.duration_since(health.since).unwrap_or_default();
        let (rank, healthy) = match health.condition {
            Condition::Works => return own,
            Condition::Fails => {
                let tolerated = self.rules.recoverable;
                (Rank::Recoverable, tolerated.is_none_or(|time| lasts < time))
            }
            Condition::Refuses => (Rank::Permanent, !self.rules.permanent),
        };
        own.worse(State {
            rank,
            healthy,
            since: health.since,
            error: health.message.clone(),
        })
    }
}

// === impl State ===

impl State {
    fn worse(self, other: Self) -> Self {
        let badness = |state: &Self| (!state.healthy, state.rank);
        match badness(&other) > badness(&self) {
            true => other,
            false => self,
        }
    }

    fn code(&self) -> StatusCode {
        match self.rank {
            _ if self.healthy => StatusCode::OK,
            Rank::Pressed | Rank::Starting | Rank::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Rank::Ok | Rank::Recoverable | Rank::Permanent => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn json(&self) -> Value {
        let status = match self.rank {
            Rank::Ok => "StatusOK",
            Rank::Recoverable | Rank::Pressed => "StatusRecoverableError",
            Rank::Permanent => "StatusPermanentError",
            Rank::Starting => "StatusStarting",
            Rank::Stopping => "StatusStopping",
        };
        let mut value = json!({
            "healthy": self.healthy,
            "status": status,
            "status_time": rfc3339(self.since),
        });
        if let (Value::Object(object), false) = (&mut value, self.error.is_empty()) {
            object.insert("error".to_owned(), Value::from(self.error.as_str()));
        }
        value
    }
}

// === impl Query ===

impl Query {
    /// Reads the part of a URI behind the question mark. Unknown keys are of no interest.
    pub(super) fn parse(text: &str) -> Self {
        let mut query = Self::default();
        for pair in text.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                "pipeline" => query.pipeline = Some(value.replace("%2F", "/").replace("%2f", "/")),
                "verbose" => query.verbose = !matches!(value, "false" | "0"),
                _ => {}
            }
        }
        query
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read() {
        let p = Query::parse;
        assert_eq!(p(""), Query::default());
        assert_eq!(
            p("verbose"),
            Query {
                pipeline: None,
                verbose: true
            }
        );
        assert_eq!(p("verbose=false"), Query::default());
        let named = p("pipeline=traces%2Fa&verbose=true&x=y");
        assert_eq!(
            (named.pipeline.as_deref(), named.verbose),
            (Some("traces/a"), true)
        );
    }

    #[test]
    fn the_worst_part_decides_and_what_is_tolerated_comes_last() {
        let state = |rank, healthy| State {
            rank,
            healthy,
            since: SystemTime::UNIX_EPOCH,
            error: String::new(),
        };
        let tolerated = state(Rank::Permanent, true);
        let recoverable = state(Rank::Recoverable, false);
        assert_eq!(tolerated.clone().worse(recoverable.clone()), recoverable);
        assert_eq!(recoverable.code(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(tolerated.code(), StatusCode::OK);
        assert_eq!(state(Rank::Ok, true).worse(tolerated.clone()), tolerated);
        let stopping = state(Rank::Stopping, false);
        assert_eq!(
            recoverable.worse(stopping).code(),
            StatusCode::SERVICE_UNAVAILABLE
        );
    }
}
