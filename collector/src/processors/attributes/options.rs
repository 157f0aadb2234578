//! The options of the `attributes` processor.

use regex::RegexSet;
use serde::Deserialize;
use spanmesh_otlp::view::AnyValue;

use super::matching::{Attribute, Expected, Library, Matcher, Severity, Texts};
use crate::actions::{Actions, ConfiguredValue, regex};

/// The options.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Options {
    /// What is done, one after the other.
    pub(super) actions: Actions,
    /// Which items it is done to; all if this is absent.
    pub(super) include: Option<Matcher>,
    /// Which of these it is not done to.
    pub(super) exclude: Option<Matcher>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawMatcher {
    match_type: Option<MatchType>,
    /// The size of a cache that otelcol has for expressions.
    #[serde(rename = "regexp")]
    _regexp: Option<Cache>,
    services: Vec<String>,
    span_names: Vec<String>,
    span_kinds: Vec<String>,
    log_bodies: Vec<String>,
    log_severity_texts: Vec<String>,
    log_severity_number: Option<RawSeverity>,
    metric_names: Vec<String>,
    attributes: Vec<RawAttribute>,
    resources: Vec<RawAttribute>,
    libraries: Vec<RawLibrary>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum MatchType {
    Strict,
    Regexp,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Cache {
    #[serde(rename = "cacheenabled")]
    _enabled: bool,
    #[serde(rename = "cachemaxnumentries")]
    _max_entries: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawSeverity {
    /// A number, or the short name of one: `INFO`, `WARN2`.
    min: String,
    match_undefined: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawAttribute {
    key: String,
    value: Option<ConfiguredValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawLibrary {
    name: String,
    version: Option<String>,
}

const SPAN_KINDS: [&str; 5] = [
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];

/// The names of severities; each has four numbers, from 1 on.
const SEVERITIES: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];

// === impl Matcher ===

impl TryFrom<RawMatcher> for Matcher {
    type Error = String;

    fn try_from(raw: RawMatcher) -> Result<Self, String> {
        let Some(match_type) = raw.match_type else {
            return Err(
                "expected \"match_type\" to be strict or regexp, but found none".to_owned(),
            );
        };
        let unknown = |kind: &&String| !SPAN_KINDS.contains(&kind.as_str());
        if matches!(match_type, MatchType::Strict)
            && let Some(kind) = raw.span_kinds.iter().find(unknown)
        {
            let kinds = SPAN_KINDS.join(", ");
            return Err(format!(
                "expected \"span_kinds\" to be some of {kinds}, but found {kind:?}"
            ));
        }
        let severity = raw.log_severity_number.map(Severity::try_from);
        let libraries = raw.libraries.into_iter();
        Ok(Self {
            services: texts(match_type, raw.services)?,
            span_names: texts(match_type, raw.span_names)?,
            span_kinds: texts(match_type, raw.span_kinds)?,
            log_bodies: texts(match_type, raw.log_bodies)?,
            log_severity_texts: texts(match_type, raw.log_severity_texts)?,
            log_severity_number: severity.transpose()?,
            metric_names: texts(match_type, raw.metric_names)?,
            attributes: attributes(match_type, raw.attributes)?,
            resources: attributes(match_type, raw.resources)?,
            libraries: libraries
                .map(|library| {
                    let version = library.version.map(|version| one(match_type, version));
                    Ok(Library {
                        name: one(match_type, library.name)?,
                        version: version.transpose()?,
                    })
                })
                .collect::<Result<_, String>>()?,
        })
    }
}

impl TryFrom<RawSeverity> for Severity {
    type Error = String;

    fn try_from(raw: RawSeverity) -> Result<Self, String> {
        let by_name = || {
            let name = raw.min.trim_end_matches(|c: char| c.is_ascii_digit());
            let level = SEVERITIES.iter().position(|known| *known == name)?;
            let within = match &raw.min[name.len()..] {
                "" => 1,
                digit => digit.parse().ok().filter(|digit| (2..=4).contains(digit))?,
            };
            Some(4 * level as i32 + within)
        };
        let by_number = raw.min.parse().ok().filter(|min| (0..=24).contains(min));
        let Some(min) = by_number.or_else(by_name) else {
            return Err(format!(
                "expected \"min\" to be a severity number of 0 to 24, or its name as in \"INFO\" or \
                 \"WARN2\", but found {:?}",
                raw.min
            ));
        };
        Ok(Self {
            min,
            match_undefined: raw.match_undefined,
        })
    }
}

/// `None` if there is nothing to match.
fn texts(match_type: MatchType, texts: Vec<String>) -> Result<Option<Texts>, String> {
    if texts.is_empty() {
        return Ok(None);
    }
    Ok(Some(match match_type {
        MatchType::Strict => Texts::Strict(texts),
        MatchType::Regexp => {
            for text in &texts {
                regex(text)?;
            }
            Texts::Regexp(RegexSet::new(&texts).map_err(|error| error.to_string())?)
        }
    }))
}

fn one(match_type: MatchType, text: String) -> Result<Texts, String> {
    let texts = texts(match_type, vec![text])?;
    Ok(texts.unwrap_or(Texts::Strict(Vec::new())))
}

fn attributes(match_type: MatchType, raw: Vec<RawAttribute>) -> Result<Vec<Attribute>, String> {
    let attribute = |RawAttribute { key, value }: RawAttribute| {
        if key.is_empty() {
            return Err("expected a \"key\", but found none".to_owned());
        }
        let value = match (match_type, value) {
            (_, None) => None,
            (MatchType::Strict, Some(ConfiguredValue(value))) => Some(Expected::Equal(value)),
            (MatchType::Regexp, Some(ConfiguredValue(value))) => match value.view() {
                AnyValue::String(text) => Some(Expected::Regexp(regex(text)?)),
                other => {
                    return Err(format!(
                        "expected a regular expression for {key:?}, but found {other}"
                    ));
                }
            },
        };
        Ok(Attribute { key, value })
    };
    raw.into_iter().map(attribute).collect()
}
