//! Which items `include` and `exclude` mean.
//!
//! Every property that is given has to match. Of several services, names, kinds, bodies, severity
//! texts and libraries one has to; of several attributes and resource attributes all have to.

use regex::{Regex, RegexSet};
use serde::Deserialize;
use spanmesh_otlp::rewrite::{Attributes, Item};
use spanmesh_otlp::view::{AnyValue, KeyValue, LogRecord, Resource, Scope, Span};
use spanmesh_otlp::{EncodedValue, Signal};

use super::options::RawMatcher;
use crate::actions::as_text;

/// `include` or `exclude`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "RawMatcher")]
pub(super) struct Matcher {
    pub(super) services: Option<Texts>,
    pub(super) span_names: Option<Texts>,
    pub(super) span_kinds: Option<Texts>,
    pub(super) log_bodies: Option<Texts>,
    pub(super) log_severity_texts: Option<Texts>,
    pub(super) log_severity_number: Option<Severity>,
    pub(super) metric_names: Option<Texts>,
    pub(super) attributes: Vec<Attribute>,
    pub(super) resources: Vec<Attribute>,
    pub(super) libraries: Vec<Library>,
}

/// Texts, one of which has to match.
#[derive(Clone, Debug)]
pub(super) enum Texts {
    Strict(Vec<String>),
    /// Found anywhere in the text, unless the expression says otherwise.
    Regexp(RegexSet),
}

/// An attribute that has to be there.
#[derive(Clone, Debug)]
pub(super) struct Attribute {
    pub(super) key: String,
    /// What its value has to be, if that matters.
    pub(super) value: Option<Expected>,
}

#[derive(Clone, Debug)]
pub(super) enum Expected {
    /// This value, of this type.
    Equal(EncodedValue),
    /// A string, number or boolean whose text matches.
    Regexp(Regex),
}

/// An instrumentation scope.
#[derive(Clone, Debug)]
pub(super) struct Library {
    pub(super) name: Texts,
    pub(super) version: Option<Texts>,
}

/// Log records of at least this severity.
#[derive(Clone, Copy, Debug)]
pub(super) struct Severity {
    pub(super) min: i32,
    /// Whether those without a severity are meant.
    pub(super) match_undefined: bool,
}

/// A matcher that remembers what it found of the last scope and its resource.
pub(super) struct Origin<'m> {
    matcher: Option<&'m Matcher>,
    last: Option<(*const u8, bool)>,
}

// === impl Matcher ===

impl Matcher {
    /// Whether the properties exist in a signal.
    pub(super) fn check_signal(&self, signal: Signal) -> Result<(), String> {
        let properties = [
            ("services", self.services.is_some(), Some(Signal::Traces)),
            (
                "span_names",
                self.span_names.is_some(),
                Some(Signal::Traces),
            ),
            (
                "span_kinds",
                self.span_kinds.is_some(),
                Some(Signal::Traces),
            ),
            ("log_bodies", self.log_bodies.is_some(), Some(Signal::Logs)),
            (
                "log_severity_texts",
                self.log_severity_texts.is_some(),
                Some(Signal::Logs),
            ),
            (
                "log_severity_number",
                self.log_severity_number.is_some(),
                Some(Signal::Logs),
            ),
            (
                "metric_names",
                self.metric_names.is_some(),
                Some(Signal::Metrics),
            ),
            ("attributes", !self.attributes.is_empty(), None),
            ("resources", !self.resources.is_empty(), None),
            ("libraries", !self.libraries.is_empty(), None),
        ];
        let fits = |of: Option<Signal>| of.is_none_or(|of| of == signal);
        let known = properties.iter().filter(|(_, _, of)| fits(*of));
        let known: Vec<&str> = known.map(|(name, _, _)| *name).collect();
        let known = known.join(", ");
        if let Some((name, ..)) = properties.iter().find(|(_, set, of)| *set && !fits(*of)) {
            return Err(format!("expected only {known}, but found {name}"));
        }
        if !properties.iter().any(|(_, set, _)| *set) {
            return Err(format!("expected at least one of {known}, but found none"));
        }
        Ok(())
    }

    pub(super) fn matches_attributes(&self, attributes: &Attributes<'_>) -> bool {
        let mut expected = self.attributes.iter();
        expected.all(|expected| expected.matches(attributes.get(&expected.key)))
    }

    fn matches_origin(&self, resource: Resource<'_>, scope: Scope<'_>) -> bool {
        let find = |key: &str| {
            let mut attributes = resource.attributes();
            let found = attributes.find(|attribute| attribute.key() == key);
            found.as_ref().map(KeyValue::value)
        };
        if let Some(services) = &self.services {
            let service = find("service.name").map(as_text).unwrap_or_default();
            if !services.matches(&service) {
                return false;
            }
        }
        let is_library = |library: &Library| {
            let version = library.version.as_ref();
            library.name.matches(scope.name())
                && version.is_none_or(|version| version.matches(scope.version()))
        };
        let mut resources = self.resources.iter();
        resources.all(|expected| expected.matches(find(&expected.key)))
            && (self.libraries.is_empty() || self.libraries.iter().any(is_library))
    }

    /// Whether an item of the right resource and scope matches, but for its attributes.
    fn matches_item(&self, signal: Signal, item: &Item<'_>) -> bool {
        match signal {
            Signal::Traces if self.span_names.is_some() || self.span_kinds.is_some() => {
                let span = Span::new(item.message);
                matches(self.span_names.as_ref(), span.name)
                    && matches(self.span_kinds.as_ref(), span_kind(span.kind))
            }
            Signal::Logs => self.matches_log(item.message),
            Signal::Metrics => {
                let name = item.metric.map_or("", |metric| metric.name);
                matches(self.metric_names.as_ref(), name)
            }
            Signal::Traces => true,
        }
    }

    fn matches_log(&self, message: &[u8]) -> bool {
        let asks = self.log_bodies.is_some()
            || self.log_severity_texts.is_some()
            || self.log_severity_number.is_some();
        if !asks {
            return true;
        }
        let record = LogRecord::new(message);
        if let Some(severity) = self.log_severity_number
            && !severity.matches(record.severity_number)
        {
            return false;
        }
        if !matches(self.log_severity_texts.as_ref(), record.severity_text) {
            return false;
        }
        let bodies = self.log_bodies.as_ref();
        bodies.is_none_or(|bodies| bodies.matches(&as_text(record.body())))
    }
}

// === impl Origin ===

impl<'m> Origin<'m> {
    pub(super) fn new(matcher: Option<&'m Matcher>) -> Self {
        Self {
            matcher,
            last: None,
        }
    }

    /// Whether an item matches, but for its attributes; `None` without a matcher.
    pub(super) fn matches(&mut self, signal: Signal, item: &Item<'_>) -> Option<bool> {
        let matcher = self.matcher?;
        // Items of one scope follow each other, and no two scopes begin at the same place.
        let place = item.scope.as_bytes().as_ptr();
        let origin = match self.last {
            Some((last, matches)) if last == place => matches,
            _ => matcher.matches_origin(item.resource, item.scope),
        };
        self.last = Some((place, origin));
        Some(origin && matcher.matches_item(signal, item))
    }
}

// === impl Texts ===

impl Texts {
    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Strict(texts) => texts.iter().any(|expected| expected == text),
            Self::Regexp(expressions) => expressions.is_match(text),
        }
    }
}

// === impl Attribute ===

impl Attribute {
    fn matches(&self, value: Option<AnyValue<'_>>) -> bool {
        match (value, &self.value) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(value), Some(Expected::Equal(expected))) => expected.view() == value,
            (Some(value), Some(Expected::Regexp(expression))) => {
                let is_simple = matches!(
                    value,
                    AnyValue::String(_)
                        | AnyValue::Bool(_)
                        | AnyValue::Int(_)
                        | AnyValue::Double(_)
                );
                is_simple && expression.is_match(&as_text(value))
            }
        }
    }
}

// === impl Severity ===

impl Severity {
    fn matches(self, number: i32) -> bool {
        match number {
            0 => self.match_undefined,
            number => number >= self.min,
        }
    }
}

fn matches(texts: Option<&Texts>, text: &str) -> bool {
    texts.is_none_or(|texts| texts.matches(text))
}

/// The names of the kinds, by their numbers; empty for the others.
fn span_kind(kind: i32) -> &'static str {
    match kind {
        1 => "SPAN_KIND_INTERNAL",
        2 => "SPAN_KIND_SERVER",
        3 => "SPAN_KIND_CLIENT",
        4 => "SPAN_KIND_PRODUCER",
        5 => "SPAN_KIND_CONSUMER",
        _ => "",
    }
}
