//! The `OTEL_*` environment variables, which Istio sets through `vmConfig.env`.
//!
//! Source: opentelemetry-specification 1.60, `configuration/sdk-environment-variables.md`. They
//! stand below the document: a key there wins. An empty variable is as good as an absent one.
//!
//! Left out: the exporter's variables, since a filter sends to an Envoy cluster and not to a URL.

use super::{AttributeValue, ConfigError};

/// The variables of one VM.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    service_name: Option<String>,
    resource_attributes: Option<String>,
    propagators: Option<String>,
    sampler: Option<String>,
    sampler_argument: Option<String>,
}

impl Environment {
    /// Reads the variables through `lookup`.
    pub fn new(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let lookup = |name: &str| lookup(name).filter(|value| !value.is_empty());
        Self {
            service_name: lookup("OTEL_SERVICE_NAME"),
            resource_attributes: lookup("OTEL_RESOURCE_ATTRIBUTES"),
            propagators: lookup("OTEL_PROPAGATORS"),
            sampler: lookup("OTEL_TRACES_SAMPLER"),
            sampler_argument: lookup("OTEL_TRACES_SAMPLER_ARG"),
        }
    }

    pub(super) fn service_name(&self) -> Option<String> {
        self.service_name.clone()
    }

    /// `key=value` pairs, separated by commas, with percent-encoding.
    pub(super) fn resource_attributes(&self) -> Result<Vec<(String, AttributeValue)>, ConfigError> {
        let mut attributes = Vec::new();
        for pair in self
            .resource_attributes
            .iter()
            .flat_map(|list| list.split(','))
        {
            if pair.trim().is_empty() {
                continue;
            }
            let decoded = pair.split_once('=').and_then(|(key, value)| {
                let key = percent_decode(key.trim()).filter(|key| !key.is_empty())?;
                Some((key, AttributeValue::String(percent_decode(value.trim())?)))
            });
            let Some(decoded) = decoded else {
                let message = format!("found {pair:?}, expected key=value, percent-encoded");
                return Err(error("OTEL_RESOURCE_ATTRIBUTES", message));
            };
            attributes.push(decoded);
        }
        Ok(attributes)
    }

    /// The names in the list.
    pub(super) fn propagators(&self) -> Option<Vec<String>> {
        let names = self.propagators.as_ref()?.split(',');
        Some(names.map(|name| name.trim().to_owned()).collect())
    }

    /// Whether the sampler heeds the parent, and the ratio for roots.
    pub(super) fn sampler(&self) -> Result<Option<(bool, f64)>, ConfigError> {
        let Some(name) = self.sampler.as_deref() else {
            return Ok(None);
        };
        let (parent_based, root) = match name.strip_prefix("parentbased_") {
            Some(root) => (true, root),
            None => (false, name),
        };
        let ratio = match root {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => self.sampler_ratio()?,
            _ => {
                let message = format!(
                    "found {name:?}, expected always_on, always_off or traceidratio, or one of \
                     these after parentbased_"
                );
                return Err(error("OTEL_TRACES_SAMPLER", message));
            }
        };
        Ok(Some((parent_based, ratio)))
    }

    fn sampler_ratio(&self) -> Result<f64, ConfigError> {
        let Some(argument) = self.sampler_argument.as_deref() else {
            return Ok(1.0);
        };
        let ratio = argument
            .trim()
            .parse()
            .ok()
            .filter(|ratio| (0.0..=1.0).contains(ratio));
        ratio.ok_or_else(|| {
            let message = format!("found {argument:?}, expected a number from 0 to 1");
            error("OTEL_TRACES_SAMPLER_ARG", message)
        })
    }
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let high = char::from(bytes.next()?).to_digit(16)?;
        let low = char::from(bytes.next()?).to_digit(16)?;
        decoded.push((high << 4 | low) as u8);
    }
    String::from_utf8(decoded).ok()
}

/// An error about a variable.
pub(super) fn error(variable: &str, message: String) -> ConfigError {
    ConfigError {
        path: format!("environment variable {variable}"),
        message,
    }
}
