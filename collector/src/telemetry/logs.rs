//! The collector's own log: structured lines on standard error.

use serde::Deserialize;
use tracing_subscriber::filter::LevelFilter;

/// `service.telemetry.logs`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct LogOptions {
    /// The least severe level that is written.
    pub level: Level,
    /// How a line looks.
    pub encoding: Encoding,
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

/// Starts the log of the process. Later calls change nothing.
pub fn start(options: &LogOptions) {
    let level = match options.level {
        Level::Debug => LevelFilter::DEBUG,
        Level::Info => LevelFilter::INFO,
        Level::Warn => LevelFilter::WARN,
        Level::Error => LevelFilter::ERROR,
    };
    let lines = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(level)
        .with_target(false)
        .with_ansi(false);
    // A log that is already there, as in tests, stays.
    let _ = match options.encoding {
        Encoding::Console => lines.try_init(),
        Encoding::Json => lines.json().flatten_event(true).try_init(),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_have_defaults() {
        let options: LogOptions = serde_json::from_str("{}").unwrap();
        assert_eq!(options.level, Level::Info);
        let options: LogOptions = serde_json::from_str(r#"{"level":"DEBUG"}"#).unwrap();
        assert_eq!(options.level, Level::Debug);
    }
}
