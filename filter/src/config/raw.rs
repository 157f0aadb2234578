//! The configuration document as people write it: JSON, every key optional.
//!
//! Istio hands `pluginConfig` over as JSON text made from a protobuf `Struct`, so that every number
//! arrives as a double: whole numbers are accepted in either form. An unknown key is an error; the
//! path to it and what was expected are in the message.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};

/// The whole document.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Document {
    pub(crate) service: Service,
    pub(crate) resource_attributes: BTreeMap<String, AttributeValue>,
    pub(crate) role: Role,
    pub(crate) propagators: Option<Vec<Propagator>>,
    pub(crate) sampler: Sampler,
    pub(crate) spans: Spans,
    pub(crate) access_log: AccessLog,
    pub(crate) redact: Redact,
    pub(crate) limits: Limits,
    pub(crate) exporter: Exporter,
    pub(crate) batch: Batch,
}

/// `service`: overrides what the node's metadata says.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Service {
    pub(crate) name: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) version: Option<String>,
}

/// The value of one resource attribute; its JSON type is the attribute's type.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged, expecting = "a string, a boolean or a number")]
pub enum AttributeValue {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number without a fraction part in the text.
    Int(i64),
    /// Any other number.
    Double(f64),
    /// Text.
    String(String),
}

/// `role`: which side of a request the proxy is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// By the listener's direction and the node's type.
    #[default]
    Auto,
    /// A SERVER span for each request.
    Inbound,
    /// A CLIENT span for each request.
    Outbound,
    /// A SERVER span for each request.
    Gateway,
}

/// A name of `OTEL_PROPAGATORS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Propagator {
    TraceContext,
    B3,
    B3Multi,
    Baggage,
}

/// `sampler`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sampler {
    pub(crate) parent_based: Option<bool>,
    pub(crate) ratio: Option<f64>,
}

/// `spans`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Spans {
    pub(crate) enabled: bool,
}

impl Default for Spans {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// `access_log`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AccessLog {
    pub(crate) enabled: bool,
}

impl Default for AccessLog {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// `redact`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Redact {
    pub(crate) query_keys: Option<Vec<String>>,
}

/// `limits`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Limits {
    #[serde(deserialize_with = "whole")]
    pub(crate) attribute_value_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attribute_value_bytes: 1024,
        }
    }
}

/// `exporter`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Exporter {
    pub(crate) protocol: Protocol,
    pub(crate) clusters: Vec<String>,
    #[serde(deserialize_with = "duration")]
    pub(crate) timeout: Duration,
    pub(crate) headers: BTreeMap<String, String>,
}

impl Default for Exporter {
    fn default() -> Self {
        Self {
            protocol: Protocol::Grpc,
            clusters: vec![super::DEFAULT_CLUSTER.to_owned()],
            timeout: Duration::from_secs(10),
            headers: BTreeMap::new(),
        }
    }
}

/// `exporter.protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protocol {
    Grpc,
}

/// `batch`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Batch {
    #[serde(deserialize_with = "whole")]
    pub(crate) max_records: usize,
    #[serde(deserialize_with = "duration")]
    pub(crate) interval: Duration,
    #[serde(deserialize_with = "whole")]
    pub(crate) max_queue_bytes: usize,
    #[serde(deserialize_with = "duration")]
    pub(crate) drain_timeout: Duration,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            max_records: 512,
            interval: Duration::from_secs(1),
            max_queue_bytes: 4 * 1024 * 1024,
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// A whole number, also where it arrives as a double.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    // Beyond this a double no longer holds every whole number; also the limit of `usize` in Wasm.
    const MAX: f64 = u32::MAX as f64;
    let number = f64::deserialize(deserializer)?;
    if number.fract() != 0.0 || !(0.0..=MAX).contains(&number) {
        let expected = &"a whole number from 0 to 4294967295";
        return Err(D::Error::invalid_value(Unexpected::Float(number), expected));
    }
    Ok(number as usize)
}

/// A duration such as `"500ms"` or `"10s"`.
fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).ok_or_else(|| {
        let expected = &"a duration of whole milliseconds, such as \"500ms\", \"10s\" or \"2m\"";
        D::Error::invalid_value(Unexpected::Str(&text), expected)
    })
}

fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let factor = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        _ => return None,
    };
    Some(Duration::from_millis(
        number.parse::<u64>().ok()?.checked_mul(factor)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_name_their_unit() {
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("10s"), Some(Duration::from_secs(10)));
        assert_eq!(parse_duration("2m"), Some(Duration::from_secs(120)));
        for text in ["", "10", "s", "-1s", "1.5s", "1h", "99999999999999999999s"] {
            assert_eq!(parse_duration(text), None, "{text:?}");
        }
    }
}
