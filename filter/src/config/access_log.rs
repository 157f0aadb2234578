//! `access_log`: whether there are access log records, of which requests, and what is added.

use serde_json::Value;

use super::ConfigError;
use super::section::Section;
use crate::access_log::{AccessLog, Additions, Source, Target};
use crate::host::Host;

/// Reads the section; `None` where the records are off.
#[inline(never)]
pub(super) fn read(
    mut section: Section,
    host: &impl Host,
) -> Result<Option<AccessLog>, ConfigError> {
    let enabled = section.bool("enabled")?.unwrap_or(true);
    let filter = section.condition("filter", host)?;
    let mut sources = Vec::new();
    if let Some(text) = section.text("body")? {
        sources.push(source(&section, "body", Target::Body, text, host)?);
    }
    let text = |value: &Value| value.as_str().map(str::to_owned);
    for (name, text) in section.entries("attributes", "a string with a CEL expression", text)? {
        let key = format!("attributes.{name}");
        if name.is_empty() {
            let message = "expected the name of an attribute, but found an empty one";
            return Err(section.error("attributes", message.to_owned()));
        }
        sources.push(source(&section, &key, Target::Attribute(name), text, host)?);
    }
    let additions = Additions::new(host, sources).map_err(|error| {
        // Each of them was taken alone.
        let message = format!("Envoy refuses body and attributes together: {error:?}");
        section.error_here(message)
    })?;
    section.end()?;
    Ok(enabled.then_some(AccessLog { filter, additions }))
}

/// Text that parses by itself: what is put together of it can hide nothing.
fn source(
    section: &Section,
    key: &str,
    target: Target,
    text: String,
    host: &impl Host,
) -> Result<Source, ConfigError> {
    section.expression(key, &text, host)?;
    Ok(Source {
        target,
        text,
        path: section.path_of(key),
    })
}
