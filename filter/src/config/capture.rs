//! `capture`: the headers and the baggage that become attributes.

use spanmesh_trace_context::baggage;

use super::ConfigError;
use super::section::Section;
use crate::capture::{Capture, SECRETS, is_secret};
use crate::semconv;

/// Reads the section.
pub(super) fn read(mut section: Section) -> Result<Capture, ConfigError> {
    let mut capture = Capture::default();
    for (at, name) in texts(&mut section, "request_headers")? {
        match name.strip_suffix('*') {
            Some(prefix) => {
                let prefix = header(&section, &at, prefix)?;
                capture.request_prefixes.push(prefix);
            }
            None => capture.request_headers.push(header(&section, &at, &name)?),
        }
    }
    for (at, name) in texts(&mut section, "response_headers")? {
        if name.ends_with('*') {
            let message = format!("found {name:?}, but only request_headers takes patterns");
            return Err(section.error(&at, message));
        }
        capture.response_headers.push(header(&section, &at, &name)?);
    }
    for (at, key) in texts(&mut section, "baggage")? {
        if !baggage::is_key(&key) {
            let message = format!("found {key:?}, expected a key of W3C Baggage");
            return Err(section.error(&at, message));
        }
        if semconv::is_of_records(&key) {
            let message = format!("found {key:?}, which is an attribute that the filter sets");
            return Err(section.error(&at, message));
        }
        capture.baggage.push(key);
    }
    for (at, name) in texts(&mut section, "unredacted")? {
        let name = name.to_ascii_lowercase();
        if !is_secret(&name) {
            let secrets = SECRETS.join(", ");
            let message =
                format!("found {name:?}, expected one of {secrets}: only they are redacted");
            return Err(section.error(&at, message));
        }
        capture.unredacted.push(name);
    }
    section.end()?;
    // A name that is there twice would be an attribute that is there twice.
    capture.response_headers.sort_unstable();
    capture.response_headers.dedup();
    Ok(capture)
}

/// The texts of a list, each with its place.
fn texts(
    section: &mut Section,
    key: &'static str,
) -> Result<impl Iterator<Item = (String, String)> + use<>, ConfigError> {
    let texts = section.texts(key)?.unwrap_or_default().into_iter();
    Ok(texts
        .enumerate()
        .map(move |(at, text)| (format!("{key}[{at}]"), text)))
}

/// A header's name, or the beginning of one, in lower case.
fn header(section: &Section, at: &str, name: &str) -> Result<String, ConfigError> {
    // A header's name is a token, and so is a key of baggage. None has a `*` of its own.
    if !baggage::is_key(name) || name.contains('*') {
        let message = format!(
            "found {name:?}, expected the name of a header, such as \"x-tenant\", or in \
             request_headers the beginning of one, such as \"x-team-*\""
        );
        return Err(section.error(at, message));
    }
    Ok(name.to_ascii_lowercase())
}
