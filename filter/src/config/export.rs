//! `exporter` and `batch`: how records leave.
//!
//! Source of the default port: OTLP 1.11. Left out: paths and query of OTLP/HTTP other than the
//! default ones.

use std::time::Duration;

use serde_json::Value;

use super::{Cluster, ConfigError, Environment, Section};

/// Where an Istio sidecar finds the collector, whatever the Helm release is called.
const DEFAULT_GRPC_CLUSTER: &str =
    "outbound|4317||spanmesh-collector.observability.svc.cluster.local";
/// The same for OTLP/HTTP.
const DEFAULT_HTTP_CLUSTER: &str =
    "outbound|4318||spanmesh-collector.observability.svc.cluster.local";

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);
/// In milliseconds; below this a flush would cost more than the records in it.
const MIN_INTERVAL: u64 = 10;
const DEFAULT_MAX_RECORDS: usize = 512;
/// So that a receiver with the usual limit of 4 MiB takes a batch.
const MAX_MAX_RECORDS: u32 = 4096;
const DEFAULT_QUEUE_BYTES: usize = 4 * 1024 * 1024;
/// Below this a single batch would not fit.
const MIN_QUEUE_BYTES: u32 = 64 * 1024;
/// The Wasm memory of a VM may reach 1 GiB; this leaves the rest of the filter its place.
const MAX_QUEUE_BYTES: u32 = 512 * 1024 * 1024;

/// What the protocols set themselves, and what HTTP/2 forbids: with one of these each call would
/// fail.
const RESERVED_HEADERS: [&str; 10] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// How records leave the proxy.
#[derive(Clone, Debug)]
pub struct Export {
    /// The protocol of every call.
    pub protocol: Protocol,
    /// Envoy clusters of collectors, in the order of preference; never empty.
    pub clusters: Vec<Cluster>,
    /// A call that takes longer is given up, and tried again.
    pub timeout: Duration,
    /// Metadata, or headers, of every call; names are lower-case.
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

/// The transports of OTLP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Unary calls of OTLP/gRPC.
    #[default]
    Grpc,
    /// OTLP/HTTP with protobuf bodies.
    Http,
}

impl Protocol {
    const WORDS: [(&'static str, Self); 2] = [("grpc", Self::Grpc), ("http", Self::Http)];

    fn default_cluster(self) -> &'static str {
        match self {
            Self::Grpc => DEFAULT_GRPC_CLUSTER,
            Self::Http => DEFAULT_HTTP_CLUSTER,
        }
    }
}

/// Reads both sections.
#[inline(never)]
pub(super) fn read(
    mut exporter: Section,
    mut batch: Section,
    environment: &Environment,
) -> Result<Export, ConfigError> {
    let protocol = exporter
        .choice("protocol", &Protocol::WORDS)?
        .unwrap_or_default();
    let read = Export {
        protocol,
        clusters: clusters(&mut exporter, protocol)?,
        timeout: exporter.duration("timeout", 1)?.unwrap_or(DEFAULT_TIMEOUT),
        headers: headers(&mut exporter, environment)?,
        max_records: batch
            .whole("max_records", 1, MAX_MAX_RECORDS)?
            .unwrap_or(DEFAULT_MAX_RECORDS),
        interval: batch
            .duration("interval", MIN_INTERVAL)?
            .unwrap_or(DEFAULT_INTERVAL),
        max_queue_bytes: batch
            .whole("max_queue_bytes", MIN_QUEUE_BYTES, MAX_QUEUE_BYTES)?
            .unwrap_or(DEFAULT_QUEUE_BYTES),
        drain_timeout: batch
            .duration("drain_timeout", 1)?
            .unwrap_or(DEFAULT_DRAIN_TIMEOUT),
    };
    exporter.end()?;
    batch.end()?;
    Ok(read)
}

fn clusters(exporter: &mut Section, protocol: Protocol) -> Result<Vec<Cluster>, ConfigError> {
    let names = exporter.texts("clusters")?;
    let names = names.unwrap_or_else(|| vec![protocol.default_cluster().to_owned()]);
    let clusters: Option<Vec<Cluster>> = names.into_iter().map(Cluster::new).collect();
    match clusters {
        Some(clusters) if !clusters.is_empty() => Ok(clusters),
        Some(_) => {
            let message = "found an empty list, expected the name of an Envoy cluster";
            Err(exporter.error("clusters", message.to_owned()))
        }
        None => {
            let message = "found an empty name, expected the name of an Envoy cluster";
            Err(exporter.error("clusters", message.to_owned()))
        }
    }
}

/// The document's headers, and those of the environment that it does not name.
fn headers(
    exporter: &mut Section,
    environment: &Environment,
) -> Result<Vec<(String, String)>, ConfigError> {
    let text = |value: &Value| {
        let text = value.as_str().filter(|text| is_header_value(text));
        Some(text.map(str::to_owned))
    };
    let mut headers = Vec::new();
    for (name, value) in exporter.entries("headers", "a string", text)? {
        let key = format!("headers.{name}");
        if let Err(message) = check_header_name(&name) {
            return Err(exporter.error(&key, message.to_owned()));
        }
        let Some(value) = value else {
            // Without the value, which may be a secret that a line break ended up in.
            let message = "expected a string of printable ASCII characters";
            return Err(exporter.error(&key, message.to_owned()));
        };
        headers.push((name, value));
    }
    for (name, value) in environment.export_headers() {
        if headers.iter().all(|(found, _)| *found != name) {
            headers.push((name, value));
        }
    }
    Ok(headers)
}

/// What a header of a call may be.
pub(super) fn is_header_value(value: &str) -> bool {
    value.bytes().all(|byte| matches!(byte, 0x20..=0x7e))
}

/// Checks that a call can have a header of this name.
pub(super) fn check_header_name(name: &str) -> Result<(), &'static str> {
    let legal = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.')
    };
    if name.is_empty() || !name.bytes().all(legal) {
        return Err("expected a name of lower-case letters, digits, '_', '-' and '.'");
    }
    if name.starts_with("grpc-") || RESERVED_HEADERS.contains(&name) {
        return Err("HTTP or gRPC keeps this header for itself; it cannot be configured");
    }
    Ok(())
}
