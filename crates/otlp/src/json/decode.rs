//! OTLP JSON to protobuf: serde_json reads the tokens, the schema says what they mean.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor,
};

use super::JsonError;
use super::scalar::{self, Scalar};
use crate::MAX_DEPTH;
use crate::encode::{begin_message, end_message, put_bytes};
use crate::schema::{Field, Kind, Label, Message};
use crate::wire::Fields;

/// How many characters of a bad string an error shows. Errors travel back in a response, which
/// clients take up to 4 MiB only, and into logs.
const MAX_EXCERPT: usize = 64;

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

/// Reads a value and writes it as a field; says whether it wrote anything.
struct FieldValue<'a> {
    decoder: &'a mut Decoder,
    field: &'static Field,
    place: Place,
}

/// Where a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Behind a name.
    Named,
    /// In the array of a repeated field.
    Element,
    /// In the array of a repeated field that is written packed.
    Packed,
}

/// What a message has had so far, to let the last of equal keys win.
struct Seen {
    /// One bit for each field number.
    numbers: u32,
    /// Where the last value of each field begins in the output.
    last: [usize; 32],
    /// Where the last member of the `oneof` begins.
    last_of_oneof: Option<usize>,
    /// Whether anything was written that does not count any more.
    stale: bool,
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
            let written = object.next_value_seed(FieldValue {
                decoder: self,
                field,
                place: Place::Named,
            })?;
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

// === impl Seen ===

impl Seen {
    fn new() -> Self {
        Self {
            numbers: 0,
            last: [0; 32],
            last_of_oneof: None,
            stale: false,
        }
    }

    fn note(&mut self, field: &Field, at: usize, written: bool) {
        let bit = 1u32.checked_shl(field.number).unwrap_or_default();
        self.stale |= self.numbers & bit != 0;
        self.numbers |= bit;
        if let Some(last) = self.last.get_mut(field.number as usize) {
            *last = at;
        }
        if field.label == Label::OneOf && written {
            self.stale |= self.last_of_oneof.replace(at).is_some();
        }
    }

    /// Whether a field that was written at an offset is the last of its name and of its `oneof`.
    fn counts(&self, message: &'static Message, number: u32, at: usize) -> bool {
        let last = self
            .last
            .get(number as usize)
            .is_none_or(|last| at >= *last);
        let of_oneof = message
            .field(number)
            .is_some_and(|field| field.label == Label::OneOf);
        last && (!of_oneof || self.last_of_oneof.is_none_or(|last| at >= last))
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

// === impl FieldValue ===

impl FieldValue<'_> {
    fn expected(&self) -> &'static str {
        if self.field.repeats() && self.place == Place::Named {
            return "an array";
        }
        match self.field.kind {
            Kind::Message(_) => "an object",
            Kind::Text => "a string",
            Kind::Bytes => "a base64 string",
            Kind::TraceId => "a string of 0 or 32 hexadecimal digits",
            Kind::SpanId => "a string of 0 or 16 hexadecimal digits",
            Kind::Bool => "true or false",
            Kind::Double => "a number, \"NaN\", \"Infinity\" or \"-Infinity\"",
            Kind::Enum => "an integer of 32 bits, not a name or a string",
            Kind::Int32 | Kind::Sint32 => "an integer of 32 bits",
            Kind::Uint32 | Kind::Fixed32 => "an integer of 32 bits that is not negative",
            Kind::Int64 | Kind::Sfixed64 => "an integer of 64 bits",
            Kind::Uint64 | Kind::Fixed64 => "an integer of 64 bits that is not negative",
        }
    }

    #[cold]
    fn mismatch<E: Error>(&self, found: Unexpected<'_>) -> E {
        E::custom(format_args!(
            "expected {}, but found {found}",
            self.expected()
        ))
    }

    /// Whether a scalar can stand here at all.
    fn takes_scalar(&self) -> bool {
        self.place != Place::Named || !self.field.repeats()
    }

    fn put_scalar<E: Error>(self, value: Option<Scalar>, found: Unexpected<'_>) -> Result<bool, E> {
        let Some(value) = value.filter(|_| self.takes_scalar()) else {
            return Err(self.mismatch(found));
        };
        let singular = self.place == Place::Named && self.field.label == Label::Singular;
        if singular && value.is_zero() {
            return Ok(false);
        }
        let out = &mut self.decoder.out;
        match self.place {
            Place::Packed => value.put_untagged(out),
            Place::Named | Place::Element => value.put(out, self.field.number),
        }
        Ok(true)
    }

    fn put_bytes(self, value: &[u8]) -> bool {
        let needless = self.place == Place::Named && self.field.label == Label::Singular;
        if needless && value.is_empty() {
            return false;
        }
        put_bytes(&mut self.decoder.out, self.field.number, value);
        true
    }
}

impl<'de> DeserializeSeed<'de> for FieldValue<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FieldValue<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected())
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        if self.place == Place::Named {
            return Ok(false);
        }
        Err(self.mismatch(Unexpected::Other("null")))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<bool, E> {
        let scalar = matches!(self.field.kind, Kind::Bool).then(|| Scalar::Varint(value.into()));
        self.put_scalar(scalar, Unexpected::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<bool, E> {
        let scalar = match self.field.kind {
            Kind::Double => Some(Scalar::double(value as f64)),
            kind => scalar::integer(kind, value.into()),
        };
        self.put_scalar(scalar, Unexpected::Unsigned(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<bool, E> {
        let scalar = match self.field.kind {
            Kind::Double => Some(Scalar::double(value as f64)),
            kind => scalar::integer(kind, value.into()),
        };
        self.put_scalar(scalar, Unexpected::Signed(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<bool, E> {
        let scalar = match self.field.kind {
            Kind::Double => Some(Scalar::double(value)),
            kind => scalar::whole(value).and_then(|value| scalar::integer(kind, value)),
        };
        self.put_scalar(scalar, Unexpected::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<bool, E> {
        let found = Unexpected::Str(excerpt(value));
        if !self.takes_scalar() {
            return Err(self.mismatch(found));
        }
        let id_length = match self.field.kind {
            Kind::Text => return Ok(self.put_bytes(value.as_bytes())),
            Kind::Bytes => {
                return match scalar::base64(value) {
                    Some(bytes) => Ok(self.put_bytes(&bytes)),
                    None => Err(self.mismatch(found)),
                };
            }
            Kind::TraceId => 16,
            Kind::SpanId => 8,
            kind => return self.put_scalar(scalar::quoted(kind, value), found),
        };
        let mut id = [0; 16];
        match scalar::hex(value, id.get_mut(..id_length).unwrap_or_default()) {
            Some(id) => Ok(self.put_bytes(id)),
            None => Err(self.mismatch(found)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<bool, A::Error> {
        if self.place != Place::Named || !self.field.repeats() {
            return Err(self.mismatch(Unexpected::Seq));
        }
        let Self { decoder, field, .. } = self;
        let start = decoder.out.len();
        let (place, run) = if field.packs() {
            (
                Place::Packed,
                Some(begin_message(&mut decoder.out, field.number)),
            )
        } else {
            (Place::Element, None)
        };
        let mut index = 0;
        loop {
            decoder.path.push(Segment::Index(index));
            let element = FieldValue {
                decoder: &mut *decoder,
                field,
                place,
            };
            let more = array.next_element_seed(element)?;
            decoder.path.pop();
            if more.is_none() {
                break;
            }
            index += 1;
        }
        match run {
            Some(_) if index == 0 => decoder.out.truncate(start),
            Some(run) => end_message(&mut decoder.out, run),
            None => {}
        }
        Ok(index > 0)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<bool, A::Error> {
        let message = match self.field.kind {
            Kind::Message(message) if self.takes_scalar() => message,
            _ => return Err(self.mismatch(Unexpected::Map)),
        };
        let Self { decoder, field, .. } = self;
        if decoder.depth == MAX_DEPTH {
            return Err(A::Error::custom(format_args!(
                "expected messages to nest at most {MAX_DEPTH} deep, but found deeper ones"
            )));
        }
        decoder.depth += 1;
        let open = begin_message(&mut decoder.out, field.number);
        decoder.fields(message, object)?;
        end_message(&mut decoder.out, open);
        decoder.depth -= 1;
        Ok(true)
    }
}

/// As much of a text as an error shows.
fn excerpt(text: &str) -> &str {
    let end = text.char_indices().nth(MAX_EXCERPT).map(|(at, _)| at);
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}
