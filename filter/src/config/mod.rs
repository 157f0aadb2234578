//! The filter's configuration: from text to values that cannot be wrong.
//!
//! The document is JSON, every key is optional, and an absent or empty document is valid; below it
//! stand the `OTEL_*` variables of `environment`. [`Config`] is what both come to. The keys are
//! documented for users in `docs/filter.md`.
//!
//! Each part is read by a function that is never inlined: a single one for all would be a third of
//! the module's code, and the memory that V8 takes to compile a module grows with its largest
//! function.
//!
//! Left out: everything that needs the proxy (the node's metadata); see `resource`.

mod access_log;
mod boundary;
mod capture;
mod cluster;
mod environment;
mod export;
mod sampling;
#[cfg(test)]
mod schema;
mod section;

use std::fmt;

use serde_json::Value;
use spanmesh_trace_context::Format;

pub use self::cluster::Cluster;
pub use self::environment::Environment;
pub use self::export::{Export, Protocol};
use self::section::Section;
use crate::access_log::AccessLog;
use crate::capture::Capture;
use crate::host::Host;
use crate::keep::Keep;
use crate::path_template::PathTemplate;
use crate::redact::Redaction;
use crate::sampler::Sampler;
use crate::trust::Trust;

const DEFAULT_VALUE_BYTES: usize = 1024;
const MIN_VALUE_BYTES: u32 = 16;
const MAX_VALUE_BYTES: u32 = 64 * 1024;

/// A resolved configuration.
#[derive(Debug)]
pub struct Config {
    /// What the configuration says about the service; the rest comes from the node.
    pub service: Service,
    /// Resource attributes to add; they win over derived ones. Of several values for one key the
    /// last one counts.
    pub resource_attributes: Vec<(String, AttributeValue)>,
    /// Which side of a request the proxy is on.
    pub role: Role,
    /// The formats to extract, in order, and to inject.
    pub formats: Vec<Format>,
    /// What is believed of the contexts that requests bring.
    pub trust: Trust,
    /// Decides which traces are recorded.
    pub sampler: Sampler,
    /// What is recorded of the others all the same.
    pub keep: Keep,
    /// Whether spans are made and contexts are propagated.
    pub spans: bool,
    /// The templates of `http.route`, of which the first that matches counts.
    pub routes: Vec<PathTemplate>,
    /// What access log records are made; `None` for none at all.
    pub access_log: Option<AccessLog>,
    /// The headers and the baggage that become attributes.
    pub capture: Capture,
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

/// The value of a resource attribute; its JSON type is the attribute's type.
#[derive(Clone, Debug, PartialEq)]
pub enum AttributeValue {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Double(f64),
    /// Text.
    String(String),
}

/// Which side of a request the proxy is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// By the listener's direction and the node's type.
    #[default]
    Auto,
    /// A SERVER span for each request.
    Inbound,
    /// A CLIENT span for each request.
    Outbound,
    /// A SERVER span for each request, and a CLIENT span for its upstream if one was tried.
    Gateway,
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
    /// Reads a document, empty or JSON, of the plugin of this name, and what the environment says
    /// below it.
    ///
    /// # Errors
    /// The first key or value that cannot be used, with its path.
    #[inline(never)]
    pub fn new(
        host: &impl Host,
        plugin: &str,
        document: &[u8],
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let mut document = Section::document("pluginConfig", document)?;
        let mut resource_attributes = environment.resource_attributes();
        let wanted = "a string, a number, true or false";
        resource_attributes.extend(document.entries(
            "resource_attributes",
            wanted,
            AttributeValue::from_json,
        )?);
        let (spans, routes) = spans(document.section("spans")?)?;
        let config = Self {
            service: Service::read(document.section("service")?)?,
            resource_attributes,
            role: document.choice("role", &Role::WORDS)?.unwrap_or_default(),
            formats: formats(&mut document, environment)?,
            trust: boundary::read(&mut document, host)?,
            keep: keep(document.section("keep")?)?,
            sampler: sampling::read(document.section("sampler")?, environment, host, plugin)?,
            spans,
            routes,
            access_log: access_log::read(document.section("access_log")?, host)?,
            capture: capture::read(document.section("capture")?)?,
            redaction: redaction(document.section("redact")?)?,
            value_limit: value_limit(document.section("limits")?)?,
            export: export::read(
                document.section("exporter")?,
                document.section("batch")?,
                environment,
            )?,
        };
        document.end()?;
        Ok(config)
    }

    /// The route of a path, if one is configured.
    pub(crate) fn route(&self, path: &[u8]) -> Option<&str> {
        self.routes
            .iter()
            .find(|route| route.matches(path))
            .map(PathTemplate::as_str)
    }
}

impl Service {
    fn read(mut section: Section) -> Result<Self, ConfigError> {
        let service = Self {
            name: section.text("name")?,
            namespace: section.text("namespace")?,
            version: section.text("version")?,
        };
        section.end()?;
        Ok(service)
    }
}

impl AttributeValue {
    fn from_json(value: &Value) -> Option<Self> {
        /// Up to here a double holds every whole number.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        match value {
            Value::Bool(value) => Some(Self::Bool(*value)),
            Value::String(text) => Some(Self::String(text.clone())),
            Value::Number(number) => number.as_i64().map(Self::Int).or_else(|| {
                let number = number.as_f64()?;
                let is_whole = number.fract() == 0.0 && number.abs() <= EXACT;
                Some(if is_whole {
                    Self::Int(number as i64)
                } else {
                    Self::Double(number)
                })
            }),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }
}

impl Role {
    const WORDS: [(&'static str, Self); 4] = [
        ("auto", Self::Auto),
        ("inbound", Self::Inbound),
        ("outbound", Self::Outbound),
        ("gateway", Self::Gateway),
    ];
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl std::error::Error for ConfigError {}

fn enabled(mut section: Section) -> Result<bool, ConfigError> {
    let enabled = section.bool("enabled")?.unwrap_or(true);
    section.end()?;
    Ok(enabled)
}

#[inline(never)]
fn spans(mut section: Section) -> Result<(bool, Vec<PathTemplate>), ConfigError> {
    let routes = section.texts("routes")?.unwrap_or_default();
    let routes: Result<_, String> = routes
        .iter()
        .map(|text| PathTemplate::parse(text))
        .collect();
    let routes = routes.map_err(|message| section.error("routes", message))?;
    Ok((enabled(section)?, routes))
}

#[inline(never)]
fn formats(document: &mut Section, environment: &Environment) -> Result<Vec<Format>, ConfigError> {
    if let Some(names) = document.texts("propagators")? {
        return formats_of(&names).map_err(|message| document.error("propagators", message));
    }
    Ok(environment
        .formats()
        .unwrap_or_else(|| vec![Format::TraceContext]))
}

fn formats_of(names: &[String]) -> Result<Vec<Format>, String> {
    let mut formats = Vec::new();
    for name in names {
        match (Format::from_name(name), name.as_str()) {
            (Some(format), _) if !formats.contains(&format) => formats.push(format),
            // A proxy passes baggage on by leaving it alone.
            (Some(_), _) | (None, "baggage" | "none") => {}
            (None, _) => {
                return Err(format!(
                    "found {name:?}, expected names out of tracecontext, b3, b3multi, baggage, none"
                ));
            }
        }
    }
    Ok(formats)
}

#[inline(never)]
fn keep(mut section: Section) -> Result<Keep, ConfigError> {
    let keep = Keep {
        errors: section.bool("errors")?.unwrap_or(false),
        slower_than: section.duration("slower_than", 1)?,
        streams: section.bool("streams")?.unwrap_or(false),
    };
    section.end()?;
    Ok(keep)
}

#[inline(never)]
fn redaction(mut section: Section) -> Result<Redaction, ConfigError> {
    let redaction = section
        .texts("query_keys")?
        .map_or_else(Redaction::default, Redaction::new);
    section.end()?;
    Ok(redaction)
}

#[inline(never)]
fn value_limit(mut section: Section) -> Result<usize, ConfigError> {
    let limit = section.whole("attribute_value_bytes", MIN_VALUE_BYTES, MAX_VALUE_BYTES)?;
    section.end()?;
    Ok(limit.unwrap_or(DEFAULT_VALUE_BYTES))
}

#[cfg(test)]
mod tests;
