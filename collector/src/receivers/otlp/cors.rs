//! `cors`: which web pages may send to us, by the Fetch standard.
//!
//! Browsers ask with an OPTIONS request before they send what a form could not, and read an answer only
//! if it names their origin. Left out: credentials, which are never allowed.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde::de::{self, Deserialize, Deserializer, IntoDeserializer};

use crate::config::Span;

/// The options.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct CorsOptions {
    /// Origins that may send; `*` in them stands for anything. None: no answer names an origin.
    allowed_origins: Vec<String>,
    /// Headers that they may send beside those that every page may; `*` for any.
    allowed_headers: Vec<String>,
    /// Headers of answers that they may read.
    exposed_headers: Vec<String>,
    /// How long a browser need not ask again; in seconds if it is a number, as in the OpenTelemetry
    /// Collector.
    max_age: MaxAge,
}

/// What is answered to browsers.
#[derive(Clone, Debug)]
pub(super) struct Cors {
    origins: Vec<String>,
    headers: Vec<String>,
    any_header: bool,
    exposed: Option<HeaderValue>,
    max_age: Option<HeaderValue>,
}

/// Seconds.
#[derive(Clone, Copy, Debug, Default)]
struct MaxAge(u64);

/// What pages may send without being named in `allowed_headers`, as in the OpenTelemetry Collector.
const SAFE_HEADERS: [&str; 4] = ["accept", "content-type", "origin", "x-requested-with"];

// === impl CorsOptions ===

impl CorsOptions {
    /// `None` if no origin is allowed.
    ///
    /// # Errors
    /// What is no name of a header, as a sentence.
    pub(super) fn resolve(&self) -> Result<Option<Cors>, String> {
        if self.allowed_origins.is_empty() {
            return Ok(None);
        }
        let mut headers: Vec<String> = SAFE_HEADERS.map(str::to_owned).to_vec();
        for name in self.allowed_headers.iter().filter(|name| *name != "*") {
            let name: HeaderName = name
                .parse()
                .map_err(|_| format!("allowed_headers: {name:?} is no name of a header"))?;
            headers.push(name.as_str().to_owned());
        }
        let exposed = self.exposed_headers.join(", ");
        let exposed = match exposed.is_empty() {
            true => None,
            false => Some(
                HeaderValue::try_from(exposed)
                    .map_err(|_| "exposed_headers: expected names of headers".to_owned())?,
            ),
        };
        let MaxAge(seconds) = self.max_age;
        Ok(Some(Cors {
            origins: self
                .allowed_origins
                .iter()
                .map(|o| o.to_ascii_lowercase())
                .collect(),
            any_header: self.allowed_headers.iter().any(|name| name == "*"),
            headers,
            exposed,
            max_age: (seconds > 0).then(|| HeaderValue::from(seconds)),
        }))
    }
}

// === impl MaxAge ===

impl<'de> Deserialize<'de> for MaxAge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if let Ok(seconds) = text.parse() {
            return Ok(Self(seconds));
        }
        let span = Span::deserialize(text.as_str().into_deserializer());
        span.map(|span| Self(span.0.as_secs()))
            .map_err(|_: de::value::Error| {
                de::Error::invalid_value(
                    de::Unexpected::Str(&text),
                    &"a number of seconds, or a duration as in \"2h\"",
                )
            })
    }
}

// === impl Cors ===

impl Cors {
    /// Whether a browser asks what it may send.
    pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
        method == Method::OPTIONS
            && headers.contains_key(header::ORIGIN)
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
    }

    /// The headers of the answer to a browser that asks; only `Vary` if it may not send.
    pub(super) fn preflight(&self, request: &HeaderMap) -> HeaderMap {
        let mut answer = HeaderMap::new();
        answer.insert(
            header::VARY,
            HeaderValue::from_static(
                "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
            ),
        );
        let (Some(origin), Some(asked)) = (self.origin(request), self.asked_headers(request))
        else {
            return answer;
        };
        if request[header::ACCESS_CONTROL_REQUEST_METHOD].as_bytes() != b"POST" {
            return answer;
        }
        answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        answer.insert(
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("POST"),
        );
        if let Some(asked) = asked {
            answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
        }
        if let Some(max_age) = &self.max_age {
            answer.insert(header::ACCESS_CONTROL_MAX_AGE, max_age.clone());
        }
        answer
    }

    /// Adds what a browser has to find in the answer to a request.
    pub(super) fn decorate(&self, origin: Option<HeaderValue>, answer: &mut HeaderMap) {
        answer.append(header::VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = origin else { return };
        answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if let Some(exposed) = &self.exposed {
            answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed.clone());
        }
    }

    /// The value that allows the origin of a request; `None` if it has none, or one that may not send.
    pub(super) fn origin(&self, request: &HeaderMap) -> Option<HeaderValue> {
        let origin = request.get(header::ORIGIN)?;
        let text = origin.to_str().ok()?.to_ascii_lowercase();
        if self.origins.iter().any(|allowed| allowed == "*") {
            return Some(HeaderValue::from_static("*"));
        }
        let allowed = self.origins.iter().any(|pattern| matches(pattern, &text));
        allowed.then(|| origin.clone())
    }

    /// The headers that a browser asks for, if it asks for any; `None` if some are not allowed.
    fn asked_headers(&self, request: &HeaderMap) -> Option<Option<HeaderValue>> {
        let Some(asked) = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS) else {
            return Some(None);
        };
        let text = asked.to_str().ok()?;
        let mut names = text
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        let is_allowed = |name: &str| {
            self.headers
                .iter()
                .any(|known| known.eq_ignore_ascii_case(name))
        };
        let allowed = self.any_header || names.all(is_allowed);
        allowed.then(|| Some(asked.clone()))
    }
}

/// Whether a text is a pattern, in which each `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts = rest.split('*');
    // The last part has to stand at the end; the others anywhere, as early as possible.
    let last = parts.next_back().unwrap_or_default();
    for part in parts {
        let Some(at) = text.find(part) else {
            return false;
        };
        text = &text[at + part.len()..];
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_have_wildcards() {
        for (pattern, text, expected) in [
            ("https://a.example", "https://a.example", true),
            ("https://a.example", "https://a.example.evil", false),
            ("https://*.example", "https://a.example", true),
            ("https://*.example", "https://a.b.example", true),
            ("https://*.example", "https://example", false),
            ("https://*.example:*", "https://a.example:8080", true),
            ("https://*.example", "https://a.example.evil", false),
            ("*ab*ab", "ab", false),
            ("*", "anything", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn no_origin_is_no_cors() {
        let resolved = |json| {
            let options: CorsOptions = serde_json::from_str(json).unwrap();
            options.resolve().map(|cors| cors.is_some())
        };
        assert_eq!(resolved("{}"), Ok(false));
        assert_eq!(
            resolved(r#"{"allowed_origins": ["*"], "max_age": "7200"}"#),
            Ok(true)
        );
        assert!(resolved(r#"{"allowed_origins": ["*"], "allowed_headers": ["a b"]}"#).is_err());
    }
}
