//! Reads a part of the tree into a typed value, through serde.
//!
//! Keys that a struct does not have are problems of their own and are all found at once; the first
//! value of a wrong type ends the reading of its section. A section that is empty is read as if it
//! were `{}`, so that every default applies; an entry without a value, whose type has no empty value,
//! is read as if it were not there.

use std::cell::RefCell;
use std::fmt;

use serde::Deserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};

use super::node::{Key, Node, Place, Value};
use super::problem::{Problem, Problems};
use super::suggest;

/// A part of the configuration that one reader understands.
#[derive(Clone, Debug)]
pub struct Section<'a> {
    node: &'a Node,
    path: String,
}

#[derive(Clone)]
struct Reader<'a> {
    node: &'a Node,
    path: String,
    problems: &'a RefCell<Problems>,
    absent: &'a Absent,
}

/// Entries that are read as if they were not there.
type Absent = RefCell<Vec<*const Node>>;

#[derive(Debug)]
struct Error {
    /// The node that is wrong, if nothing is written there.
    empty: Option<*const Node>,
    place: Option<Place>,
    path: String,
    message: String,
}

struct Entries<'a> {
    entries: std::vec::IntoIter<&'a (Key, Node)>,
    value: Option<Reader<'a>>,
    path: String,
    problems: &'a RefCell<Problems>,
    absent: &'a Absent,
}

struct Items<'a> {
    items: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
    path: String,
    problems: &'a RefCell<Problems>,
    absent: &'a Absent,
}

struct Variant<'a> {
    name: &'a str,
    value: Option<Reader<'a>>,
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

// === impl Reader ===

impl<'a> Reader<'a> {
    fn locate(&self, mut error: Error) -> Error {
        if error.place.is_none() {
            error.place = Some(self.node.place.clone());
            error.path.clone_from(&self.path);
            error.empty = self.node.is_null().then_some(std::ptr::from_ref(self.node));
        }
        error
    }

    fn mismatch(&self, expected: &dyn de::Expected) -> Error {
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
            Value::Mapping(entries) => Some(entries.iter().collect()),
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
            absent: self.absent,
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
            absent: self.absent,
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
        let absent = self.absent.borrow();
        entries.retain(|(_, node)| !absent.contains(&std::ptr::from_ref(node)));
        drop(absent);
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
                    absent: self.absent,
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

// === impl Entries ===

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some((key, node)) = self.entries.next() else {
            return Ok(None);
        };
        self.value = Some(Reader {
            node,
            path: join(&self.path, &key.text),
            problems: self.problems,
            absent: self.absent,
        });
        let text: de::value::StrDeserializer<'_, Error> = key.text.as_str().into_deserializer();
        seed.deserialize(text).map(Some).map_err(|mut error| {
            error.place.get_or_insert_with(|| key.place.clone());
            error
        })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let reader = self
            .value
            .take()
            .ok_or_else(|| de::Error::custom("a value was read before its key"))?;
        seed.deserialize(reader.clone())
            .map_err(|error| reader.locate(error))
    }
}

// === impl Items ===

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some((index, node)) = self.items.next() else {
            return Ok(None);
        };
        let reader = Reader {
            node,
            path: join(&self.path, &index.to_string()),
            problems: self.problems,
            absent: self.absent,
        };
        seed.deserialize(reader.clone())
            .map(Some)
            .map_err(|error| reader.locate(error))
    }
}

// === impl Variant ===

impl<'de, 'a> EnumAccess<'de> for Variant<'a> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let name: de::value::StrDeserializer<'_, Error> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.value {
            None => Ok(()),
            Some(value) => Err(value.mismatch(&"nothing")),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        match self.value {
            Some(value) => seed.deserialize(value),
            None => Err(de::Error::custom(format!(
                "expected a value for {:?}",
                self.name
            ))),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Some(value) => value.deserialize_seq(visitor),
            None => Err(de::Error::custom(format!(
                "expected a list for {:?}",
                self.name
            ))),
        }
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.value {
            Some(value) => value.deserialize_struct("", fields, visitor),
            None => Err(de::Error::custom(format!(
                "expected a mapping for {:?}",
                self.name
            ))),
        }
    }
}

// === impl Error ===

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self {
            place: error.place,
            path: error.path,
            message: error.message,
        }
    }
}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            empty: None,
            place: None,
            path: String::new(),
            message: message.to_string(),
        }
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let found = match unexpected {
            Unexpected::Unit => "nothing".to_owned(),
            Unexpected::Seq => "a list".to_owned(),
            Unexpected::Map => "a mapping".to_owned(),
            Unexpected::Str(text) => format!("the text {text:?}"),
            other => other.to_string().replace('`', ""),
        };
        let expected = expected.to_string();
        let expected = match expected.as_str() {
            "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number that is not negative",
            "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
            "f32" | "f64" => "a number",
            "a boolean" => "true or false",
            "a string" => "a text",
            "path string" => "a path",
            "a map" => "a mapping",
            "a sequence" => "a list",
            other => other,
        };
        Self::custom(format!("expected {expected}, but found {found}"))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(unexpected, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let hint = suggest::hint(variant, expected);
        Self::custom(format!("unknown value {variant:?}{hint}"))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let hint = suggest::hint(field, expected);
        Self::custom(format!("unknown key {field:?}{hint}"))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::custom(format!("the key {field:?} is missing"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}::{key}")
    }
}

enum Scalar<'a> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'a str),
}

impl<'a> Scalar<'a> {
    fn unexpected(&self) -> Unexpected<'a> {
        match *self {
            Self::Null => Unexpected::Unit,
            Self::Bool(value) => Unexpected::Bool(value),
            Self::Unsigned(value) => Unexpected::Unsigned(value),
            Self::Signed(value) => Unexpected::Signed(value),
            Self::Float(value) => Unexpected::Float(value),
            Self::Text(text) => Unexpected::Str(text),
        }
    }
}

/// The core schema of YAML 1.2.
fn scalar(text: &str, plain: bool) -> Scalar<'_> {
    if !plain {
        return Scalar::Text(text);
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "true" | "True" | "TRUE" => return Scalar::Bool(true),
        "false" | "False" | "FALSE" => return Scalar::Bool(false),
        _ => {}
    }
    if let Some(digits) = text.strip_prefix("0x")
        && let Ok(value) = u64::from_str_radix(digits, 16)
    {
        return Scalar::Unsigned(value);
    }
    if let Ok(value) = text.parse::<u64>() {
        return Scalar::Unsigned(value);
    }
    if let Ok(value) = text.parse::<i64>() {
        return Scalar::Signed(value);
    }
    let numeric = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E');
    if text.chars().all(numeric)
        && let Ok(value) = text.parse::<f64>()
    {
        return Scalar::Float(value);
    }
    Scalar::Text(text)
}

#[cfg(test)]
#[path = "de_tests.rs"]
mod tests;
