//! What a scalar means, by the core schema of YAML 1.2.

use serde::de::Unexpected;

/// See the module.
pub(in crate::config) enum Scalar<'a> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'a str),
}

impl<'a> Scalar<'a> {
    pub(super) fn unexpected(&self) -> Unexpected<'a> {
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

/// What a text means; a quoted one is always a text.
pub(in crate::config) fn scalar(text: &str, plain: bool) -> Scalar<'_> {
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
