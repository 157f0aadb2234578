//! Sections whose presence alone switches something on, as `grpc:` in a receiver's `protocols`.

use serde::{Deserialize, Deserializer};

/// For `#[serde(default, deserialize_with = "enabled")]` on an `Option`: a key that is present is
/// `Some`, with defaults if nothing is written behind it; a key that is absent is `None`.
///
/// # Errors
/// Those of the section.
pub fn enabled<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}
