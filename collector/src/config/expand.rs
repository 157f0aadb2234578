//! Expansion of `${env:NAME}`, `${env:NAME:-default}`, `${NAME}`, `${file:PATH}`, `${yaml:TEXT}` and
//! `$$`, as in the OpenTelemetry Collector.
//!
//! A scalar that is nothing but one reference takes the value's own YAML type, so that
//! `queue_size: ${env:SIZE}` is a number and a list can come from the environment; inside a longer
//! text the value is inserted as it is, and who expects a text gets what the variable holds. Names
//! and defaults may hold references, and so may mappings and lists that come out of one; a text that
//! comes out of one is taken as it is. A name that is not set is empty and warned about.

use std::io;
use std::path::Path;

use super::node::{Node, Place, Value};
use super::problem::{Problem, Problems};
use super::yaml;

/// Where the values of `${env:…}` and `${file:…}` come from.
pub trait Environment {
    /// The value of a variable, if it is set and UTF-8.
    fn variable(&self, name: &str) -> Option<String>;

    /// The text of a file.
    ///
    /// # Errors
    /// It cannot be read, or is not UTF-8.
    fn file(&self, path: &Path) -> io::Result<String> {
        std::fs::read_to_string(path)
    }
}

/// The environment of the process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnvironment;

/// What is left to say of an expansion that went well.
#[derive(Debug, Default)]
pub(super) struct Expansion {
    pub(super) problems: Problems,
    pub(super) warnings: Vec<String>,
    /// How many values have been looked up.
    values: usize,
}

enum Part<'a> {
    Text(&'a str),
    /// What stands between the braces.
    Reference(&'a str),
}

/// The value of a reference.
struct Resolved {
    text: String,
    /// Where it was read from, if it is a file, which has lines of its own.
    file: Option<String>,
}

struct Expander<'a> {
    environment: &'a dyn Environment,
    expansion: &'a mut Expansion,
    /// The values that the present one came out of.
    depth: usize,
}

/// How deep references may be in what comes out of references.
const MAX_DEPTH: usize = 16;
/// How many values may be looked up for one configuration: files that include each other more than
/// once would double at every level.
const MAX_VALUES: usize = 1_000;

/// Expands every scalar of the tree in place.
pub(super) fn expand(node: &mut Node, environment: &dyn Environment, expansion: &mut Expansion) {
    let mut expander = Expander {
        environment,
        expansion,
        depth: 0,
    };
    expander.node(node);
}

// === impl Expander ===

impl Expander<'_> {
    fn node(&mut self, node: &mut Node) {
        match &mut node.value {
            Value::Sequence(items) => items.iter_mut().for_each(|item| self.node(item)),
            Value::Mapping(entries) => entries.iter_mut().for_each(|(_, value)| self.node(value)),
            Value::Scalar { text, .. } if text.contains('$') => {
                match self.scalar(text, &node.place) {
                    Ok(expanded) => *node = expanded,
                    Err(message) => {
                        let problem = Problem::new(&node.place, "", message);
                        self.expansion.problems.push(problem);
                    }
                }
            }
            Value::Scalar { .. } => {}
        }
    }

    fn scalar(&mut self, text: &str, place: &Place) -> Result<Node, String> {
        let parts = split(text)?;
        if let [Part::Reference(inside)] = parts.as_slice() {
            let resolved = self.resolve(inside, place)?;
            return self.typed(resolved, place);
        }
        let (text, plain) = self.join(&parts, place)?;
        Ok(Node {
            place: place.clone(),
            // `${A}${B}` may still be a number; a text that only had `$$` in it stays a text.
            value: Value::Scalar { text, plain },
            original: None,
        })
    }

    /// What YAML makes of a value.
    fn typed(&mut self, resolved: Resolved, place: &Place) -> Result<Node, String> {
        let Resolved { text, file } = resolved;
        let name = file.as_deref().unwrap_or(&place.file);
        let mut node = match yaml::parse(name, &text) {
            Ok(node) if !text.trim().is_empty() => node,
            // What is not YAML is a text, as in the OpenTelemetry Collector.
            _ => Node {
                place: place.clone(),
                value: Value::Scalar {
                    plain: text.is_empty(),
                    text: text.clone(),
                },
                original: None,
            },
        };
        let is_scalar = matches!(node.value, Value::Scalar { .. });
        if is_scalar || file.is_none() {
            relocate(&mut node, place);
        }
        node.original = Some(text).filter(|text| !text.is_empty());
        if !is_scalar {
            if self.depth == MAX_DEPTH {
                return Err(format!(
                    "expected values that hold references to be at most {MAX_DEPTH} deep in each \
                     other"
                ));
            }
            self.depth += 1;
            self.node(&mut node);
            self.depth -= 1;
        }
        Ok(node)
    }

    /// The text of all parts, and whether there are references among them.
    fn join(&mut self, parts: &[Part<'_>], place: &Place) -> Result<(String, bool), String> {
        let mut text = String::new();
        let mut referenced = false;
        for part in parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Reference(inside) => {
                    referenced = true;
                    text.push_str(&self.resolve(inside, place)?.text);
                }
            }
        }
        Ok((text, referenced))
    }

    /// A text in which there may be references.
    fn nested(&mut self, text: &str, place: &Place) -> Result<String, String> {
        let (text, _) = self.join(&split(text)?, place)?;
        Ok(text)
    }

    /// The value of what stands between braces.
    fn resolve(&mut self, inside: &str, place: &Place) -> Result<Resolved, String> {
        self.expansion.values += 1;
        if self.expansion.values > MAX_VALUES {
            return Err(format!("expected at most {MAX_VALUES} references"));
        }
        if let Some(path) = inside.strip_prefix("file:") {
            let path = self.nested(path, place)?;
            return self.file(path);
        }
        if let Some(text) = inside.strip_prefix("yaml:") {
            let text = self.nested(text, place)?;
            return Ok(Resolved { text, file: None });
        }
        let (target, default) = match default_of(inside) {
            Some((target, default)) => (target, Some(default)),
            None => (inside, None),
        };
        let target = self.nested(target, place)?;
        let name = variable_name(&target, inside)?;
        let text = match (self.environment.variable(name), default) {
            (Some(value), _) => value,
            (None, Some(default)) => self.nested(default, place)?,
            (None, None) => {
                self.expansion.warnings.push(format!(
                    "{place}: the environment variable {name:?} is not set; it stands for an \
                     empty text"
                ));
                String::new()
            }
        };
        Ok(Resolved { text, file: None })
    }

    fn file(&self, path: String) -> Result<Resolved, String> {
        let mut text = self
            .environment
            .file(Path::new(&path))
            .map_err(|error| format!("cannot read the file {path:?}: {error}"))?;
        // Editors end the last line of a file; a token in it ends before that.
        let end = text.trim_end_matches(['\n', '\r']).len();
        text.truncate(end);
        Ok(Resolved {
            text,
            file: Some(path),
        })
    }
}

/// Everything that came out of a variable was written where the variable is named.
fn relocate(node: &mut Node, place: &Place) {
    node.place = place.clone();
    match &mut node.value {
        Value::Scalar { .. } => {}
        Value::Sequence(items) => items.iter_mut().for_each(|item| relocate(item, place)),
        Value::Mapping(entries) => {
            for (key, value) in entries {
                key.place = place.clone();
                relocate(value, place);
            }
        }
    }
}

fn split(text: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        let (before, after) = rest.split_at(dollar);
        let after = &after[1..];
        if let Some(after) = after.strip_prefix('$') {
            parts.push(Part::Text(&rest[..=dollar]));
            rest = after;
        } else if let Some(after) = after.strip_prefix('{') {
            if !before.is_empty() {
                parts.push(Part::Text(before));
            }
            let Some(end) = closing(after) else {
                return Err(format!("expected a closing \"}}\" in {text:?}"));
            };
            parts.push(Part::Reference(&after[..end]));
            rest = &after[end + 1..];
        } else {
            parts.push(Part::Text(&rest[..=dollar]));
            rest = after;
        }
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    Ok(parts)
}

/// Where the brace is that closes a reference, past those of references inside it.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut before = '\0';
    for (index, character) in text.char_indices() {
        match character {
            '{' if before == '$' => depth += 1,
            '}' if depth == 0 => return Some(index),
            '}' => depth -= 1,
            _ => {}
        }
        before = character;
    }
    None
}

/// What stands before and behind `:-`, unless that is a part of a reference inside.
fn default_of(inside: &str) -> Option<(&str, &str)> {
    let mut depth = 0_usize;
    for (index, character) in inside.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ':' if depth == 0 && inside[index..].starts_with(":-") => {
                return Some((&inside[..index], &inside[index + 2..]));
            }
            _ => {}
        }
    }
    None
}

fn variable_name<'a>(target: &'a str, inside: &str) -> Result<&'a str, String> {
    let name = match target.split_once(':') {
        Some(("env", name)) => name,
        None => target,
        Some((scheme, _)) => {
            return Err(format!(
                "the provider {scheme:?} in \"${{{inside}}}\" is not available in this version; \
                 expected \"env\", \"file\" or \"yaml\""
            ));
        }
    };
    let valid = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !valid {
        return Err(format!(
            "expected the name of an environment variable in \"${{{inside}}}\"; a dollar sign is \
             written \"$$\""
        ));
    }
    Ok(name)
}

// === impl ProcessEnvironment ===

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

#[cfg(test)]
#[path = "expand_tests.rs"]
mod tests;
