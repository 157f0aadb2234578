//! What `resource` and `attributes` do to attributes: a list of actions, as otelcol has them.
//!
//! Where otelcol differs, it is said at the action.

mod options;
mod text;
mod value;

use std::borrow::Cow;

use regex::Regex;
use ring::digest;
use serde::Deserialize;
use spanmesh_otlp::EncodedValue;
use spanmesh_otlp::rewrite::Attributes;
use spanmesh_otlp::view::AnyValue;

use crate::pipeline::Client;

pub(crate) use self::options::regex;
pub use self::text::as_text;
pub use self::value::ConfiguredValue;

/// What is done to the attributes of a message, one after the other.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Actions(Vec<Action>);

#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "options::RawAction")]
enum Action {
    /// `insert`, `update`, `upsert`.
    Put {
        key: String,
        where_present: bool,
        where_absent: bool,
        source: Source,
    },
    /// `delete`.
    Delete(Selection),
    /// `hash`: SHA-256 of the value, in hexadecimal.
    Hash(Selection),
    /// `extract`: each group of the pattern becomes an attribute.
    Extract { key: String, pattern: Regex },
    /// `convert`.
    Convert { key: String, to: Type },
}

/// Where a value comes from. An attribute or a context that is not there does nothing.
#[derive(Clone, Debug)]
enum Source {
    Value(EncodedValue),
    Attribute(String),
    Context(ContextKey),
}

/// What `from_context` names.
#[derive(Clone, Debug)]
enum ContextKey {
    /// `client.address`.
    Address,
    /// `metadata.NAME`, or a name alone; lower case.
    Metadata(String),
    /// `auth.NAME`.
    Auth(String),
}

/// Attributes by key, by pattern or both.
#[derive(Clone, Debug)]
struct Selection {
    key: Option<String>,
    pattern: Option<Regex>,
}

/// What `convert` makes.
#[derive(Clone, Copy, Debug)]
enum Type {
    Int,
    Double,
    Text,
}

// === impl Actions ===

impl Actions {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Does all of them. `client` is who sent the attributes.
    pub fn apply(&self, attributes: &mut Attributes<'_>, client: Option<&Client>) {
        for action in &self.0 {
            action.apply(attributes, client);
        }
    }
}

// === impl Action ===

impl Action {
    fn apply(&self, attributes: &mut Attributes<'_>, client: Option<&Client>) {
        match self {
            Self::Put {
                key,
                where_present,
                where_absent,
                source,
            } => {
                let present = attributes.get_bytes(key).is_some();
                let applies = if present {
                    *where_present
                } else {
                    *where_absent
                };
                if !applies {
                    return;
                }
                if let Some(value) = source.value(attributes, client) {
                    attributes.set(key, value);
                }
            }
            Self::Delete(selection) => attributes.retain(|key| !selection.selects(key)),
            Self::Hash(selection) => {
                for key in selection.keys(attributes) {
                    if let Some(value) = attributes.get(&key) {
                        let hash = hash(value);
                        attributes.set(&key, hash);
                    }
                }
            }
            Self::Extract { key, pattern } => extract(key, pattern, attributes),
            Self::Convert { key, to } => {
                if let Some(value) = attributes.get(key).and_then(|value| convert(value, *to)) {
                    attributes.set(key, value);
                }
            }
        }
    }
}

// === impl Source ===

impl Source {
    fn value(&self, attributes: &Attributes<'_>, client: Option<&Client>) -> Option<EncodedValue> {
        match self {
            Self::Value(value) => Some(value.clone()),
            Self::Attribute(key) => attributes.get_bytes(key).map(EncodedValue::copied),
            Self::Context(key) => {
                let text = key.text(client?)?;
                Some(EncodedValue::string(&text))
            }
        }
    }
}

// === impl ContextKey ===

impl ContextKey {
    /// What the client has there; several values are joined with `;`.
    fn text(&self, client: &Client) -> Option<String> {
        let values: Vec<Cow<'_, str>> = match self {
            Self::Address => vec![client.address?.to_string().into()],
            Self::Metadata(name) => {
                let values = client.metadata.get_all(name.as_str()).into_iter();
                values
                    .map(|value| String::from_utf8_lossy(value.as_bytes()))
                    .collect()
            }
            Self::Auth(name) => {
                let values = client.auth.get(name)?;
                values.iter().map(|value| value.as_str().into()).collect()
            }
        };
        (!values.is_empty()).then(|| values.join(";"))
    }
}

// === impl Selection ===

impl Selection {
    fn selects(&self, key: &str) -> bool {
        self.key.as_deref() == Some(key)
            || self
                .pattern
                .as_ref()
                .is_some_and(|pattern| pattern.is_match(key))
    }

    /// The keys of all attributes that it selects, each once.
    fn keys(&self, attributes: &Attributes<'_>) -> Vec<String> {
        let mut keys: Vec<String> = Vec::new();
        for key in attributes.keys().filter(|key| self.selects(key)) {
            if !keys.iter().any(|known| known == key) {
                keys.push(key.to_owned());
            }
        }
        keys
    }
}

/// SHA-256 of a string's bytes, or of a number or boolean in little endian, in hexadecimal; other
/// values become an empty string.
fn hash(value: AnyValue<'_>) -> EncodedValue {
    let hash = |bytes: &[u8]| {
        let digest = digest::digest(&digest::SHA256, bytes);
        let digits = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
        EncodedValue::string(&digits.collect::<String>())
    };
    match value {
        AnyValue::String(text) => hash(text.as_bytes()),
        AnyValue::Bool(value) => hash(&[u8::from(value)]),
        AnyValue::Int(value) => hash(&value.to_le_bytes()),
        AnyValue::Double(value) => hash(&value.to_bits().to_le_bytes()),
        _ => EncodedValue::string(""),
    }
}

/// Sets an attribute for each group of the pattern, if the attribute `key` is a string that it
/// matches; a group that matched nothing gives an empty string.
fn extract(key: &str, pattern: &Regex, attributes: &mut Attributes<'_>) {
    let Some(AnyValue::String(text)) = attributes.get(key) else {
        return;
    };
    let Some(captures) = pattern.captures(text) else {
        return;
    };
    let mut found = Vec::new();
    for name in pattern.capture_names().flatten() {
        let group = captures.name(name).map_or("", |group| group.as_str());
        found.push((name, EncodedValue::string(group)));
    }
    for (name, value) in found {
        attributes.set(name, value);
    }
}

/// The value as another type; `None` if it has that type already, or none that could become it.
fn convert(value: AnyValue<'_>, to: Type) -> Option<EncodedValue> {
    match (to, value) {
        (Type::Text, AnyValue::String(_)) => None,
        (Type::Text, value) => Some(EncodedValue::string(&as_text(value))),
        (Type::Int, AnyValue::Double(value)) => Some(EncodedValue::int(value as i64)),
        (Type::Int, AnyValue::Bool(value)) => Some(EncodedValue::int(i64::from(value))),
        (Type::Int, AnyValue::String(text)) => text.parse().ok().map(EncodedValue::int),
        (Type::Double, AnyValue::Int(value)) => Some(EncodedValue::double(value as f64)),
        (Type::Double, AnyValue::Bool(value)) => {
            Some(EncodedValue::double(f64::from(u8::from(value))))
        }
        (Type::Double, AnyValue::String(text)) => text.parse().ok().map(EncodedValue::double),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
