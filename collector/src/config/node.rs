//! The tree of a configuration, in which every value knows where it was written.

use std::fmt;
use std::sync::Arc;

/// A value of the configuration.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it was written.
    pub place: Place,
    /// What was written.
    pub value: Value,
    /// What a variable holds, if nothing but one variable was written: whoever expects a text gets
    /// this and not what YAML makes of it.
    pub original: Option<String>,
}

/// What a [`Node`] holds.
#[derive(Clone, Debug)]
pub enum Value {
    /// One value; what it means depends on who reads it.
    Scalar {
        /// The text after unquoting.
        text: String,
        /// Whether it was written without quotes, so that `true` is a boolean and not a text.
        plain: bool,
    },
    /// `[a, b]`.
    Sequence(Vec<Node>),
    /// `{a: b}`, in the order of the file. Keys are unique and scalars.
    Mapping(Vec<(Key, Node)>),
}

/// The key of an entry of a mapping.
#[derive(Clone, Debug)]
pub struct Key {
    /// Where it was written.
    pub place: Place,
    /// Its text.
    pub text: String,
}

/// A place in a configuration file. Lines and columns count from 1.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The name of the file as the user gave it.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
}

// === impl Node ===

impl Node {
    /// A scalar without quotes.
    pub fn plain(place: Place, text: impl Into<String>) -> Self {
        let value = Value::Scalar {
            text: text.into(),
            plain: true,
        };
        Self {
            place,
            value,
            original: None,
        }
    }

    /// No options at all.
    pub fn nothing() -> Self {
        let place = Place {
            file: "".into(),
            line: 1,
            column: 1,
        };
        Self::plain(place, "")
    }

    /// Whether a text is anywhere in it, as a whole scalar.
    pub fn mentions(&self, name: &str) -> bool {
        match &self.value {
            Value::Scalar { text, .. } => text == name,
            Value::Sequence(items) => items.iter().any(|item| item.mentions(name)),
            Value::Mapping(entries) => entries.iter().any(|(_, node)| node.mentions(name)),
        }
    }

    /// A text, whatever YAML would make of it.
    pub fn text(place: Place, text: impl Into<String>) -> Self {
        let value = Value::Scalar {
            text: text.into(),
            plain: false,
        };
        Self {
            place,
            value,
            original: None,
        }
    }

    /// A mapping, all of which is written at one place.
    pub fn mapping(place: &Place, entries: Vec<(&str, Self)>) -> Self {
        let entries = entries.into_iter().map(|(key, node)| {
            let key = Key {
                place: place.clone(),
                text: key.to_owned(),
            };
            (key, node)
        });
        Self {
            place: place.clone(),
            value: Value::Mapping(entries.collect()),
            original: None,
        }
    }

    /// Whether nothing is written here, as in `debug:` without a value.
    pub fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar { text, plain } => {
                *plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            Value::Sequence(_) | Value::Mapping(_) => false,
        }
    }

    /// What was found here, for messages: `the text "x"`, `a list`, `nothing`.
    pub fn describe(&self) -> String {
        match &self.value {
            _ if self.is_null() => "nothing".to_owned(),
            Value::Scalar { text, .. } => format!("{text:?}"),
            Value::Sequence(_) => "a list".to_owned(),
            Value::Mapping(_) => "a mapping".to_owned(),
        }
    }

    /// The value behind a key, if this is a mapping that has it.
    pub fn entry(&self, key: &str) -> Option<&Self> {
        let Value::Mapping(entries) = &self.value else {
            return None;
        };
        let (_, node) = entries.iter().find(|(known, _)| known.text == key)?;
        Some(node)
    }

    /// Whether both say the same, wherever it is written.
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        let values = match (&self.value, &other.value) {
            (
                Value::Scalar { text, plain },
                Value::Scalar {
                    text: other_text,
                    plain: other_plain,
                },
            ) => text == other_text && plain == other_plain,
            (Value::Sequence(items), Value::Sequence(others)) => {
                let mut pairs = items.iter().zip(others);
                items.len() == others.len() && pairs.all(|(a, b)| a.says_the_same_as(b))
            }
            (Value::Mapping(entries), Value::Mapping(others)) => {
                let same = |(key, node): &(Key, Self)| {
                    let other = other.entry(&key.text);
                    other.is_some_and(|other| node.says_the_same_as(other))
                };
                entries.len() == others.len() && entries.iter().all(same)
            }
            _ => false,
        };
        values && self.original == other.original
    }

    /// Lays `over` on top of this tree: mappings are merged, everything else is replaced.
    pub fn merge(&mut self, over: Self) {
        match (&mut self.value, over.value) {
            (Value::Mapping(entries), Value::Mapping(others)) => {
                for (key, node) in others {
                    match entries.iter_mut().find(|(known, _)| known.text == key.text) {
                        Some((_, known)) => known.merge(node),
                        None => entries.push((key, node)),
                    }
                }
            }
            (value, other) => {
                *value = other;
                self.place = over.place;
                self.original = over.original;
            }
        }
    }
}

// === impl Place ===

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
