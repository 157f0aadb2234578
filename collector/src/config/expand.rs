//! Expansion of `${env:NAME}`, `${env:NAME:-default}`, `${NAME}` and `$$`, as in the OpenTelemetry
//! Collector.
//!
//! A scalar that is nothing but one reference takes the value's own YAML type, so that
//! `queue_size: ${env:SIZE}` is a number and a list can come from the environment; inside a longer
//! text the value is inserted as it is, and who expects a text gets what the variable holds. Defaults may
//! hold references; values are not expanded again. A name that is not set is
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
                Ok(expanded) => *node = expanded,
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
) -> Result<Node, String> {
    let parts = split(text)?;
    if let [Part::Reference { name, default }] = parts.as_slice() {
        let original = resolve(name, *default, place, environment, warnings)?;
        let mut node = match yaml::parse(&place.file, &original) {
            Ok(node) if !original.trim().is_empty() => node,
            // What is not YAML is a text, as in the OpenTelemetry Collector.
            _ => Node {
                place: place.clone(),
                value: Value::Scalar {
                    plain: original.is_empty(),
                    text: original.clone(),
                },
                original: None,
            },
        };
        relocate(&mut node, place);
        node.original = Some(original).filter(|original| !original.is_empty());
        return Ok(node);
    }
    let (text, plain) = join(&parts, place, environment, warnings)?;
    Ok(Node {
        place: place.clone(),
        // `${A}${B}` may still be a number; a text that only had `$$` in it stays a text.
        value: Value::Scalar { text, plain },
        original: None,
    })
}

/// The text of all parts, and whether there are references among them.
fn join(
    parts: &[Part<'_>],
    place: &Place,
    environment: &dyn Environment,
    warnings: &mut Vec<String>,
) -> Result<(String, bool), String> {
    let mut text = String::new();
    let mut referenced = false;
    for part in parts {
        match part {
            Part::Text(part) => text.push_str(part),
            Part::Reference { name, default } => {
                referenced = true;
                text.push_str(&resolve(name, *default, place, environment, warnings)?);
            }
        }
    }
    Ok((text, referenced))
}

/// The value of a variable, or its default, in which there may be other variables.
fn resolve(
    name: &str,
    default: Option<&str>,
    place: &Place,
    environment: &dyn Environment,
    warnings: &mut Vec<String>,
) -> Result<String, String> {
    if let Some(value) = environment.variable(name) {
        return Ok(value);
    }
    let Some(default) = default else {
        warnings.push(format!(
            "{place}: the environment variable {name:?} is not set; it stands for an empty text"
        ));
        return Ok(String::new());
    };
    let (text, _) = join(&split(default)?, place, environment, warnings)?;
    Ok(text)
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
    use crate::config::Section;

    struct Fixed;

    impl Environment for Fixed {
        fn variable(&self, name: &str) -> Option<String> {
            match name {
                "HOST" => Some("example.test".to_owned()),
                "SIZE" => Some("12".to_owned()),
                "LIST" => Some("[a, b]".to_owned()),
                "COMMENT" => Some("abc #def".to_owned()),
                "PAIR" => Some("a: b".to_owned()),
                "QUOTED" => Some("'q'".to_owned()),
                "DIGITS" => Some("0012".to_owned()),
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
    fn whoever_expects_a_text_gets_what_the_variable_holds() {
        let read = |name: &str| -> String {
            let mut node = yaml::parse("c.yaml", &format!("${{env:{name}}}")).unwrap();
            expand(&mut node, &Fixed, &mut Expansion::default());
            Section::new(&node, "").read().unwrap()
        };
        for name in [
            "HOST", "SIZE", "LIST", "COMMENT", "PAIR", "QUOTED", "DIGITS", "ODD",
        ] {
            assert_eq!(Some(read(name)), Fixed.variable(name));
        }
    }

    #[test]
    fn defaults_may_hold_references() {
        let p = |text| expanded(text).unwrap().0;
        assert_eq!(p("${env:NONE:-${env:HOST}}"), "example.test");
        assert_eq!(p("${NONE:-${NONE:-${HOST}}:1}:2"), "example.test:1:2");
        assert_eq!(p("${HOST:-${NONE}}"), "example.test");
        assert!(
            expanded("${env:NONE:-${env:HOST}")
                .unwrap_err()
                .contains("closing")
        );
    }

    #[test]
    fn wrong_references_are_refused() {
        let p = |text| expanded(text).unwrap_err();
        assert!(p("${env:HOST").contains("closing"));
        assert!(p("${file:/etc/x}").contains("provider \"file\""));
        assert!(p("${env:1X}").contains("name of an environment variable"));
    }
}
