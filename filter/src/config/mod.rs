//! The filter's configuration: from text to values that cannot be wrong.
//!
//! `raw` is the document as it is written, `environment` the `OTEL_*` variables that
//! stand below it; [`Config`] is what both come to. An absent or empty document is valid.
//!
//! Left out: everything that needs the proxy (the node's metadata); see `resource`.

mod environment;
mod raw;

use std::fmt;
use std::time::Duration;

use spanmesh_trace_context::Format;

pub use self::environment::Environment;
pub use self::raw::{AttributeValue, Role};
use self::raw::{Document, Propagator};
use crate::redact::Redaction;
use crate::sampler::Sampler;

/// Where an Istio sidecar finds the collector, whatever the Helm release is called.
pub const DEFAULT_CLUSTER: &str =
    "outbound|4317||spanmesh-collector.observability.svc.cluster.local";

/// Below this a flush would cost more than the records in it.
const MIN_INTERVAL: Duration = Duration::from_millis(10);
/// Below this a single batch would not fit.
const MIN_QUEUE_BYTES: usize = 64 * 1024;
/// The whole Wasm memory of a VM may reach 1 GiB; this leaves the rest of the filter its place.
const MAX_QUEUE_BYTES: usize = 512 * 1024 * 1024;
/// One call carries at most this many records, so that a receiver with the usual limit of 4 MiB
/// takes it.
const MAX_RECORDS: usize = 4096;

/// A resolved configuration.
#[derive(Debug)]
pub struct Config {
    /// What the configuration says about the service; the rest comes from the node.
    pub service: Service,
    /// Resource attributes to add; they win over derived ones.
    pub resource_attributes: Vec<(String, AttributeValue)>,
    /// Which side of a request the proxy is on.
    pub role: Role,
    /// The formats to extract, in order, and to inject.
    pub formats: Vec<Format>,
    /// Decides which traces are recorded.
    pub sampler: Sampler,
    /// Whether spans are made and contexts are propagated.
    pub spans: bool,
    /// Whether access log records are made.
    pub access_log: bool,
    /// What is taken out of URLs.
    pub redaction: Redaction,
    /// Attribute values are cut at this many bytes.
    pub value_limit: usize,
    /// How records leave.
    pub export: Export,
}

/// The configured part of the service's identity.
#[derive(Debug, Default)]
pub struct Service {
    /// `service.name`.
    pub name: Option<String>,
    /// `service.namespace`.
    pub namespace: Option<String>,
    /// `service.version`.
    pub version: Option<String>,
}

/// How records leave the proxy.
#[derive(Clone, Debug)]
pub struct Export {
    /// Envoy clusters of collectors, in the order of preference; never empty.
    pub clusters: Vec<String>,
    /// A call that takes longer is given up, and tried again.
    pub timeout: Duration,
    /// Metadata of every call.
    pub headers: Vec<(String, String)>,
    /// A batch is sent when it holds this many records.
    pub max_records: usize,
    /// A batch is sent after this time at the latest.
    pub interval: Duration,
    /// What all root contexts of a VM may hold in memory, unsent and unacknowledged.
    pub max_queue_bytes: usize,
    /// How long a replaced configuration may take to send what it holds.
    pub drain_timeout: Duration,
}

/// A configuration that cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where, such as `pluginConfig.sampler.ratio`.
    path: String,
    /// What was found and what was expected.
    message: String,
}

impl Config {
    /// Reads a document, empty or JSON, and what the environment says below it.
    ///
    /// # Errors
    /// The first key or value that cannot be used, with its path.
    pub fn new(document: &[u8], environment: &Environment) -> Result<Self, ConfigError> {
        let document = read(document)?;
        let propagators = match document.propagators {
            Some(propagators) => propagators,
            None => environment
                .propagators()?
                .unwrap_or_else(|| vec![Propagator::TraceContext]),
        };
        let Some(first) = document.exporter.clusters.first() else {
            return Err(error(
                "exporter.clusters",
                "found an empty list, expected a cluster name",
            ));
        };
        if let Some(at) = document.exporter.clusters.iter().position(String::is_empty) {
            let path = format!("exporter.clusters[{at}]");
            return Err(error(
                &path,
                "found an empty string, expected an Envoy cluster name",
            ));
        }
        log::debug!("records go to cluster {first:?}");
        let (parent_based, ratio) = environment.sampler()?.unwrap_or((true, 1.0));
        let sampler = Sampler::new(
            document.sampler.parent_based.unwrap_or(parent_based),
            document.sampler.ratio.unwrap_or(ratio),
        )
        .map_err(|message| error("sampler.ratio", &message))?;
        let mut resource_attributes = environment.resource_attributes()?;
        resource_attributes.extend(document.resource_attributes);
        let batch = &document.batch;
        within("batch.max_records", batch.max_records, 1, MAX_RECORDS)?;
        within(
            "batch.max_queue_bytes",
            batch.max_queue_bytes,
            MIN_QUEUE_BYTES,
            MAX_QUEUE_BYTES,
        )?;
        at_least("batch.interval", batch.interval, MIN_INTERVAL)?;
        at_least(
            "exporter.timeout",
            document.exporter.timeout,
            Duration::from_millis(1),
        )?;
        within(
            "limits.attribute_value_bytes",
            document.limits.attribute_value_bytes,
            16,
            65536,
        )?;
        Ok(Self {
            service: Service {
                name: document.service.name.or_else(|| environment.service_name()),
                namespace: document.service.namespace,
                version: document.service.version,
            },
            resource_attributes,
            role: document.role,
            formats: propagators.into_iter().filter_map(format_of).collect(),
            sampler,
            spans: document.spans.enabled,
            access_log: document.access_log.enabled,
            redaction: document
                .redact
                .query_keys
                .map_or_else(Redaction::default, Redaction::new),
            value_limit: document.limits.attribute_value_bytes,
            export: Export {
                timeout: document.exporter.timeout,
                headers: metadata(document.exporter.headers)?,
                clusters: document.exporter.clusters,
                max_records: batch.max_records,
                interval: batch.interval,
                max_queue_bytes: batch.max_queue_bytes,
                drain_timeout: batch.drain_timeout,
            },
        })
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl std::error::Error for ConfigError {}

fn read(document: &[u8]) -> Result<Document, ConfigError> {
    if document.trim_ascii().is_empty() {
        return Ok(Document::default());
    }
    let mut deserializer = serde_json::Deserializer::from_slice(document);
    let read: Document =
        serde_path_to_error::deserialize(&mut deserializer).map_err(|found| ConfigError {
            path: match found.path().to_string().as_str() {
                "." => "pluginConfig".to_owned(),
                path => format!("pluginConfig.{path}"),
            },
            message: found.into_inner().to_string(),
        })?;
    deserializer.end().map_err(|found| ConfigError {
        path: "pluginConfig".to_owned(),
        message: format!("{found}, expected one JSON object"),
    })?;
    Ok(read)
}

fn format_of(propagator: Propagator) -> Option<Format> {
    match propagator {
        Propagator::TraceContext => Some(Format::TraceContext),
        Propagator::B3 => Some(Format::B3),
        Propagator::B3Multi => Some(Format::B3Multi),
        // A proxy passes baggage on by leaving it alone.
        Propagator::Baggage => None,
    }
}

/// Metadata names that gRPC or the proxy keep for themselves would fail each call.
fn metadata(
    headers: impl IntoIterator<Item = (String, String)>,
) -> Result<Vec<(String, String)>, ConfigError> {
    let mut metadata = Vec::new();
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        let path = format!("exporter.headers.{name}");
        let legal = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.')
        };
        if name.is_empty() || !name.bytes().all(legal) {
            return Err(error(
                &path,
                "expected a name of letters, digits, '_', '-' and '.'",
            ));
        }
        if name.starts_with("grpc-") || matches!(name.as_str(), "te" | "content-type" | "host") {
            return Err(error(
                &path,
                "is set by gRPC itself and cannot be configured",
            ));
        }
        if !value.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
            return Err(error(
                &path,
                "expected a value of printable ASCII characters",
            ));
        }
        metadata.push((name, value));
    }
    Ok(metadata)
}

fn within(path: &str, found: usize, least: usize, most: usize) -> Result<(), ConfigError> {
    if (least..=most).contains(&found) {
        return Ok(());
    }
    Err(error(
        path,
        &format!("found {found}, expected a number from {least} to {most}"),
    ))
}

fn at_least(path: &str, found: Duration, least: Duration) -> Result<(), ConfigError> {
    if found >= least {
        return Ok(());
    }
    Err(error(
        path,
        &format!("found {found:?}, expected at least {least:?}"),
    ))
}

fn error(path: &str, message: &str) -> ConfigError {
    ConfigError {
        path: format!("pluginConfig.{path}"),
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests;
