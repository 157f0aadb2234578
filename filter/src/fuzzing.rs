//! The way in for `fuzz/` to parsers that are private; compiled with `--cfg fuzzing` only.
//!
//! Each function takes what comes from outside, and returns what the filter makes of it.

use crate::cel;
use crate::export::response;
use crate::path_template::PathTemplate;
use crate::record::{self, address};
use crate::redact::{self, Redaction};
use crate::request::Request;

/// What a request's headers say of who asked whom.
#[derive(Debug)]
pub struct Addresses {
    /// `server.address`.
    pub server: Vec<u8>,
    /// `client.address`.
    pub client: Vec<u8>,
    /// `url.scheme`.
    pub scheme: Vec<u8>,
}

/// Reads an authority, a `Forwarded`, an `X-Forwarded-For` and a socket's address.
pub fn addresses(
    authority: &[u8],
    forwarded: &[u8],
    forwarded_for: &[u8],
    source: &[u8],
) -> Addresses {
    let request = Request {
        authority,
        forwarded,
        forwarded_for,
        ..Request::default()
    };
    Addresses {
        server: address::server(&request).0.to_vec(),
        client: address::client(&request, source).to_vec(),
        scheme: address::scheme(&request).to_vec(),
    }
}

/// Reads a collector's answer; returns how many records it rejects.
pub fn partial_success(message: &[u8]) -> usize {
    response::partial_success(message).rejected
}

/// Whether a template stands for a path.
///
/// # Errors
/// What is wrong with the template.
pub fn path_template(template: &str, path: &[u8]) -> Result<bool, String> {
    PathTemplate::parse(template).map(|template| template.matches(path))
}

/// A query without the values of one key.
pub fn redacted_query(key: &str, query: &[u8]) -> Vec<u8> {
    Redaction::new(vec![key.to_owned()])
        .query(query)
        .into_owned()
}

/// An authority without its userinfo.
pub fn redacted_authority(authority: &[u8]) -> Vec<u8> {
    redact::authority(authority).into_owned()
}

/// Bytes as UTF-8 of at most `limit` bytes.
pub fn text(bytes: &[u8], limit: usize) -> String {
    record::text(bytes, limit).into_owned()
}

/// What one of the filter's own CEL texts comes to; `None` for any other, or without a path in it.
pub fn evaluate(property: &dyn Fn(&str) -> Option<Vec<u8>>, text: &str) -> Option<Vec<u8>> {
    cel::evaluate(property, text).ok()
}
