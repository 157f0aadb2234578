//! The `OTEL_*` environment variables, which Istio sets through `vmConfig.env`.
//!
//! Source: opentelemetry-specification 1.60, `configuration/sdk-environment-variables.md`. They
//! stand below the document: a key there wins. An empty variable is as good as an absent one; what
//! cannot be used is ignored with a warning, as the specification wants it, since a variable may be
//! meant for others.
//!
//! Left out: the exporter's other variables, since a filter sends to an Envoy cluster and not to a
//! URL.

use spanmesh_trace_context::Format;

use super::AttributeValue;
use super::export::{check_header_name, is_header_value};
use crate::sampler::Policy;
use crate::semconv;

/// The variables of one VM.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    service_name: Option<String>,
    resource_attributes: Option<String>,
    propagators: Option<String>,
    sampler: Option<String>,
    sampler_argument: Option<String>,
    export_headers: Option<String>,
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
            export_headers: lookup("OTEL_EXPORTER_OTLP_HEADERS"),
        }
    }

    /// The attributes of the resource; the service's name is the last of them, and so wins.
    pub(super) fn resource_attributes(&self) -> Vec<(String, AttributeValue)> {
        let list = self.resource_attributes.as_deref().unwrap_or_default();
        let mut attributes: Vec<_> = decode_pairs(list)
            .unwrap_or_else(|| {
                ignore(
                    "OTEL_RESOURCE_ATTRIBUTES",
                    list,
                    "key=value,… with percent-encoding",
                );
                Vec::new()
            })
            .into_iter()
            .map(|(key, value)| (key, AttributeValue::String(value)))
            .collect();
        if let Some(name) = &self.service_name {
            let name = AttributeValue::String(name.clone());
            attributes.push((semconv::SERVICE_NAME.to_owned(), name));
        }
        attributes
    }

    /// The formats in the list, in order; `None` if it names none that is known.
    pub(super) fn formats(&self) -> Option<Vec<Format>> {
        let list = self.propagators.as_deref()?.to_ascii_lowercase();
        let mut formats = Vec::new();
        let mut is_known = false;
        for name in list
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            match (Format::from_name(name), name) {
                (Some(format), _) if !formats.contains(&format) => formats.push(format),
                (Some(_), _) | (None, "baggage" | "none") => {}
                (None, _) => {
                    ignore(
                        "OTEL_PROPAGATORS",
                        name,
                        "tracecontext, b3, b3multi, baggage or none",
                    );
                    continue;
                }
            }
            is_known = true;
        }
        is_known.then_some(formats)
    }

    /// Whether the sampler heeds the parent, and the ratio for roots.
    pub(super) fn sampler(&self) -> Option<(bool, Policy)> {
        let name = self.sampler.as_deref()?.to_ascii_lowercase();
        let (parent_based, root) = match name.strip_prefix("parentbased_") {
            Some(root) => (true, root),
            None => (false, name.as_str()),
        };
        let ratio = match root {
            "always_on" => Policy::always(),
            "always_off" => Policy::Ratio(None),
            "traceidratio" => self.sampler_ratio(),
            _ => {
                let expected = "always_on, always_off or traceidratio, or parentbased_ with one";
                ignore("OTEL_TRACES_SAMPLER", &name, expected);
                return None;
            }
        };
        Some((parent_based, ratio))
    }

    /// The headers of every export call; names are lower-case.
    pub(super) fn export_headers(&self) -> Vec<(String, String)> {
        const VARIABLE: &str = "OTEL_EXPORTER_OTLP_HEADERS";
        let list = self.export_headers.as_deref().unwrap_or_default();
        let Some(mut headers) = decode_pairs(list) else {
            // Its values are secrets.
            ignore(
                VARIABLE,
                "a list that does not decode",
                "name=value,… with percent-encoding",
            );
            return Vec::new();
        };
        for (name, _) in &mut headers {
            name.make_ascii_lowercase();
        }
        headers.retain(|(name, value)| {
            let checked = check_header_name(name);
            let is_usable = checked.is_ok() && is_header_value(value);
            if !is_usable {
                let expected = checked
                    .err()
                    .unwrap_or("expected a value of printable ASCII");
                log::warn!("environment variable {VARIABLE}: {name:?} is ignored: {expected}");
            }
            is_usable
        });
        headers
    }

    /// All if it is absent or cannot be used, as the specification has it.
    fn sampler_ratio(&self) -> Policy {
        let Some(argument) = self.sampler_argument.as_deref() else {
            return Policy::always();
        };
        // As JSON, so that the module needs no other parser of numbers, and as any value: serde's
        // message about a wrong type would link the formatting of floats, a twentieth of the module.
        let number = argument.trim();
        let number = if number.starts_with('.') {
            format!("0{number}")
        } else {
            number.to_owned()
        };
        let ratio = serde_json::from_slice(number.as_bytes())
            .ok()
            .and_then(|value: serde_json::Value| value.as_f64());
        ratio.and_then(Policy::ratio).unwrap_or_else(|| {
            ignore(
                "OTEL_TRACES_SAMPLER_ARG",
                argument,
                "a probability from 0 to 1",
            );
            Policy::always()
        })
    }
}

/// `key=value,…`; `None` if any pair does not decode.
fn decode_pairs(list: &str) -> Option<Vec<(String, String)>> {
    list.split(',')
        .filter(|pair| !pair.trim().is_empty())
        .map(decode_pair)
        .collect()
}

fn decode_pair(pair: &str) -> Option<(String, String)> {
    let (key, value) = pair.split_once('=')?;
    let key = percent_decode(key.trim()).filter(|key| !key.is_empty())?;
    Some((key, percent_decode(value.trim())?))
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

fn ignore(variable: &str, found: &str, expected: &str) {
    log::warn!("environment variable {variable} is ignored: found {found:?}, expected {expected}");
}
