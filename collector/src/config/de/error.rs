//! Why a value could not be read, in the words of configurations and not of types.

use std::fmt;

use serde::de::{self, Unexpected};

use crate::config::node::{Node, Place};
use crate::config::problem::Problem;
use crate::config::suggest;

/// See the module.
#[derive(Debug)]
pub(super) struct Error {
    /// The node that is wrong; `None` if it is a key.
    pub(super) node: Option<*const Node>,
    /// Whether nothing is written there.
    pub(super) empty: bool,
    /// The key that it lacks, if that is what is wrong.
    pub(super) missing: Option<&'static str>,
    pub(super) place: Option<Place>,
    pub(super) path: String,
    pub(super) message: String,
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
            node: None,
            empty: false,
            missing: None,
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
        Self {
            missing: Some(field),
            ..Self::custom(format!("the key {field:?} is missing"))
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
