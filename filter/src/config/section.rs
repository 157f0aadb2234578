//! Reading a JSON object key by key, with the path of each key in every error.
//!
//! A [`Section`] is asked for each key that it may have, and at its end complains about the keys
//! that nobody asked for. Istio makes the document from a protobuf `Struct`, in which every number
//! is a double: whole numbers are taken in either form.
//!
//! Not derived with serde: the derived code of a document like this, with path tracking, took a
//! fifth of the module that every proxy of a mesh fetches. For the same reason what is asked for many
//! times here is never inlined: a configuration is read once.

use std::time::Duration;

use serde_json::{Map, Value};

use super::ConfigError;
use crate::condition::Condition;
use crate::host::{Expression, ExpressionError, Host};
use crate::sampler::Policy;

/// No interval or timeout here makes sense beyond a day.
const MAX_DURATION: Duration = Duration::from_secs(24 * 60 * 60);

/// An object of the document that is being read.
#[derive(Debug)]
pub(super) struct Section {
    path: String,
    entries: Map<String, Value>,
    /// The keys that were asked for.
    known: Vec<&'static str>,
}

impl Section {
    /// The whole document; empty text is an empty object.
    pub(super) fn document(name: &str, text: &[u8]) -> Result<Self, ConfigError> {
        if text.trim_ascii().is_empty() {
            return Ok(Self {
                path: name.to_owned(),
                entries: Map::new(),
                known: Vec::new(),
            });
        }
        let value = serde_json::from_slice(text).map_err(|found| {
            let mut message = format!("{found}; expected a JSON object");
            // The first byte of every protobuf message whose first field is one of text or bytes.
            if text.first() == Some(&b'\n') {
                message.push_str(
                    " (Envoy hands JSON over from a google.protobuf.StringValue, \
                     not from a google.protobuf.Struct)",
                );
            }
            ConfigError {
                path: name.to_owned(),
                message,
            }
        })?;
        Self::new(name.to_owned(), value)
    }

    fn new(path: String, value: Value) -> Result<Self, ConfigError> {
        match value {
            Value::Object(entries) => Ok(Self {
                path,
                entries,
                known: Vec::new(),
            }),
            other => {
                // By its kind: what stands in the wrong place may hold the headers' secrets.
                let found = match other {
                    Value::String(_) => "a string",
                    Value::Array(_) => "a list",
                    Value::Number(_) => "a number",
                    _ => "true or false",
                };
                let message = format!("found {found}, expected an object");
                Err(ConfigError { path, message })
            }
        }
    }

    /// The object at `key`; an empty one if it is absent.
    #[inline(never)]
    pub(super) fn section(&mut self, key: &'static str) -> Result<Self, ConfigError> {
        let value = self.take(key).unwrap_or_else(|| Value::Object(Map::new()));
        Self::new(self.path_of(key), value)
    }

    /// The objects in the list at `key`.
    pub(super) fn sections(&mut self, key: &'static str) -> Result<Vec<Self>, ConfigError> {
        let path = self.path_of(key);
        match self.take(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(list)) => {
                let entries = list.into_iter().enumerate();
                entries
                    .map(|(at, entry)| Self::new(format!("{path}[{at}]"), entry))
                    .collect()
            }
            Some(other) => Err(expected(path, &other, "a list of objects")),
        }
    }

    /// A condition in CEL.
    #[inline(never)]
    pub(super) fn condition(
        &mut self,
        key: &'static str,
        host: &impl Host,
    ) -> Result<Option<Condition>, ConfigError> {
        let Some(text) = self.text(key)? else {
            return Ok(None);
        };
        let expression = self.expression(key, &text, host)?;
        Ok(Some(Condition::new(expression, self.path_of(key))))
    }

    /// Compiles the text that was found at `key`.
    #[inline(never)]
    pub(super) fn expression(
        &self,
        key: &str,
        text: &str,
        host: &impl Host,
    ) -> Result<Expression, ConfigError> {
        host.create_expression(text).map_err(|error| {
            let message = match error {
                ExpressionError::Unsupported => {
                    "this Envoy evaluates no CEL for Wasm filters".to_owned()
                }
                ExpressionError::Invalid => {
                    format!("found {text:?}, expected CEL; Envoy's log says at info what is wrong")
                }
            };
            self.error(key, message)
        })
    }

    /// Whether `key` is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.get(key).is_some_and(|value| !value.is_null())
    }

    /// Whether there is a list at `key`.
    pub(super) fn is_list(&self, key: &str) -> bool {
        self.entries.get(key).is_some_and(Value::is_array)
    }

    #[inline(never)]
    pub(super) fn bool(&mut self, key: &'static str) -> Result<Option<bool>, ConfigError> {
        self.read(key, "true or false", Value::as_bool)
    }

    /// What keeps a share of the requests.
    #[inline(never)]
    pub(super) fn ratio(&mut self, key: &'static str) -> Result<Option<Policy>, ConfigError> {
        self.read(
            key,
            "a probability: 0, or a number from 2^-56 to 1",
            |value| Policy::ratio(value.as_f64()?),
        )
    }

    /// How many may be kept a second.
    #[inline(never)]
    pub(super) fn rate(&mut self, key: &'static str) -> Result<Option<f64>, ConfigError> {
        self.read(
            key,
            "a number that is more than 0 and at most 1000000",
            |value| value.as_f64().filter(|rate| *rate > 0.0 && *rate <= 1e6),
        )
    }

    #[inline(never)]
    pub(super) fn text(&mut self, key: &'static str) -> Result<Option<String>, ConfigError> {
        self.read(key, "a string", |value| value.as_str().map(str::to_owned))
    }

    /// A whole number from `least` to `most`.
    #[inline(never)]
    pub(super) fn whole(
        &mut self,
        key: &'static str,
        least: u32,
        most: u32,
    ) -> Result<Option<usize>, ConfigError> {
        let expected = format!("a whole number from {least} to {most}");
        self.read(key, &expected, |value| {
            let number = value.as_f64().filter(|number| number.fract() == 0.0)?;
            let fits = (f64::from(least)..=f64::from(most)).contains(&number);
            fits.then_some(number as usize)
        })
    }

    /// A duration such as `"500ms"`, of at least `least` milliseconds.
    #[inline(never)]
    pub(super) fn duration(
        &mut self,
        key: &'static str,
        least: u64,
    ) -> Result<Option<Duration>, ConfigError> {
        let expected =
            format!("a duration such as \"500ms\", \"10s\" or \"2m\", from {least}ms to 24 hours");
        self.read(key, &expected, |value| {
            let allowed = Duration::from_millis(least)..=MAX_DURATION;
            parse_duration(value.as_str()?).filter(|duration| allowed.contains(duration))
        })
    }

    /// A list of strings, none of them empty.
    #[inline(never)]
    pub(super) fn texts(&mut self, key: &'static str) -> Result<Option<Vec<String>>, ConfigError> {
        self.read(key, "a list of strings that are not empty", |value| {
            let texts = value.as_array()?.iter();
            texts
                .map(|text| {
                    text.as_str()
                        .filter(|text| !text.is_empty())
                        .map(str::to_owned)
                })
                .collect()
        })
    }

    /// One of a few words, each with what it means.
    #[inline(never)]
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, ConfigError> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        self.read(key, &format!("one of {}", words.join(", ")), |value| {
            let found = value.as_str()?;
            choices
                .iter()
                .find(|(word, _)| *word == found)
                .map(|(_, meaning)| *meaning)
        })
    }

    /// Keys that the user names, each with what `read` makes of its value.
    #[inline(never)]
    pub(super) fn entries<T>(
        &mut self,
        key: &'static str,
        wanted: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Vec<(String, T)>, ConfigError> {
        let Self { path, entries, .. } = self.section(key)?;
        let entry = |(key, value): (String, Value)| match read(&value) {
            Some(read) => Ok((key, read)),
            None => Err(expected(format!("{path}.{key}"), &value, wanted)),
        };
        entries.into_iter().map(entry).collect()
    }

    /// An error about the object as a whole.
    #[inline(never)]
    pub(super) fn error_here(&self, message: String) -> ConfigError {
        ConfigError {
            path: self.path.clone(),
            message,
        }
    }

    /// An error about the value at `key`.
    #[inline(never)]
    pub(super) fn error(&self, key: &str, message: String) -> ConfigError {
        ConfigError {
            path: self.path_of(key),
            message,
        }
    }

    /// Ends the section: what is left has nobody asked for.
    #[inline(never)]
    pub(super) fn end(self) -> Result<(), ConfigError> {
        match self.entries.keys().next() {
            None => Ok(()),
            Some(key) => {
                let known = self.known.join(", ");
                let message = format!("unknown key; the keys here are {known}");
                Err(self.error(key, message))
            }
        }
    }

    #[inline(never)]
    fn read<T>(
        &mut self,
        key: &'static str,
        wanted: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        match read(&value) {
            Some(read) => Ok(Some(read)),
            None => Err(expected(self.path_of(key), &value, wanted)),
        }
    }

    /// The value at `key`; null is as good as absent.
    #[inline(never)]
    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.entries.remove(key).filter(|value| !value.is_null())
    }

    #[inline(never)]
    pub(super) fn path_of(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }
}

#[inline(never)]
fn expected(path: String, found: &Value, wanted: &str) -> ConfigError {
    ConfigError {
        path,
        message: format!("found {found}, expected {wanted}"),
    }
}

#[inline(never)]
fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let factor = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        _ => return None,
    };
    Some(Duration::from_millis(
        number.parse::<u64>().ok()?.checked_mul(factor)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_name_their_unit() {
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("10s"), Some(Duration::from_secs(10)));
        assert_eq!(parse_duration("2m"), Some(Duration::from_secs(120)));
        for text in ["", "10", "s", "-1s", "1.5s", "1h", "99999999999999999999s"] {
            assert_eq!(parse_duration(text), None, "{text:?}");
        }
    }
}
