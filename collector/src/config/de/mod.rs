//! Reads a part of the tree into a typed value, through serde.
//!
//! Keys that a struct does not have are problems of their own and are all found at once; the first
//! value of a wrong type ends the reading of its section. A section that is empty is read as if it
//! were `{}`, so that every default applies; an entry without a value, whose type has no empty value,
//! is read as if it were not there.

mod access;
mod error;
mod reader;
mod scalar;

use std::cell::RefCell;

use serde::de::DeserializeOwned;

use self::reader::{Absent, Reader};
use super::node::Node;
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
    /// Every unknown key, and the first value that is wrong.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Problems> {
        let absent = Absent::default();
        loop {
            let problems = RefCell::new(Problems::default());
            let reader = Reader {
                node: self.node,
                path: self.path.clone(),
                problems: &problems,
                absent: &absent,
            };
            let read = T::deserialize(reader.clone()).map_err(|error| reader.locate(error));
            let mut problems = problems.take();
            let error = match read {
                Ok(value) => return problems.or(value),
                Err(error) => error,
            };
            let mut absent = absent.borrow_mut();
            match error.empty {
                // Read again without it; if that does not help, it had to be there.
                Some(node) if !absent.contains(&node) => absent.push(node),
                _ => {
                    problems.push(error.into());
                    return Err(problems.ordered());
                }
            }
        }
    }

    /// A problem of the section as a whole.
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::new(&self.node.place, self.path.clone(), message)
    }
}

#[cfg(test)]
mod tests;
