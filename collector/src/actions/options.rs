//! How an action is written.

use regex::Regex;
use serde::Deserialize;

use super::{Action, ConfiguredValue, ContextKey, Selection, Source, Type};

/// One entry of `actions` or, in `resource`, of `attributes`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawAction {
    /// Which attribute it is about.
    key: String,
    /// What is done; upper case is allowed.
    action: String,
    /// The value to put.
    value: Option<ConfiguredValue>,
    /// The attribute whose value is put.
    from_attribute: String,
    /// What is known of the client that is put.
    from_context: String,
    /// A regular expression: of keys for `delete` and `hash`, of the value for `extract`.
    pattern: String,
    /// The type to convert to.
    converted_type: String,
}

const ACTIONS: &str = "insert, update, upsert, delete, hash, extract, convert";

// === impl RawAction ===

impl RawAction {
    /// Every key that is set but means nothing to this action is refused: it would not do what its
    /// author expects.
    fn uses(&self, keys: &[&str]) -> Result<(), String> {
        let set = [
            ("value", self.value.is_some()),
            ("from_attribute", !self.from_attribute.is_empty()),
            ("from_context", !self.from_context.is_empty()),
            ("pattern", !self.pattern.is_empty()),
            ("converted_type", !self.converted_type.is_empty()),
        ];
        for (key, is_set) in set {
            if is_set && !keys.contains(&key) {
                return Err(format!("the action {:?} does not use {key:?}", self.action));
            }
        }
        Ok(())
    }

    fn key(&self) -> Result<String, String> {
        if self.key.is_empty() {
            return Err(format!("the action {:?} needs a \"key\"", self.action));
        }
        Ok(self.key.clone())
    }

    fn source(self) -> Result<Source, String> {
        let keys = "\"value\", \"from_attribute\" or \"from_context\"";
        let mut sources = Vec::new();
        sources.extend(
            self.value
                .map(|ConfiguredValue(value)| Source::Value(value)),
        );
        if !self.from_attribute.is_empty() {
            sources.push(Source::Attribute(self.from_attribute));
        }
        if !self.from_context.is_empty() {
            sources.push(Source::Context(ContextKey::parse(&self.from_context)));
        }
        match sources.len() {
            0 => Err(format!("expected one of {keys}, but found none")),
            1 => Ok(sources.remove(0)),
            found => Err(format!("expected one of {keys}, but found {found}")),
        }
    }

    fn put(self, where_present: bool, where_absent: bool) -> Result<Action, String> {
        self.uses(&["value", "from_attribute", "from_context"])?;
        Ok(Action::Put {
            key: self.key()?,
            where_present,
            where_absent,
            source: self.source()?,
        })
    }

    fn selection(self) -> Result<Selection, String> {
        self.uses(&["pattern"])?;
        if self.key.is_empty() && self.pattern.is_empty() {
            return Err(format!(
                "the action {:?} needs a \"key\" or a \"pattern\"",
                self.action
            ));
        }
        let pattern = (!self.pattern.is_empty()).then(|| regex(&self.pattern));
        Ok(Selection {
            pattern: pattern.transpose()?,
            key: Some(self.key).filter(|key| !key.is_empty()),
        })
    }

    fn extract(self) -> Result<Action, String> {
        self.uses(&["pattern"])?;
        let key = self.key()?;
        if self.pattern.is_empty() {
            return Err("the action \"extract\" needs a \"pattern\"".to_owned());
        }
        let pattern = regex(&self.pattern)?;
        if pattern.captures_len() < 2 || pattern.capture_names().skip(1).any(|name| name.is_none())
        {
            return Err(format!(
                "expected a pattern with groups that all have names, as in \"(?P<name>.*)\", but \
                 found {:?}",
                self.pattern
            ));
        }
        Ok(Action::Extract { key, pattern })
    }

    fn convert(self) -> Result<Action, String> {
        self.uses(&["converted_type"])?;
        let to = match self.converted_type.as_str() {
            "int" => Type::Int,
            "double" => Type::Double,
            "string" => Type::Text,
            other => {
                return Err(format!(
                    "expected \"converted_type\" to be one of int, double, string, but found \
                     {other:?}"
                ));
            }
        };
        Ok(Action::Convert {
            key: self.key()?,
            to,
        })
    }
}

impl TryFrom<RawAction> for Action {
    type Error = String;

    fn try_from(mut raw: RawAction) -> Result<Self, String> {
        raw.action.make_ascii_lowercase();
        match raw.action.as_str() {
            "insert" => raw.put(false, true),
            "update" => raw.put(true, false),
            "upsert" => raw.put(true, true),
            "delete" => raw.selection().map(Self::Delete),
            "hash" => raw.selection().map(Self::Hash),
            "extract" => raw.extract(),
            "convert" => raw.convert(),
            other => Err(format!(
                "expected \"action\" to be one of {ACTIONS}, but found {other:?}"
            )),
        }
    }
}

// === impl ContextKey ===

impl ContextKey {
    fn parse(text: &str) -> Self {
        if text == "client.address" {
            return Self::Address;
        }
        if let Some(name) = text.strip_prefix("auth.") {
            return Self::Auth(name.to_owned());
        }
        let name = text.strip_prefix("metadata.").unwrap_or(text);
        Self::Metadata(name.to_ascii_lowercase())
    }
}

pub(crate) fn regex(pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|error| {
        // The library draws the place in several lines; the last one says what is wrong.
        let text = error.to_string();
        let what = text.lines().last().unwrap_or_default();
        let what = what.trim_start_matches("error: ");
        format!("expected a regular expression, but found {pattern:?}: {what}")
    })
}
