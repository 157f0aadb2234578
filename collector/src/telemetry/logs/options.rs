//! What the log is like.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

/// What the log is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// The least severe level that is written.
    pub level: Level,
    /// How a line looks.
    pub encoding: Encoding,
    /// Where lines go: `stderr`, `stdout`, or files.
    pub output_paths: Vec<String>,
    /// What every line says. None of the names is one of [`RESERVED`].
    pub initial_fields: BTreeMap<String, String>,
    /// How many of the same lines are written; `None` for all of them.
    pub sampling: Option<Sampling>,
}

/// How severe a line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// What helps to debug the collector.
    #[serde(alias = "DEBUG")]
    Debug,
    /// What an operator may want to know.
    #[default]
    #[serde(alias = "INFO")]
    Info,
    /// What an operator should look at.
    #[serde(alias = "WARN")]
    Warn,
    /// What has gone wrong.
    #[serde(alias = "ERROR")]
    Error,
}

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// For people.
    #[default]
    Console,
    /// One JSON object a line.
    Json,
}

/// How many of the same lines are written: the first `initial` in every `tick`, and of the others
/// every `thereafter`th.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// How long lines are counted together.
    pub tick: Duration,
    /// The first so many.
    pub initial: u64,
    /// 0: none of the others.
    pub thereafter: u64,
}

/// Names that every line has already.
pub const RESERVED: [&str; 3] = ["timestamp", "level", "message"];

// === impl LogOptions ===

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            level: Level::default(),
            encoding: Encoding::default(),
            output_paths: vec!["stderr".to_owned()],
            initial_fields: BTreeMap::new(),
            sampling: Some(Sampling::default()),
        }
    }
}

// === impl Sampling ===

impl Default for Sampling {
    fn default() -> Self {
        Self {
            tick: Duration::from_secs(10),
            initial: 10,
            thereafter: 100,
        }
    }
}
