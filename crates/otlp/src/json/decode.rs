//! OTLP JSON to protobuf: serde_json reads the tokens, the schema says what they mean.

mod seen;
mod value;

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use self::seen::Seen;
use self::value::FieldValue;
use super::JsonError;
use crate::schema::{Field, Message};
use crate::wire::Fields;

/// The protobuf written so far, and where in the message it ends.
struct Decoder {
    out: Vec<u8>,
    path: Vec<Segment>,
    /// How many messages contain the one being written.
    depth: usize,
}

enum Segment {
    Name(&'static str),
    Index(usize),
}

/// Reads a name; unknown ones are `None`.
struct Key(&'static Message);

/// Reads the request.
struct Root<'a> {
    decoder: &'a mut Decoder,
    message: &'static Message,
}

pub(super) fn message_to_protobuf(
    message: &'static Message,
    json: &[u8],
) -> Result<Vec<u8>, JsonError> {
    let text = std::str::from_utf8(json)
        .map_err(|error| JsonError::not_utf8(json, error.valid_up_to()))?;
    let mut decoder = Decoder {
        // Protobuf of spans takes about half the bytes of JSON.
        out: Vec::with_capacity(json.len() / 2),
        path: Vec::new(),
        depth: 0,
    };
    let mut json = serde_json::Deserializer::from_str(text);
    // The depth of messages is limited here, and serde_json skips unknown values without recursion.
    json.disable_recursion_limit();
    let root = Root {
        decoder: &mut decoder,
        message,
    };
    match root.deserialize(&mut json).and_then(|()| json.end()) {
        Ok(()) => Ok(decoder.out),
        Err(error) => Err(JsonError::new(decoder.path(), &error)),
    }
}

// === impl Decoder ===

impl Decoder {
    fn path(&self) -> String {
        let mut path = String::new();
        for segment in &self.path {
            match segment {
                Segment::Name(name) if path.is_empty() => path.push_str(name),
                Segment::Name(name) => path.push_str(&format!(".{name}")),
                Segment::Index(index) => path.push_str(&format!("[{index}]")),
            }
        }
        path
    }

    /// Writes the fields of an object.
    fn fields<'de, A: MapAccess<'de>>(
        &mut self,
        message: &'static Message,
        mut object: A,
    ) -> Result<(), A::Error> {
        let start = self.out.len();
        let mut seen = Seen::new();
        while let Some(key) = object.next_key_seed(Key(message))? {
            let Some(field) = key else {
                object.next_value::<IgnoredAny>()?;
                continue;
            };
            let at = self.out.len();
            self.path.push(Segment::Name(field.json));
            let written = object.next_value_seed(FieldValue::named(self, field))?;
            self.path.pop();
            seen.note(field, at, written);
        }
        if seen.stale {
            self.drop_stale(message, start, &seen);
        }
        Ok(())
    }

    fn drop_stale(&mut self, message: &'static Message, start: usize, seen: &Seen) {
        let written = self.out.split_off(start);
        let mut fields = Fields::new(&written);
        let mut rest = fields.rest();
        while let Some(Ok(field)) = fields.next() {
            let record = rest.len() - fields.rest().len();
            let at = start + written.len() - rest.len();
            if seen.counts(message, field.number, at) {
                self.out.extend(rest.iter().take(record));
            }
            rest = fields.rest();
        }
    }
}

// === impl Key ===

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Option<&'static Field>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Option<&'static Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.field_by_json_name(name))
    }
}

// === impl Root ===

impl<'de> DeserializeSeed<'de> for Root<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Root<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<(), A::Error> {
        self.decoder.fields(self.message, object)
    }
}
