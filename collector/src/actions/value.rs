//! Values in a configuration, whose types are those of YAML.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use spanmesh_otlp::EncodedValue;

/// A value of any type that an attribute can have.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfiguredValue(pub EncodedValue);

struct ValueVisitor;

impl<'de> Deserialize<'de> for ConfiguredValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = ConfiguredValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, a boolean, a list or a mapping")
    }

    fn visit_bool<E>(self, value: bool) -> Result<ConfiguredValue, E> {
        Ok(ConfiguredValue(EncodedValue::bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<ConfiguredValue, E> {
        Ok(ConfiguredValue(EncodedValue::int(value)))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<ConfiguredValue, E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => Err(E::invalid_value(
                de::Unexpected::Unsigned(value),
                &"an integer of 64 bits with a sign",
            )),
        }
    }

    fn visit_f64<E>(self, value: f64) -> Result<ConfiguredValue, E> {
        Ok(ConfiguredValue(EncodedValue::double(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<ConfiguredValue, E> {
        Ok(ConfiguredValue(EncodedValue::string(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<ConfiguredValue, A::Error> {
        let mut elements = Vec::new();
        while let Some(ConfiguredValue(element)) = items.next_element()? {
            elements.push(element);
        }
        Ok(ConfiguredValue(EncodedValue::array(elements)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<ConfiguredValue, A::Error> {
        let mut entries: Vec<(String, EncodedValue)> = Vec::new();
        while let Some((key, ConfiguredValue(value))) = items.next_entry()? {
            entries.push((key, value));
        }
        let entries = entries
            .iter()
            .map(|(key, value)| (key.as_str(), value.clone()));
        Ok(ConfiguredValue(EncodedValue::map(entries)))
    }
}
