//! Whether two components want to listen on the same port, as far as the configuration tells: whoever
//! starts second could not.

use crate::config::{Entry, Node, Problem, Problems, Reference, Value};

/// Reports every `endpoint` of the used components that is written a second time.
pub(super) fn check<'a>(
    entries: impl Iterator<Item = (&'static str, &'a Entry)>,
    uses: &[&Reference],
    problems: &mut Problems,
) {
    let mut known: Vec<(&str, &Node)> = Vec::new();
    for (section, entry) in entries {
        if !uses.iter().any(|used| used.id == entry.id) {
            continue;
        }
        let mut found = Vec::new();
        collect(&entry.options, &mut found);
        for (text, node) in found {
            let Some((_, first)) = known.iter().find(|(other, _)| *other == text) else {
                known.push((text, node));
                continue;
            };
            let path = format!("{section}::{}", entry.id);
            let message = format!("the endpoint {text:?} is already used at {}", first.place);
            problems.push(Problem::new(&node.place, path, message));
        }
    }
}

/// Every endpoint with a port of its own; port 0 is another one each time.
fn collect<'a>(node: &'a Node, found: &mut Vec<(&'a str, &'a Node)>) {
    let Value::Mapping(entries) = &node.value else {
        return;
    };
    for (key, node) in entries {
        match &node.value {
            Value::Scalar { text, .. } if key.text == "endpoint" && !text.ends_with(":0") => {
                found.push((text, node));
            }
            _ => collect(node, found),
        }
    }
}
