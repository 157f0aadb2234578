//! Expansion of `${env:NAME}`, `${env:NAME:-default}`, `${NAME}` and `$$`, as in the OpenTelemetry
//! Collector.
//!
//! A scalar that is nothing but one reference takes the value's own YAML type, so that
//! `queue_size: ${env:SIZE}` is a number and a list can come from the environment; inside a longer
//! text the value is inserted as it is. Values are not expanded again. A name that is not set is
//! empty and warned about.

use super::node::{Node, Place, Value};
use super::problem::{Problem, Problems};
use super::yaml;

/// Where the values of `${env:…}` come from.
pub trait Environment {
    /// The value of a variable, if it is set and UTF-8.
    fn variable(&self, name: &str) -> Option<String>;
}

/// The environment of the process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnvironment;

/// What is left to say of an expansion that went well.
#[derive(Debug, Default)]
pub(super) struct Expansion {
    pub(super) problems: Problems,
    pub(super) warnings: Vec<String>,
}

enum Part<'a> {
    Text(&'a str),
    Reference {
        name: &'a str,
        default: Option<&'a str>,
    },
}

/// Expands every scalar of the tree in place.
pub(super) fn expand(node: &mut Node, environment: &dyn Environment, expansion: &mut Expansion) {
    match &mut node.value {
        Value::Sequence(items) => {
            for item in items {
                expand(item, environment, expansion);
            }
        }
        Value::Mapping(entries) => {
            for (_, value) in entries {
                expand(value, environment, expansion);
            }
        }
        Value::Scalar { text, .. } if text.contains('$') => {
            match expand_scalar(text, &node.place, environment, &mut expansion.warnings) {
                Ok(value) => node.value = value,
                Err(message) => expansion
                    .problems
                    .push(Problem::new(&node.place, "", message)),
            }
        }
        Value::Scalar { .. } => {}
    }
}

fn expand_scalar(
    text: &str,
    place: &Place,
    environment: &dyn Environment,
    warnings: &mut Vec<String>,
) -> Result<Value, String> {
    let parts = split(text)?;
    let mut resolve = |name: &str, default: Option<&str>| {
        let value = environment.variable(name);
        if value.is_none() && default.is_none() {
            warnings.push(format!(
                "{place}: the environment variable {name:?} is not set; it stands for an empty text"
            ));
        }
        value
            .or_else(|| default.map(str::to_owned))
            .unwrap_or_default()
    };
    if let [Part::Reference { name, default }] = parts.as_slice() {
        let value = resolve(name, *default);
        return Ok(match yaml::parse(&place.file, &value) {
            Ok(mut node) if !value.trim().is_empty() => {
                relocate(&mut node, place);
                node.value
            }
            // What is not YAML is a text, as in the OpenTelemetry Collector.
            _ => Value::Scalar {
                plain: value.is_empty(),
                text: value,
            },
        });
    }
    let mut expanded = String::new();
    let mut referenced = false;
    for part in parts {
        match part {
            Part::Text(text) => expanded.push_str(text),
            Part::Reference { name, default } => {
                referenced = true;
                expanded.push_str(&resolve(name, default));
            }
        }
    }
    Ok(Value::Scalar {
        text: expanded,
        // `${A}${B}` may still be a number; a text that only had `$$` in it stays a text.
        plain: referenced,
    })
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
            let Some(end) = after.find('}') else {
                return Err(format!("expected a closing \"}}\" in {text:?}"));
            };
            parts.push(reference(&after[..end])?);
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

fn reference(inside: &str) -> Result<Part<'_>, String> {
    let (target, default) = match inside.split_once(":-") {
        Some((target, default)) => (target, Some(default)),
        None => (inside, None),
    };
    let name = match target.split_once(':') {
        Some(("env", name)) => name,
        None => target,
        Some((scheme, _)) => {
            return Err(format!(
                "the provider {scheme:?} in \"${{{inside}}}\" is not available in this version; \
                 expected \"env\""
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
    Ok(Part::Reference { name, default })
}

// === impl ProcessEnvironment ===

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Environment for Fixed {
        fn variable(&self, name: &str) -> Option<String> {
            match name {
                "HOST" => Some("example.test".to_owned()),
                "SIZE" => Some("12".to_owned()),
                "LIST" => Some("[a, b]".to_owned()),
                "ODD" => Some("a: [".to_owned()),
                _ => None,
            }
        }
    }

    fn expanded(text: &str) -> Result<(String, bool), String> {
        let mut node = yaml::parse("c.yaml", text).unwrap();
        let mut expansion = Expansion::default();
        expand(&mut node, &Fixed, &mut expansion);
        expansion.problems.or(()).map_err(|p| p.to_string())?;
        match node.value {
            Value::Scalar { text, plain } => Ok((text, plain)),
            other => Ok((format!("{other:?}"), false)),
        }
    }

    #[test]
    fn references_are_replaced() {
        let p = |text| expanded(text).unwrap().0;
        assert_eq!(p("${env:HOST}"), "example.test");
        assert_eq!(p("${HOST}:4317"), "example.test:4317");
        assert_eq!(p("${env:NONE:-fall}-back"), "fall-back");
        assert_eq!(p("${env:NONE:-}x"), "x");
        assert_eq!(p("a$$b"), "a$b");
        assert_eq!(p("$${HOST}"), "${HOST}");
        assert_eq!(p("5$"), "5$");
        assert_eq!(p("${ODD}"), "a: [");
    }

    #[test]
    fn a_lone_reference_has_the_type_of_its_value() {
        assert_eq!(expanded("${env:SIZE}").unwrap(), ("12".to_owned(), true));
        assert!(expanded("${env:LIST}").unwrap().0.starts_with("Sequence"));
        assert_eq!(expanded("${env:NONE}").unwrap(), (String::new(), true));
    }

    #[test]
    fn wrong_references_are_refused() {
        let p = |text| expanded(text).unwrap_err();
        assert!(p("${env:HOST").contains("closing"));
        assert!(p("${file:/etc/x}").contains("provider \"file\""));
        assert!(p("${env:1X}").contains("name of an environment variable"));
    }
}
