//! Where a configuration comes from: `--config` and `--set`, as in the OpenTelemetry Collector.
//!
//! A location is a path, `file:` and a path, `env:` and the name of an environment variable, or
//! `yaml:` and YAML. Left out: `http:` and `https:`.

use std::path::PathBuf;

use super::expand::Environment;
use super::node::{Key, Node, Place, Value};
use super::problem::{Problem, Problems};
use super::yaml;

/// One part of a configuration, not yet read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// How messages call it.
    name: String,
    content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    File(PathBuf),
    Variable(String),
    Text(String),
}

const SCHEMES: &str = "expected a path, or \"file:\", \"env:\" or \"yaml:\" and what it names";

// === impl Source ===

impl Source {
    /// A text that is at hand.
    pub fn text(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            content: Content::Text(text.into()),
        }
    }

    /// Reads the value of `--config`.
    ///
    /// # Errors
    /// The provider is not known.
    pub fn parse(location: &str) -> Result<Self, Problem> {
        let file = |path: &str| Self {
            name: path.to_owned(),
            content: Content::File(PathBuf::from(path)),
        };
        let Some((scheme, rest)) = location.split_once(':').filter(|(s, _)| is_scheme(s)) else {
            return Ok(file(location));
        };
        match scheme {
            "file" => Ok(file(rest)),
            "env" => Ok(Self {
                name: location.to_owned(),
                content: Content::Variable(rest.to_owned()),
            }),
            "yaml" => Ok(Self::text("yaml:", rest)),
            _ => Err(Problem::general(format!(
                "the provider {scheme:?} of a configuration is not available in this version; \
                 {SCHEMES}"
            ))),
        }
    }

    /// Reads the value of `--set`: keys joined by `.` or `::`, an equals sign, and YAML.
    ///
    /// # Errors
    /// There is no equals sign, or nothing before it.
    pub fn set(assignment: &str) -> Result<Self, Problem> {
        let (keys, value) = match assignment.split_once('=') {
            Some((keys, value)) if !keys.trim().is_empty() => (keys.trim(), value.trim()),
            // What is given may be a secret and is not repeated.
            _ => {
                let message = "--set: expected a key and a value, as in \
                               \"processors.batch.timeout=2s\"";
                return Err(Problem::general(message));
            }
        };
        let path = keys.replace('.', "::");
        Ok(Self::text(
            format!("--set {keys}"),
            format!("{path}: {value}"),
        ))
    }

    /// Reads it into a tree.
    pub(super) fn read(&self, environment: &dyn Environment) -> Result<Node, Problems> {
        let name = self.name.as_str();
        let text = match &self.content {
            Content::Text(text) => text.clone(),
            Content::File(path) => environment.file(path).map_err(|error| {
                Problem::general(format!("cannot read the configuration {name}: {error}"))
            })?,
            Content::Variable(variable) => environment.variable(variable).ok_or_else(|| {
                Problem::general(format!(
                    "cannot read the configuration {name}: the environment variable is not set"
                ))
            })?,
        };
        // An empty one is a mistake on the way, such as a file that is still being written, and not
        // the wish to run without components.
        if text.trim().is_empty() {
            let message = format!("expected a configuration in {name}, but found nothing");
            return Err(Problem::general(message).into());
        }
        let mut node = yaml::parse(name, &text)?;
        nest(&mut node);
        Ok(node)
    }
}

/// Two characters or more, so that `c:\x` would be a path, as in the OpenTelemetry Collector.
fn is_scheme(text: &str) -> bool {
    text.len() >= 2
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '-'))
}

/// Turns `a::b: c` at the top of a file into `a: {b: c}`.
fn nest(node: &mut Node) {
    let Value::Mapping(entries) = &mut node.value else {
        return;
    };
    if entries.iter().all(|(key, _)| !key.text.contains("::")) {
        return;
    }
    let place = node.place.clone();
    let mut nested = Node {
        place,
        value: Value::Mapping(Vec::new()),
        original: None,
    };
    for (key, value) in entries.drain(..) {
        nested.merge(behind(&key.text, &key.place, value));
    }
    *node = nested;
}

/// A mapping in which `path` leads to `value`.
fn behind(path: &str, place: &Place, value: Node) -> Node {
    let mut node = value;
    for text in path.rsplit("::") {
        let key = Key {
            place: place.clone(),
            text: text.to_owned(),
        };
        node = Node {
            place: place.clone(),
            value: Value::Mapping(vec![(key, node)]),
            original: None,
        };
    }
    node
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Environment for Fixed {
        fn variable(&self, name: &str) -> Option<String> {
            match name {
                "CONFIG" => Some("a: 1".to_owned()),
                "BLANK" => Some(" \n".to_owned()),
                _ => None,
            }
        }
    }

    fn read(location: &str) -> Result<Node, String> {
        let source = Source::parse(location).map_err(|problem| problem.to_string())?;
        source.read(&Fixed).map_err(|problems| problems.to_string())
    }

    fn scalar(node: &Node, path: &[&str]) -> String {
        let mut node = node;
        for key in path {
            node = node.entry(key).unwrap();
        }
        match &node.value {
            Value::Scalar { text, .. } => text.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn locations_are_paths_variables_and_texts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.yaml");
        std::fs::write(&path, "a: 2\n").unwrap();
        let path = path.to_str().unwrap();
        assert_eq!(scalar(&read("env:CONFIG").unwrap(), &["a"]), "1");
        assert_eq!(scalar(&read(path).unwrap(), &["a"]), "2");
        assert_eq!(scalar(&read(&format!("file:{path}")).unwrap(), &["a"]), "2");
        let nested = read("yaml:processors::batch::timeout: 2s").unwrap();
        assert_eq!(scalar(&nested, &["processors", "batch", "timeout"]), "2s");
        let p = |location| read(location).unwrap_err();
        assert!(p("https://example.test/x").contains("the provider \"https\""));
        assert!(p("env:NONE").ends_with("the environment variable is not set"));
        assert!(p("/nowhere.yaml").starts_with("cannot read the configuration /nowhere.yaml: "));
    }

    #[test]
    fn nothing_at_all_is_no_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.yaml");
        std::fs::write(&path, "").unwrap();
        for location in ["yaml:", "env:BLANK", path.to_str().unwrap()] {
            let message = read(location).unwrap_err();
            assert!(message.ends_with("but found nothing"), "{message}");
        }
        std::fs::write(&path, "# All commented out.\n").unwrap();
        assert!(read(path.to_str().unwrap()).is_ok());
    }

    #[test]
    fn single_values_are_set_by_their_keys() {
        let p = |assignment| {
            let source = Source::set(assignment).map_err(|problem| problem.to_string())?;
            source.read(&Fixed).map_err(|p| p.to_string())
        };
        let path = ["exporters", "otlp_grpc/a", "endpoint"];
        for assignment in [
            "exporters.otlp_grpc/a.endpoint=b:4317",
            "exporters::otlp_grpc/a::endpoint = b:4317",
        ] {
            assert_eq!(scalar(&p(assignment).unwrap(), &path), "b:4317");
        }
        let node = p("service.extensions=[a, b]").unwrap();
        let list = node.entry("service").unwrap().entry("extensions").unwrap();
        assert!(matches!(&list.value, Value::Sequence(items) if items.len() == 2));
        assert!(p("x").unwrap_err().contains("expected a key and a value"));
        assert!(p("=x").unwrap_err().contains("expected a key and a value"));
    }

    #[test]
    fn paths_and_mappings_of_one_file_are_one() {
        let node = read("yaml:{a: {b: 1}, 'a::c': 2}").unwrap();
        assert_eq!(scalar(&node, &["a", "b"]), "1");
        assert_eq!(scalar(&node, &["a", "c"]), "2");
    }
}
