//! `service.telemetry`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::log_options::log_options;
use crate::telemetry::logs::LogOptions;
use crate::transport::check_endpoint;

/// What the collector tells of itself, and where.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct TelemetryOptions {
    /// The log.
    #[serde(deserialize_with = "log_options")]
    pub logs: LogOptions,
    /// The metrics.
    pub metrics: MetricsOptions,
    /// Accepted for the sake of existing files; metrics in Prometheus' format have no resource.
    #[serde(rename = "resource")]
    _resource: BTreeMap<String, String>,
}

/// `service.telemetry.metrics`.
#[derive(Debug, Deserialize)]
#[serde(try_from = "RawMetricsOptions")]
pub struct MetricsOptions {
    /// Where they can be read; `None` if nowhere.
    pub endpoint: Option<String>,
    /// Whether the former option `address` was used.
    pub uses_address: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawMetricsOptions {
    level: Level,
    address: Option<String>,
    readers: Option<Vec<Reader>>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    None,
    Basic,
    #[default]
    Normal,
    Detailed,
}

#[derive(Debug, Deserialize)]
struct Reader {
    pull: Pull,
}

#[derive(Debug, Deserialize)]
struct Pull {
    exporter: PullExporter,
}

#[derive(Debug, Deserialize)]
struct PullExporter {
    prometheus: Prometheus,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Prometheus {
    host: String,
    port: u16,
    /// The form of names is fixed; the values that otelcol's default reader has are accepted.
    #[serde(rename = "without_scope_info")]
    _without_scope_info: bool,
    #[serde(rename = "without_type_suffix")]
    _without_type_suffix: bool,
    #[serde(rename = "without_units")]
    _without_units: bool,
}

const DEFAULT_ENDPOINT: &str = "127.0.0.1:8888";

// === impl MetricsOptions ===

impl Default for MetricsOptions {
    fn default() -> Self {
        Self {
            endpoint: Some(DEFAULT_ENDPOINT.to_owned()),
            uses_address: false,
        }
    }
}

impl TryFrom<RawMetricsOptions> for MetricsOptions {
    type Error = String;

    fn try_from(raw: RawMetricsOptions) -> Result<Self, String> {
        let uses_address = raw.address.is_some();
        let endpoint = match (raw.readers.as_deref(), raw.address) {
            (Some(_), Some(_)) => {
                return Err("expected \"readers\" or \"address\", but found both".to_owned());
            }
            (Some([]), None) => None,
            (Some([reader]), None) => {
                let Prometheus { host, port, .. } = &reader.pull.exporter.prometheus;
                Some(format!("{host}:{port}"))
            }
            (Some(readers), None) => {
                let found = readers.len();
                return Err(format!(
                    "expected one of \"readers\" at most, but found {found}"
                ));
            }
            (None, Some(address)) => Some(address),
            (None, None) => Some(DEFAULT_ENDPOINT.to_owned()),
        };
        if let Some(endpoint) = &endpoint {
            check_endpoint(endpoint)?;
        }
        Ok(Self {
            endpoint: endpoint.filter(|_| raw.level != Level::None),
            uses_address,
        })
    }
}

// === impl Prometheus ===

impl Default for Prometheus {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 8888,
            _without_scope_info: true,
            _without_type_suffix: true,
            _without_units: true,
        }
    }
}
