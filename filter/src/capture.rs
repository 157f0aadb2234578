//! Headers and baggage that become attributes where the configuration names them.
//!
//! Source: semantic conventions 1.44.0, `http.request.header.<name>` and `http.response.header.<name>`
//! (of gRPC `rpc.request.metadata.<name>` and `rpc.response.metadata.<name>`), lists of texts. They
//! have no name for baggage: OpenTelemetry's baggage span processors take the key as it is.
//!
//! Request headers and baggage are taken when the request arrives, cut and redacted, and kept until
//! its end. Response headers are read with Envoy's other attributes, in which several values of one
//! name are joined by commas; the conventions allow that as a list of one text.

use std::borrow::Cow;
use std::iter;

use spanmesh_trace_context::baggage;

use crate::pairs::{Iter, Pairs};
use crate::record::cut_for_text;
use crate::redact::REDACTED;

/// Headers that carry credentials. Only their exact names capture them, and redacted at that.
pub(crate) const SECRETS: [&str; 11] = [
    "authentication-info",
    "authorization",
    "cookie",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "set-cookie",
    "www-authenticate",
    "x-amz-security-token",
    "x-api-key",
    "x-auth-token",
];

/// What the name of a header that may be a secret has in it, those of [`SECRETS`] among them. A
/// pattern never captures one: whoever writes `x-*` means no token.
const SECRET_WORDS: [&str; 10] = [
    "api-key",
    "apikey",
    "authenticat",
    "authorization",
    "cookie",
    "credential",
    "jwt",
    "password",
    "secret",
    "token",
];

/// What is captured, as it is configured.
#[derive(Debug, Default)]
pub struct Capture {
    /// Lower-case names.
    pub(crate) request_headers: Vec<String>,
    /// What the names of request headers begin with, lower-case.
    pub(crate) request_prefixes: Vec<String>,
    /// Lower-case names.
    pub(crate) response_headers: Vec<String>,
    /// Keys, case-sensitive.
    pub(crate) baggage: Vec<String>,
    /// Secrets whose values are shown.
    pub(crate) unredacted: Vec<String>,
}

/// What was captured of one request; nothing takes no memory.
#[derive(Debug, Default)]
pub(crate) struct Captured(Option<Box<Parts>>);

#[derive(Debug)]
struct Parts {
    /// Names and values, redacted; sorted by name, so that the values of one name stand together.
    headers: Pairs,
    /// Keys, each once, and decoded values.
    baggage: Pairs,
}

/// Pairs of which those with one name stand together, by their names.
#[derive(Debug)]
pub(crate) struct Groups<'a>(Iter<'a>);

/// Whether a header carries credentials; its name is lower-case.
pub(crate) fn is_secret(name: &str) -> bool {
    SECRETS.contains(&name)
}

impl Capture {
    /// Whether it captures nothing.
    pub(crate) fn is_empty(&self) -> bool {
        let lists = [
            &self.request_headers,
            &self.request_prefixes,
            &self.response_headers,
            &self.baggage,
        ];
        lists.into_iter().all(Vec::is_empty)
    }

    /// Takes what is configured out of the headers that arrived; of baggage only if it is trusted.
    pub(crate) fn request(
        &self,
        headers: &Pairs,
        trusts_baggage: bool,
        value_limit: usize,
    ) -> Captured {
        if self.is_empty() {
            return Captured::default();
        }
        let parts = Parts {
            headers: self.headers(headers, value_limit),
            baggage: if trusts_baggage {
                self.baggage(headers, value_limit)
            } else {
                Pairs::default()
            },
        };
        let is_empty = parts.headers.is_empty() && parts.baggage.is_empty();
        Captured((!is_empty).then(|| Box::new(parts)))
    }

    fn headers(&self, headers: &Pairs, value_limit: usize) -> Pairs {
        if self.request_headers.is_empty() && self.request_prefixes.is_empty() {
            return Pairs::default();
        }
        let mut sorted: Vec<(&[u8], &[u8])> = Vec::new();
        for (name, value) in headers.iter().filter(|(name, _)| self.wants(name)) {
            let value = self.shown(name, cut_for_text(value, value_limit));
            // After those of its name. A sort of the library's would be a fiftieth of the module.
            let at = sorted.partition_point(|(earlier, _)| *earlier <= name);
            sorted.insert(at, (name, value));
        }
        Pairs::of(&sorted)
    }

    /// As in the SDKs, the last value of a key counts.
    fn baggage(&self, headers: &Pairs, value_limit: usize) -> Pairs {
        if self.baggage.is_empty() {
            return Pairs::default();
        }
        let mut found: Vec<(&str, Cow<'_, str>)> = Vec::new();
        for member in baggage::members(headers) {
            let key = member.key();
            if !self.baggage.iter().any(|wanted| wanted == key) {
                continue;
            }
            match found.iter_mut().find(|(known, _)| *known == key) {
                Some((_, value)) => *value = member.value(),
                None => found.push((key, member.value())),
            }
        }
        let cut = found.iter().map(|(key, value)| {
            let value = cut_for_text(value.as_bytes(), value_limit);
            (key.as_bytes(), value)
        });
        Pairs::of(&cut.collect::<Vec<_>>())
    }

    /// The response headers that are captured, with what Envoy gave for each of them; one that was
    /// not there is left out.
    pub(crate) fn response<'a>(
        &'a self,
        values: impl Iterator<Item = &'a [u8]>,
    ) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let pairs = self.response_headers.iter().zip(values);
        pairs
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.as_str(), self.shown(name.as_bytes(), value)))
    }

    fn wants(&self, name: &[u8]) -> bool {
        let is_in = |names: &[String]| names.iter().any(|it| it.as_bytes() == name);
        let begins = |prefix: &String| name.starts_with(prefix.as_bytes());
        is_in(&self.request_headers)
            || (self.request_prefixes.iter().any(begins) && !may_be_secret(name))
    }

    /// The value, or what stands in its place.
    fn shown<'a>(&self, name: &[u8], value: &'a [u8]) -> &'a [u8] {
        if is_listed(&SECRETS, name) && !is_listed(&self.unredacted, name) {
            REDACTED
        } else {
            value
        }
    }
}

impl Captured {
    /// How many bytes it takes.
    pub(crate) fn size(&self) -> usize {
        let parts = self.0.as_deref();
        parts.map_or(0, |parts| parts.headers.size() + parts.baggage.size())
    }

    /// Names, each once, with their values in the order of arrival.
    pub(crate) fn headers(&self) -> Groups<'_> {
        let parts = self.0.as_deref();
        Groups(parts.map(|parts| parts.headers.iter()).unwrap_or_default())
    }

    /// Keys, each once, and values.
    pub(crate) fn baggage(&self) -> Iter<'_> {
        let parts = self.0.as_deref();
        parts.map(|parts| parts.baggage.iter()).unwrap_or_default()
    }
}

fn may_be_secret(name: &[u8]) -> bool {
    SECRET_WORDS
        .iter()
        .any(|word| name.windows(word.len()).any(|part| part == word.as_bytes()))
}

impl<'a> Iterator for Groups<'a> {
    /// A name and its pairs.
    type Item = (&'a [u8], iter::Take<Iter<'a>>);

    fn next(&mut self) -> Option<Self::Item> {
        let group = self.0.clone();
        let (name, _) = self.0.next()?;
        let mut length = 1;
        loop {
            let before = self.0.clone();
            if self.0.next().is_none_or(|(found, _)| found != name) {
                self.0 = before;
                return Some((name, group.take(length)));
            }
            length += 1;
        }
    }
}

fn is_listed(names: &[impl AsRef<str>], name: &[u8]) -> bool {
    names
        .iter()
        .any(|listed| listed.as_ref().as_bytes() == name)
}

#[cfg(test)]
mod tests;
