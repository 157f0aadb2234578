//! One value of the tree, as serde sees it.

use std::cell::RefCell;

use serde::Deserializer;
use serde::de::{self, Unexpected, Visitor};

use super::access::{Entries, Items, Variant};
use super::error::Error;
use super::scalar::{Scalar, scalar};
use crate::config::node::{Key, Node, Value};
use crate::config::problem::{Problem, Problems};
use crate::config::suggest;

/// See the module.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    pub(super) node: &'a Node,
    pub(super) path: String,
    pub(super) problems: &'a RefCell<Problems>,
    pub(super) skipped: &'a Skipped,
}

/// What is read as if it were not there.
#[derive(Debug, Default)]
pub(super) struct Skipped {
    /// Entries of structs without a value.
    pub(super) empty: Vec<*const Node>,
    /// What is known to be wrong.
    pub(super) wrong: Vec<*const Node>,
}

// === impl Skipped ===

impl Skipped {
    pub(super) fn is_wrong(&self, node: &Node) -> bool {
        self.wrong.contains(&std::ptr::from_ref(node))
    }

    fn is_empty_entry(&self, node: &Node) -> bool {
        self.empty.contains(&std::ptr::from_ref(node))
    }
}

// === impl Reader ===

impl<'a> Reader<'a> {
    pub(super) fn locate(&self, mut error: Error) -> Error {
        if error.place.is_none() {
            error.place = Some(self.node.place.clone());
            error.path.clone_from(&self.path);
            error.node = Some(std::ptr::from_ref(self.node));
            error.empty = self.node.is_null();
        }
        error
    }

    pub(super) fn mismatch(&self, expected: &dyn de::Expected) -> Error {
        let unexpected = match &self.node.value {
            _ if self.node.is_null() => Unexpected::Unit,
            Value::Scalar { text, plain } => scalar(text, *plain).unexpected(),
            Value::Sequence(_) => Unexpected::Seq,
            Value::Mapping(_) => Unexpected::Map,
        };
        self.locate(de::Error::invalid_type(unexpected, expected))
    }

    fn entries(&self) -> Option<Vec<&'a (Key, Node)>> {
        match &self.node.value {
            Value::Mapping(entries) => {
                let right = entries
                    .iter()
                    .filter(|(_, node)| !self.skipped.is_wrong(node));
                Some(right.collect())
            }
            _ if self.node.is_null() => Some(Vec::new()),
            _ => None,
        }
    }

    fn visit_entries<'de, V: Visitor<'de>>(
        self,
        entries: Vec<&'a (Key, Node)>,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let result = visitor.visit_map(Entries {
            entries: entries.into_iter(),
            value: None,
            path: self.path.clone(),
            problems: self.problems,
            skipped: self.skipped,
        });
        result.map_err(|error| self.locate(error))
    }

    /// Visits a scalar by what its text means.
    fn visit_scalar<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Value::Scalar { text, plain } = &self.node.value else {
            return Err(self.mismatch(&visitor));
        };
        let result = match scalar(text, *plain) {
            Scalar::Null => visitor.visit_unit(),
            Scalar::Bool(value) => visitor.visit_bool(value),
            Scalar::Unsigned(value) => visitor.visit_u64(value),
            Scalar::Signed(value) => visitor.visit_i64(value),
            Scalar::Float(value) => visitor.visit_f64(value),
            Scalar::Text(text) => visitor.visit_str(text),
        };
        result.map_err(|error| self.locate(error))
    }
}

macro_rules! scalars {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.visit_scalar(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Error;

    scalars! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f32
        deserialize_f64 deserialize_unit
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::Scalar { .. } => self.visit_scalar(visitor),
            Value::Sequence(_) => self.deserialize_seq(visitor),
            Value::Mapping(_) => self.deserialize_map(visitor),
        }
    }

    /// Numbers and booleans are read as the text that they were written with, and what comes from a
    /// variable as the text that it holds.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let text = match (&self.node.original, &self.node.value) {
            (Some(original), _) => original,
            (None, Value::Scalar { text, .. }) if !self.node.is_null() => text,
            _ => return Err(self.mismatch(&visitor)),
        };
        visitor.visit_str(text).map_err(|error| self.locate(error))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.node.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let reader = self.clone();
        visitor
            .visit_newtype_struct(self)
            .map_err(|error| reader.locate(error))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let items: &[Node] = match &self.node.value {
            Value::Sequence(items) => items,
            _ if self.node.is_null() => &[],
            _ => return Err(self.mismatch(&visitor)),
        };
        let result = visitor.visit_seq(Items {
            items: items.iter().enumerate(),
            path: self.path.clone(),
            problems: self.problems,
            skipped: self.skipped,
        });
        result.map_err(|error| self.locate(error))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.entries() {
            Some(entries) => self.visit_entries(entries, visitor),
            None => Err(self.mismatch(&visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Some(mut entries) = self.entries() else {
            return Err(self.mismatch(&"a mapping"));
        };
        entries.retain(|(_, node)| !self.skipped.is_empty_entry(node));
        entries.retain(|(key, _)| {
            let known = fields.contains(&key.text.as_str());
            if !known {
                let hint = suggest::hint(&key.text, fields);
                let message = format!("unknown key {:?}{hint}", key.text);
                self.problems.borrow_mut().push(Problem::new(
                    &key.place,
                    self.path.clone(),
                    message,
                ));
            }
            known
        });
        self.visit_entries(entries, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let variant = match &self.node.value {
            Value::Scalar { text, .. } => Variant {
                name: text,
                value: None,
            },
            Value::Mapping(entries) if entries.len() == 1 => Variant {
                name: &entries[0].0.text,
                value: Some(Reader {
                    node: &entries[0].1,
                    path: join(&self.path, &entries[0].0.text),
                    problems: self.problems,
                    skipped: self.skipped,
                }),
            },
            _ => return Err(self.mismatch(&visitor)),
        };
        visitor
            .visit_enum(variant)
            .map_err(|error| self.locate(error))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}

/// The path of an entry.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}::{key}")
    }
}
