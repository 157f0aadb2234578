//! YAML text to a tree of [`Node`]s.
//!
//! One document; anchors, aliases and merge keys (`<<`) as YAML 1.1 tools write them. Refused:
//! duplicate keys, keys that are not scalars, and aliases that would blow the tree up.

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::node::{Key, Node, Place, Value};
use super::problem::Problem;

/// How many nodes a tree may have, aliases counted as often as they are used.
const MAX_NODES: usize = 100_000;
/// How deep a tree may be.
const MAX_DEPTH: usize = 64;

/// Parses one file. An empty one is an empty mapping.
///
/// # Errors
/// The first place that is not YAML, or not the part of it that a configuration may use.
pub(super) fn parse(file: &str, text: &str) -> Result<Node, Problem> {
    let mut composer = Composer {
        file: file.into(),
        events: Parser::new_from_str(text),
        anchors: HashMap::new(),
        nodes: 0,
    };
    composer.document()
}

struct Composer<'a> {
    file: Arc<str>,
    events: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

// === impl Composer ===

impl<'a> Composer<'a> {
    fn document(&mut self) -> Result<Node, Problem> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::Nothing
                | Event::StreamStart
                | Event::DocumentStart(_)
                | Event::DocumentEnd => {}
                event => {
                    let place = self.place(span);
                    if root.is_some() {
                        return Err(Problem::new(
                            &place,
                            "",
                            "expected one YAML document, but found a second one",
                        ));
                    }
                    root = Some(self.node(event, span, 0)?);
                }
            }
        }
        let empty = || Node {
            place: Place {
                file: self.file.clone(),
                line: 1,
                column: 1,
            },
            value: Value::Mapping(Vec::new()),
            original: None,
        };
        Ok(root.filter(|root| !root.is_null()).unwrap_or_else(empty))
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Problem> {
        let place = self.place(span);
        self.nodes += 1;
        if self.nodes > MAX_NODES || depth > MAX_DEPTH {
            let message = format!(
                "expected at most {MAX_NODES} values, nested at most {MAX_DEPTH} deep, but found more"
            );
            return Err(Problem::new(&place, "", message));
        }
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let text = text.into_owned();
                (anchor, Value::Scalar { text, plain })
            }
            Event::SequenceStart(anchor, _) => (anchor, self.sequence(depth)?),
            Event::MappingStart(anchor, _) => (anchor, self.mapping(depth)?),
            Event::Alias(anchor) => return self.alias(anchor, &place),
            other => {
                let message = format!("expected a value, but found {other:?}");
                return Err(Problem::new(&place, "", message));
            }
        };
        let node = Node {
            place,
            value,
            original: None,
        };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, anchor: usize, place: &Place) -> Result<Node, Problem> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err(Problem::new(place, "", "this alias is not defined above"));
        };
        self.nodes += count(&node);
        Ok(node)
    }

    fn sequence(&mut self, depth: usize) -> Result<Value, Problem> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::Sequence(items)),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, Problem> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut inherited = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let place = self.place(span);
            let Value::Scalar { text, .. } = self.node(event, span, depth + 1)?.value else {
                return Err(Problem::new(
                    &place,
                    "",
                    "expected a key, but found a list or mapping",
                ));
            };
            let (event, span) = self.next()?;
            let node = self.node(event, span, depth + 1)?;
            if text == "<<" {
                inherited.push(node);
                continue;
            }
            if let Some((first, _)) = entries.iter().find(|(key, _)| key.text == text) {
                let line = first.place.line;
                let message = format!("the key {text:?} was already given in line {line}");
                return Err(Problem::new(&place, "", message));
            }
            entries.push((Key { place, text }, node));
        }
        for node in inherited {
            inherit(&mut entries, node)?;
        }
        Ok(Value::Mapping(entries))
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Problem> {
        match self.events.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let place = Place {
                    file: self.file.clone(),
                    line: error.marker().line(),
                    column: error.marker().col() + 1,
                };
                Err(Problem::new(
                    &place,
                    "",
                    format!("not valid YAML: {}", error.info()),
                ))
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn place(&self, span: Span) -> Place {
        Place {
            file: self.file.clone(),
            line: span.start.line(),
            column: span.start.col() + 1,
        }
    }
}

/// Adds the entries of a merge key's value that are not given in the mapping itself.
fn inherit(entries: &mut Vec<(Key, Node)>, node: Node) -> Result<(), Problem> {
    match node.value {
        Value::Mapping(others) => {
            for (key, node) in others {
                if !entries.iter().any(|(known, _)| known.text == key.text) {
                    entries.push((key, node));
                }
            }
            Ok(())
        }
        Value::Sequence(nodes) => nodes
            .into_iter()
            .try_for_each(|node| inherit(entries, node)),
        Value::Scalar { .. } => {
            let message = "expected a mapping to merge, but found a scalar";
            Err(Problem::new(&node.place, "<<", message))
        }
    }
}

fn count(node: &Node) -> usize {
    1 + match &node.value {
        Value::Scalar { .. } => 0,
        Value::Sequence(items) => items.iter().map(count).sum(),
        Value::Mapping(entries) => entries.iter().map(|(_, node)| 1 + count(node)).sum(),
    }
}

#[cfg(test)]
#[path = "yaml_tests.rs"]
mod tests;
