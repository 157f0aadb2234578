//! `capture`: the headers and the baggage that become attributes.

use spanmesh_trace_context::baggage;

use super::ConfigError;
use super::section::Section;
use crate::capture::{Capture, is_secret};
use crate::semconv;

const HEADER: &str = "expected the name of a header, such as \"x-tenant\"";
const HEADERS: &str = "expected the name of a header, such as \"x-tenant\", or the beginning of one, \
                       such as \"x-team-*\"";
const KEY: &str = "expected a key of W3C Baggage";
const FREE_KEY: &str = "expected a key that is no attribute which the filter sets";
const SECRET: &str = "expected a header that is redacted, such as \"authorization\" or \"cookie\"";

/// Reads the section.
#[inline(never)]
pub(super) fn read(mut section: Section) -> Result<Capture, ConfigError> {
    let mut capture = Capture::default();
    each(&mut section, "request_headers", &mut |text| {
        let (list, name) = match text.strip_suffix('*') {
            Some(prefix) => (&mut capture.request_prefixes, prefix),
            None => (&mut capture.request_headers, text),
        };
        add(list, header(name).ok_or(HEADERS)?);
        Ok(())
    })?;
    each(&mut section, "response_headers", &mut |text| {
        add(&mut capture.response_headers, header(text).ok_or(HEADER)?);
        Ok(())
    })?;
    each(&mut section, "baggage", &mut |text| {
        if !baggage::is_key(text) {
            return Err(KEY);
        }
        if semconv::is_of_records(text) {
            return Err(FREE_KEY);
        }
        add(&mut capture.baggage, text.to_owned());
        Ok(())
    })?;
    each(&mut section, "unredacted", &mut |text| {
        let name = text.to_ascii_lowercase();
        if !is_secret(&name) {
            return Err(SECRET);
        }
        add(&mut capture.unredacted, name);
        Ok(())
    })?;
    section.end()?;
    Ok(capture)
}

/// Has each text of a list taken, or refused with what was expected.
fn each(
    section: &mut Section,
    key: &'static str,
    take: &mut dyn FnMut(&str) -> Result<(), &'static str>,
) -> Result<(), ConfigError> {
    let texts = section.texts(key)?.unwrap_or_default();
    for (at, text) in texts.iter().enumerate() {
        take(text).map_err(|expected| {
            section.error(
                &format!("{key}[{at}]"),
                format!("found {text:?}, {expected}"),
            )
        })?;
    }
    Ok(())
}

/// What is named twice is captured once.
fn add(list: &mut Vec<String>, name: String) {
    if !list.contains(&name) {
        list.push(name);
    }
}

/// A header's name, or the beginning of one, in lower case.
fn header(name: &str) -> Option<String> {
    // It is a token, and so is a key of baggage. None has a `*` of its own.
    let is_name = baggage::is_key(name) && !name.contains('*');
    is_name.then(|| name.to_ascii_lowercase())
}
