//! `service.telemetry`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::log_options::log_options;
use super::push_options::PushOptions;
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
    /// Attributes of the resource that the metrics are sent with; metrics in Prometheus' format have
    /// none.
    pub resource: BTreeMap<String, String>,
}

/// `service.telemetry.metrics`.
#[derive(Debug, Deserialize)]
#[serde(try_from = "RawMetricsOptions")]
pub struct MetricsOptions {
    /// Where they can be read; `None` if nowhere.
    pub endpoint: Option<String>,
    /// Where they are sent to.
    pub pushes: Vec<PushOptions>,
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

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reader {
    pull: Option<Pull>,
    periodic: Option<PushOptions>,
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
            pushes: Vec::new(),
            uses_address: false,
        }
    }
}

impl TryFrom<RawMetricsOptions> for MetricsOptions {
    type Error = String;

    fn try_from(raw: RawMetricsOptions) -> Result<Self, String> {
        let uses_address = raw.address.is_some();
        if raw.readers.is_some() && raw.address.is_some() {
            return Err("expected \"readers\" or \"address\", but found both".to_owned());
        }
        let mut pushes = Vec::new();
        let mut pulls = Vec::new();
        let is_said = raw.readers.is_some();
        for reader in raw.readers.into_iter().flatten() {
            match (reader.pull, reader.periodic) {
                (Some(pull), None) => {
                    let Prometheus { host, port, .. } = pull.exporter.prometheus;
                    pulls.push(format!("{host}:{port}"));
                }
                (None, Some(push)) => pushes.push(push),
                _ => {
                    let message = "expected \"pull\" or \"periodic\" in each of \"readers\"";
                    return Err(message.to_owned());
                }
            }
        }
        let endpoint = match (pulls.as_slice(), raw.address) {
            ([], Some(address)) => Some(address),
            ([], None) => (!is_said).then(|| DEFAULT_ENDPOINT.to_owned()),
            ([endpoint], _) => Some(endpoint.clone()),
            (pulls, _) => {
                let found = pulls.len();
                return Err(format!(
                    "expected one \"pull\" in \"readers\" at most, but found {found}"
                ));
            }
        };
        if let Some(endpoint) = &endpoint {
            check_endpoint(endpoint)?;
        }
        Ok(Self {
            endpoint: endpoint.filter(|_| raw.level != Level::None),
            pushes: match raw.level {
                Level::None => Vec::new(),
                _ => pushes,
            },
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
