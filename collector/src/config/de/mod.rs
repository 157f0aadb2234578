//! Reads a part of the tree into a typed value, through serde.
//!
//! Everything that is wrong is found at once: what is wrong is read as if it were not there, and the
//! section is read again, until nothing new is found. A section that is empty is read as if it
//! were `{}`, so that every default applies; an entry without a value, whose type has no empty value,
//! is read as if it were not there.

mod access;
mod error;
mod reader;
mod scalar;

use std::cell::RefCell;

use serde::de::DeserializeOwned;

pub(super) use self::scalar::{Scalar, scalar};

use self::error::Error;
use self::reader::{Reader, Skipped};
use super::node::{Node, Value};
use super::problem::{Problem, Problems};

/// A part of the configuration that one reader understands.
#[derive(Clone, Debug)]
pub struct Section<'a> {
    node: &'a Node,
    path: String,
}

// === impl Section ===

impl<'a> Section<'a> {
    /// The part at `node`, to which the keys of `path` (joined by `::`) lead.
    pub fn new(node: &'a Node, path: impl Into<String>) -> Self {
        Self {
            node,
            path: path.into(),
        }
    }

    /// Reads it.
    ///
    /// # Errors
    /// Every unknown key and every value that is wrong.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Problems> {
        let mut skipped = Skipped::default();
        let mut found = Problems::default();
        loop {
            let problems = RefCell::new(Problems::default());
            let reader = Reader {
                node: self.node,
                path: self.path.clone(),
                problems: &problems,
                skipped: &skipped,
            };
            let read = T::deserialize(reader.clone()).map_err(|error| reader.locate(error));
            found.extend(problems.take());
            let error = match read {
                Ok(value) => return found.or(value),
                Err(error) => error,
            };
            // Read again without what is wrong, to find what else is.
            if !self.skip(error, &mut skipped, &mut found) {
                return Err(found.ordered());
            }
        }
    }

    /// Notes an error; whether there is something left to read.
    fn skip(&self, error: Error, skipped: &mut Skipped, found: &mut Problems) -> bool {
        let Some(node) = error.node else {
            found.push(error.into());
            return false;
        };
        if error.empty && !skipped.empty.contains(&node) {
            // An entry without a value is no problem, unless it is missed.
            skipped.empty.push(node);
            return true;
        }
        let known = skipped.wrong.contains(&node);
        // What lacks a part that is wrong may seem to be wrong itself.
        let place = find(self.node, node);
        let explained = match error.missing {
            Some(key) => {
                let entry = place.and_then(|node| node.entry(key));
                entry.is_some_and(|entry| skipped.is_wrong(entry))
            }
            None => place.is_some_and(|node| holds_wrong(node, skipped)),
        };
        if !explained {
            found.push(error.into());
        }
        skipped.wrong.push(node);
        !known && !std::ptr::eq(node, self.node)
    }

    /// A problem of the section as a whole, or of the key that the message begins with, as in
    /// `tls::ca_file: expected …`.
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        let message = message.into();
        let place = |node: &Node| node.place.clone();
        if let Some((keys, rest)) = message.split_once(": ")
            && let Some(place) = self.find(keys).map(place)
        {
            return Problem::new(&place, format!("{}::{keys}", self.path), rest);
        }
        Problem::new(&self.node.place, self.path.clone(), message)
    }

    fn find(&self, keys: &str) -> Option<&'a Node> {
        keys.split("::")
            .try_fold(self.node, |node, key| node.entry(key))
    }
}

/// The node of the tree that `target` points at.
fn find(node: &Node, target: *const Node) -> Option<&Node> {
    if std::ptr::eq(node, target) {
        return Some(node);
    }
    match &node.value {
        Value::Scalar { .. } => None,
        Value::Sequence(items) => items.iter().find_map(|item| find(item, target)),
        Value::Mapping(entries) => entries.iter().find_map(|(_, entry)| find(entry, target)),
    }
}

/// Whether a node, or anything in it, is known to be wrong.
fn holds_wrong(node: &Node, skipped: &Skipped) -> bool {
    skipped.is_wrong(node)
        || match &node.value {
            Value::Scalar { .. } => false,
            Value::Sequence(items) => items.iter().any(|item| holds_wrong(item, skipped)),
            Value::Mapping(entries) => entries.iter().any(|(_, entry)| holds_wrong(entry, skipped)),
        }
}

#[cfg(test)]
mod tests;
