//! A value of OTLP JSON to a field of protobuf.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};

use super::super::scalar::{self, Scalar};
use super::{Decoder, Segment};
use crate::MAX_DEPTH;
use crate::encode::{begin_message, end_message, put_bytes};
use crate::schema::{Field, Kind, Label};

/// How many characters of a bad string an error shows. Errors travel back in a response, which
/// clients take up to 4 MiB only, and into logs.
const MAX_EXCERPT: usize = 64;

/// Reads a value and writes it as a field; says whether it wrote anything.
pub(super) struct FieldValue<'a> {
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

// === impl FieldValue ===

impl<'a> FieldValue<'a> {
    /// The value behind a name.
    pub(super) fn named(decoder: &'a mut Decoder, field: &'static Field) -> Self {
        Self {
            decoder,
            field,
            place: Place::Named,
        }
    }

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
