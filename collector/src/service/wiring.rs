//! What connectors make of the pipelines: a graph, which has to lead somewhere and in no circle.

use crate::config::{ComponentId, Document, PipelineEntry, Problem, Problems, Reference};
use crate::pipeline::ConnectorConfig;

type Connectors = [(ComponentId, Box<dyn ConnectorConfig>)];

/// Every connector has pipelines on both of its sides, of signals that it connects, and a name that
/// means nothing else; and no pipeline leads back to itself.
pub(super) fn check(document: &Document, connectors: &Connectors, problems: &mut Problems) {
    check_names(document, problems);
    check_sides(document, connectors, problems);
    check_circles(&document.pipelines, connectors, problems);
}

fn check_names(document: &Document, problems: &mut Problems) {
    for entry in &document.connectors {
        let sections = [
            ("receivers", &document.receivers),
            ("exporters", &document.exporters),
        ];
        for (section, entries) in sections {
            if entries.iter().any(|other| other.id == entry.id) {
                let message = format!(
                    "expected a name that no other component has, but found \"{}\" in \
                     \"{section}\" too",
                    entry.id
                );
                problems.push(Problem::new(&entry.place, "connectors", message));
            }
        }
    }
}

fn check_sides(document: &Document, connectors: &Connectors, problems: &mut Problems) {
    let pipelines = &document.pipelines;
    for pipeline in pipelines {
        let sides = [
            (&pipeline.exporters, "exporter", "receiver"),
            (&pipeline.receivers, "receiver", "exporter"),
        ];
        for (uses, here, there) in sides {
            for (used, connector) in connectors_of(uses, connectors) {
                let connected = pipelines.iter().any(|other| match here {
                    "exporter" => {
                        uses_id(&other.receivers, &used.id)
                            && connector.connects(pipeline.signal, other.signal)
                    }
                    _ => {
                        uses_id(&other.exporters, &used.id)
                            && connector.connects(other.signal, pipeline.signal)
                    }
                });
                if !connected {
                    let message = format!(
                        "the connector \"{}\" is an {here} of \"{}\", but the {there} of no \
                         pipeline whose signal fits",
                        used.id, pipeline.id
                    )
                    .replace("an receiver", "a receiver");
                    problems.push(Problem::new(&used.place, "service", message));
                }
            }
        }
    }
}

/// Reports each circle once, at the connector through which its first pipeline is left.
fn check_circles(pipelines: &[PipelineEntry], connectors: &Connectors, problems: &mut Problems) {
    for (start, pipeline) in pipelines.iter().enumerate() {
        let mut path = vec![start];
        let mut seen = vec![false; pipelines.len()];
        let Some(used) = leads_back(start, start, &mut path, &mut seen, pipelines, connectors)
        else {
            continue;
        };
        if path.iter().min() != Some(&start) {
            // Reported from the first of its pipelines already.
            continue;
        }
        let mut names: Vec<String> = path
            .iter()
            .map(|at| pipelines[*at].id.to_string())
            .collect();
        names.push(pipeline.id.to_string());
        let message = format!("connectors lead in a circle: {}", names.join(" -> "));
        problems.push(Problem::new(&used.place, "service", message));
    }
}

/// Searches a way from `at` to `start`; `path` is the way so far, and the whole way in the end.
fn leads_back<'a>(
    at: usize,
    start: usize,
    path: &mut Vec<usize>,
    seen: &mut [bool],
    pipelines: &'a [PipelineEntry],
    connectors: &Connectors,
) -> Option<&'a Reference> {
    let pipeline = &pipelines[at];
    for (used, connector) in connectors_of(&pipeline.exporters, connectors) {
        for (next, other) in pipelines.iter().enumerate() {
            let connected = uses_id(&other.receivers, &used.id)
                && connector.connects(pipeline.signal, other.signal);
            if !connected {
                continue;
            }
            if next == start {
                return Some(used);
            }
            if std::mem::replace(&mut seen[next], true) {
                continue;
            }
            path.push(next);
            if leads_back(next, start, path, seen, pipelines, connectors).is_some() {
                return Some(used);
            }
            path.pop();
        }
    }
    None
}

fn connectors_of<'a, 'c>(
    uses: &'a [Reference],
    connectors: &'c Connectors,
) -> impl Iterator<Item = (&'a Reference, &'c dyn ConnectorConfig)> {
    uses.iter().filter_map(|used| {
        let (_, connector) = connectors.iter().find(|(id, _)| *id == used.id)?;
        Some((used, &**connector))
    })
}

fn uses_id(uses: &[Reference], id: &ComponentId) -> bool {
    uses.iter().any(|used| used.id == *id)
}
