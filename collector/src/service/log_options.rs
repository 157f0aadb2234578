//! `service.telemetry.logs`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de};

use crate::config::Span;
use crate::telemetry::logs::{Encoding, Level, LogOptions, RESERVED, Sampling};

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Raw {
    level: Level,
    encoding: Encoding,
    output_paths: Vec<String>,
    #[serde(deserialize_with = "initial_fields")]
    initial_fields: BTreeMap<String, String>,
    sampling: RawSampling,
    /// Accepted for the sake of existing files, as the three below: lines name neither the place in
    /// the code that they come from nor how it came there, and the log writes no errors of its own.
    #[serde(rename = "development")]
    _development: bool,
    #[serde(rename = "disable_caller")]
    _disable_caller: bool,
    #[serde(rename = "disable_stacktrace")]
    _disable_stacktrace: bool,
    #[serde(rename = "error_output_paths")]
    _error_output_paths: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct RawSampling {
    enabled: bool,
    tick: Span,
    initial: u64,
    thereafter: u64,
}

/// For `#[serde(deserialize_with = "log_options")]`.
///
/// # Errors
/// Those of the section.
pub(super) fn log_options<'de, D: Deserializer<'de>>(section: D) -> Result<LogOptions, D::Error> {
    let raw = Raw::deserialize(section)?;
    let sampling = raw.sampling;
    Ok(LogOptions {
        level: raw.level,
        encoding: raw.encoding,
        output_paths: raw.output_paths,
        initial_fields: raw.initial_fields,
        sampling: sampling.enabled.then_some(Sampling {
            tick: sampling.tick.0,
            initial: sampling.initial,
            thereafter: sampling.thereafter,
        }),
    })
}

// === impl Raw ===

impl Default for Raw {
    fn default() -> Self {
        let options = LogOptions::default();
        Self {
            level: options.level,
            encoding: options.encoding,
            output_paths: options.output_paths,
            initial_fields: options.initial_fields,
            sampling: RawSampling::default(),
            _development: false,
            _disable_caller: false,
            _disable_stacktrace: false,
            _error_output_paths: Vec::new(),
        }
    }
}

// === impl RawSampling ===

impl Default for RawSampling {
    fn default() -> Self {
        let Sampling {
            tick,
            initial,
            thereafter,
        } = Sampling::default();
        Self {
            enabled: true,
            tick: Span(tick),
            initial,
            thereafter,
        }
    }
}

fn initial_fields<'de, D>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error>
where
    D: Deserializer<'de>,
{
    let fields = BTreeMap::<String, String>::deserialize(deserializer)?;
    match RESERVED.into_iter().find(|name| fields.contains_key(*name)) {
        Some(name) => Err(de::Error::custom(format!(
            "expected another name than {name:?}, which every line has"
        ))),
        None => Ok(fields),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<LogOptions, String> {
        let mut reader = serde_json::Deserializer::from_str(json);
        log_options(&mut reader).map_err(|error| error.to_string())
    }

    #[test]
    fn options_have_defaults() {
        assert_eq!(read("{}").unwrap(), LogOptions::default());
        let options = read(r#"{"level": "DEBUG", "sampling": {"initial": 1}}"#).unwrap();
        assert_eq!(options.level, Level::Debug);
        assert_eq!(options.sampling.unwrap().initial, 1);
        let all = read(r#"{"sampling": {"enabled": false}}"#).unwrap();
        assert_eq!(all.sampling, None);
    }

    #[test]
    fn initial_fields_cannot_take_the_names_of_others() {
        let error = read(r#"{"initial_fields": {"level": "x"}}"#).unwrap_err();
        assert!(error.contains("another name than \"level\""), "{error}");
    }
}
