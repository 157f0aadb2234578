//! What every answer over HTTP has: configured headers, and those that browsers look for.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;

use super::cors::Cors;
use super::options::HttpOptions;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    headers: HeaderMap,
    cors: Option<Cors>,
}

// === impl Answers ===

impl Answers {
    /// # Errors
    /// A sentence that says what is wrong with the options.
    pub(super) fn new(options: &HttpOptions) -> Result<Self, String> {
        let cors = options.cors.resolve();
        Ok(Self {
            headers: options.response_headers()?,
            cors: cors.map_err(|message| format!("cors: {message}"))?,
        })
    }

    /// The answer to a browser that asks what it may send; `None` if it does not.
    pub(super) fn preflight<B>(&self, request: &Request<B>) -> Option<Response<Full<Bytes>>> {
        let cors = self.cors.as_ref()?;
        if !Cors::is_preflight(request.method(), request.headers()) {
            return None;
        }
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::NO_CONTENT;
        response
            .headers_mut()
            .extend(cors.preflight(request.headers()));
        response.headers_mut().extend(self.headers.clone());
        Some(response)
    }

    /// The value that allows the origin of a request, if it is allowed.
    pub(super) fn origin(&self, request: &HeaderMap) -> Option<HeaderValue> {
        self.cors.as_ref()?.origin(request)
    }

    /// Adds its headers to an answer to a request from `origin`.
    pub(super) fn decorate(&self, origin: Option<HeaderValue>, answer: &mut HeaderMap) {
        if let Some(cors) = &self.cors {
            cors.decorate(origin, answer);
        }
        for (name, value) in &self.headers {
            answer.insert(name.clone(), value.clone());
        }
    }
}
