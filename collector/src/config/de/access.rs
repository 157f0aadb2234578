//! What is inside mappings, lists and variants.

use std::cell::RefCell;

use serde::Deserializer;
use serde::de::{
    self, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};

use super::error::Error;
use super::reader::{Reader, Skipped, join};
use crate::config::node::{Key, Node};
use crate::config::problem::Problems;

/// The entries of a mapping.
pub(super) struct Entries<'a> {
    pub(super) entries: std::vec::IntoIter<&'a (Key, Node)>,
    pub(super) value: Option<Reader<'a>>,
    pub(super) path: String,
    pub(super) problems: &'a RefCell<Problems>,
    pub(super) skipped: &'a Skipped,
}

/// The items of a list.
pub(super) struct Items<'a> {
    pub(super) items: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
    pub(super) path: String,
    pub(super) problems: &'a RefCell<Problems>,
    pub(super) skipped: &'a Skipped,
}

/// One of several possible values, by its name.
pub(super) struct Variant<'a> {
    pub(super) name: &'a str,
    pub(super) value: Option<Reader<'a>>,
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
            skipped: self.skipped,
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
        let skipped = self.skipped;
        let Some((index, node)) = self.items.find(|(_, node)| !skipped.is_wrong(node)) else {
            return Ok(None);
        };
        let reader = Reader {
            node,
            path: join(&self.path, &index.to_string()),
            problems: self.problems,
            skipped: self.skipped,
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
