//! `service.telemetry.metrics.readers[].periodic`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// Where the metrics are sent to, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Raw")]
pub struct PushOptions {
    /// From the end of one attempt to the next one.
    pub interval: Duration,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// Whether they go over gRPC, and not over HTTP.
    pub grpc: bool,
    /// A URL.
    pub endpoint: String,
    /// Headers that every request carries.
    pub headers: BTreeMap<String, String>,
    /// As exporters know it.
    pub compression: String,
    /// No TLS where the endpoint does not say.
    pub insecure: bool,
    /// A file with the authorities to believe, PEM.
    pub certificate: Option<String>,
    /// A file with the certificate to show, PEM.
    pub client_certificate: Option<String>,
    /// A file with its key, PEM.
    pub client_key: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Raw {
    /// In milliseconds, as is the next one.
    #[serde(default = "default_interval")]
    interval: u64,
    #[serde(default = "default_timeout")]
    timeout: u64,
    exporter: RawExporter,
}

#[derive(Debug, Deserialize)]
struct RawExporter {
    otlp: Otlp,
}

#[derive(Debug, Deserialize)]
struct Otlp {
    #[serde(default)]
    protocol: Protocol,
    endpoint: String,
    #[serde(default, deserialize_with = "headers")]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    compression: RawCompression,
    #[serde(default)]
    insecure: bool,
    certificate: Option<String>,
    client_certificate: Option<String>,
    client_key: Option<String>,
    /// Sums are cumulative, and there is no other choice.
    #[serde(default, rename = "temporality_preference")]
    _temporality_preference: Temporality,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
enum Protocol {
    #[default]
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
    #[serde(rename = "grpc")]
    Grpc,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawCompression {
    #[default]
    None,
    Gzip,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Temporality {
    #[default]
    Cumulative,
}

#[derive(Debug, Deserialize)]
struct Header {
    name: String,
    value: String,
}

fn default_interval() -> u64 {
    60_000
}

fn default_timeout() -> u64 {
    30_000
}

fn headers<'de, D>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error>
where
    D: Deserializer<'de>,
{
    let headers = Vec::<Header>::deserialize(deserializer)?;
    Ok(headers
        .into_iter()
        .map(|header| (header.name, header.value))
        .collect())
}

// === impl PushOptions ===

impl TryFrom<Raw> for PushOptions {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        if raw.interval == 0 || raw.timeout == 0 {
            return Err(
                "expected \"interval\" and \"timeout\" to be at least 1 (milliseconds), but found 0"
                    .to_owned(),
            );
        }
        let otlp = raw.exporter.otlp;
        Ok(Self {
            interval: Duration::from_millis(raw.interval),
            timeout: Duration::from_millis(raw.timeout),
            grpc: otlp.protocol == Protocol::Grpc,
            endpoint: otlp.endpoint,
            headers: otlp.headers,
            compression: match otlp.compression {
                RawCompression::None => "none".to_owned(),
                RawCompression::Gzip => "gzip".to_owned(),
            },
            insecure: otlp.insecure,
            certificate: otlp.certificate,
            client_certificate: otlp.client_certificate,
            client_key: otlp.client_key,
        })
    }
}
