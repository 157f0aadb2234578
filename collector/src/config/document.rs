//! The sections of a configuration: which components there are, and how they are wired.

use spanmesh_otlp::Signal;

use super::effective::Effective;
use super::id::ComponentId;
use super::node::{Key, Node, Place, Value};
use super::problem::{Problem, Problems};
use super::suggest;

/// A configuration, split into its sections.
#[derive(Debug)]
pub struct Document {
    /// `receivers`.
    pub receivers: Vec<Entry>,
    /// `processors`.
    pub processors: Vec<Entry>,
    /// `exporters`.
    pub exporters: Vec<Entry>,
    /// `connectors`.
    pub connectors: Vec<Entry>,
    /// `extensions`.
    pub extensions: Vec<Entry>,
    /// `service.extensions`: those that are in use.
    pub enabled_extensions: Vec<Reference>,
    /// `service.pipelines`.
    pub pipelines: Vec<PipelineEntry>,
    /// `service.telemetry`.
    pub telemetry: Node,
    /// What should be changed although it works.
    pub warnings: Vec<String>,
    /// Everything that is wrong with its form; what is wrong is left out above.
    pub problems: Problems,
}

/// A component and its options.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name.
    pub id: ComponentId,
    /// Where its name was written.
    pub place: Place,
    /// Its options, not yet read.
    pub options: Node,
}

/// The use of a component.
#[derive(Clone, Debug)]
pub struct Reference {
    /// Its name.
    pub id: ComponentId,
    /// Where it is used.
    pub place: Place,
}

/// A pipeline: `traces`, `logs/name`.
#[derive(Clone, Debug)]
pub struct PipelineEntry {
    /// Its name.
    pub id: ComponentId,
    /// What flows through it.
    pub signal: Signal,
    /// Where its name was written.
    pub place: Place,
    /// Where its data comes from.
    pub receivers: Vec<Reference>,
    /// What happens to its data, in this order.
    pub processors: Vec<Reference>,
    /// Where its data goes.
    pub exporters: Vec<Reference>,
}

const SECTIONS: [&str; 6] = [
    "receivers",
    "processors",
    "exporters",
    "connectors",
    "extensions",
    "service",
];

// === impl Document ===

impl Document {
    /// Splits a configuration into its sections. What components make of their options is theirs to
    /// say.
    pub fn new(effective: Effective) -> Self {
        let Effective { root, warnings } = effective;
        Self::split(root, warnings)
    }

    fn split(root: Node, warnings: Vec<String>) -> Self {
        let root_place = root.place.clone();
        let mut problems = Problems::default();
        let mut sections = take(root, "", &SECTIONS, &mut problems);
        let mut entries = |name: &str| {
            let (_, node) = sections.remove(name)?;
            Some(components(node, name, &mut problems))
        };
        let receivers = entries("receivers").unwrap_or_default();
        let processors = entries("processors").unwrap_or_default();
        let exporters = entries("exporters").unwrap_or_default();
        let connectors = entries("connectors").unwrap_or_default();
        let extensions = entries("extensions").unwrap_or_default();
        let service = match sections.remove("service") {
            Some((_, service)) => service,
            None => {
                problems.push(Problem::general(
                    "the section \"service\" is missing; it wires the components into pipelines",
                ));
                Node::plain(root_place, "")
            }
        };
        let place = service.place.clone();
        let keys = ["extensions", "pipelines", "telemetry"];
        let mut service = take(service, "service", &keys, &mut problems);
        let enabled_extensions = match service.remove("extensions") {
            Some((_, node)) => references(node, "service::extensions", &mut problems),
            None => Vec::new(),
        };
        let pipelines = match service.remove("pipelines") {
            Some((_, node)) => pipelines(node, &mut problems),
            None => Vec::new(),
        };
        if pipelines.is_empty() && problems.is_empty() {
            let message = "expected at least one pipeline in \"pipelines\"";
            problems.push(Problem::new(&place, "service", message));
        }
        let telemetry = match service.remove("telemetry") {
            Some((_, node)) => node,
            None => Node::plain(place, ""),
        };
        Self {
            receivers,
            processors,
            exporters,
            connectors,
            extensions,
            enabled_extensions,
            pipelines,
            telemetry,
            warnings,
            problems,
        }
    }
}

/// The entries of a mapping with known keys, to be taken out by name.
struct Taken(Vec<(Key, Node)>);

impl Taken {
    fn remove(&mut self, name: &str) -> Option<(Key, Node)> {
        let index = self.0.iter().position(|(key, _)| key.text == name)?;
        Some(self.0.remove(index))
    }
}

fn take(node: Node, path: &str, keys: &[&str], problems: &mut Problems) -> Taken {
    let mut entries = mapping(node, path, problems);
    entries.retain(|(key, _)| {
        let known = keys.contains(&key.text.as_str());
        if !known {
            let hint = suggest::hint(&key.text, keys);
            let message = format!("unknown key {:?}{hint}", key.text);
            problems.push(Problem::new(&key.place, path, message));
        }
        known
    });
    Taken(entries)
}

fn mapping(node: Node, path: &str, problems: &mut Problems) -> Vec<(Key, Node)> {
    if node.is_null() {
        return Vec::new();
    }
    let found = node.describe();
    match node.value {
        Value::Mapping(entries) => entries,
        _ => {
            let message = format!("expected a mapping, but found {found}");
            problems.push(Problem::new(&node.place, path, message));
            Vec::new()
        }
    }
}

fn components(node: Node, path: &str, problems: &mut Problems) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for (key, options) in mapping(node, path, problems) {
        match ComponentId::parse(&key.text) {
            Ok(id) if entries.iter().any(|entry| entry.id == id) => {
                let message = format!("the component \"{id}\" is already there");
                problems.push(Problem::new(&key.place, path, message));
            }
            Ok(id) => entries.push(Entry {
                id,
                place: key.place,
                options,
            }),
            Err(message) => problems.push(Problem::new(&key.place, path, message)),
        }
    }
    entries
}

fn pipelines(node: Node, problems: &mut Problems) -> Vec<PipelineEntry> {
    let mut pipelines = Vec::new();
    for (key, node) in mapping(node, "service::pipelines", problems) {
        let path = format!("service::pipelines::{}", key.text);
        let id = match ComponentId::parse(&key.text) {
            Ok(id) => id,
            Err(message) => {
                problems.push(Problem::new(&key.place, path, message));
                continue;
            }
        };
        let signal = match id.kind.as_str() {
            "traces" => Signal::Traces,
            "logs" => Signal::Logs,
            "metrics" => Signal::Metrics,
            kind => {
                let hint = suggest::hint(kind, &["traces", "logs", "metrics"]);
                let message = format!("unknown signal {kind:?}{hint}");
                problems.push(Problem::new(&key.place, path, message));
                continue;
            }
        };
        let keys = ["receivers", "processors", "exporters"];
        let mut entries = take(node, &path, &keys, problems);
        let mut uses = |name: &str| match entries.remove(name) {
            Some((_, node)) => references(node, &format!("{path}::{name}"), problems),
            None => Vec::new(),
        };
        let receivers = uses("receivers");
        let processors = uses("processors");
        let exporters = uses("exporters");
        for (name, uses) in [("receiver", &receivers), ("exporter", &exporters)] {
            if uses.is_empty() {
                let message = format!("expected at least one {name}, but found none");
                problems.push(Problem::new(&key.place, path.clone(), message));
            }
        }
        pipelines.push(PipelineEntry {
            id,
            signal,
            place: key.place,
            receivers,
            processors,
            exporters,
        });
    }
    pipelines
}

fn references(node: Node, path: &str, problems: &mut Problems) -> Vec<Reference> {
    if node.is_null() {
        return Vec::new();
    }
    let found = node.describe();
    let Value::Sequence(items) = node.value else {
        let message = format!("expected a list of components, but found {found}");
        problems.push(Problem::new(&node.place, path, message));
        return Vec::new();
    };
    let mut references: Vec<Reference> = Vec::new();
    for item in items {
        let id = match &item.value {
            Value::Scalar { text, .. } => ComponentId::parse(text),
            _ => Err(format!(
                "expected a component, but found {}",
                item.describe()
            )),
        };
        match id {
            Ok(id) if references.iter().any(|other| other.id == id) => {
                let message = format!("the component \"{id}\" is used twice");
                problems.push(Problem::new(&item.place, path, message));
            }
            Ok(id) => references.push(Reference {
                id,
                place: item.place,
            }),
            Err(message) => problems.push(Problem::new(&item.place, path, message)),
        }
    }
    references
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
