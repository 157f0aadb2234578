//! The ports that people and probes look at, and their answers.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use tracing::info;

use super::listener::Listener;
use super::server::{Limits, Server};
use crate::pipeline::{BuildContext, Ports, StartError};

/// An answer.
pub type Page = Response<Full<Bytes>>;

/// The type of a plain text.
pub const TEXT: &str = "text/plain; charset=utf-8";
/// The type of a page for people.
pub const HTML: &str = "text/html; charset=utf-8";
/// The type of a page for programs.
pub const JSON: &str = "application/json";

/// Listens on `endpoint` for `owner`, which is named if that cannot be done, and answers every request.
///
/// # Errors
/// The port cannot be opened.
pub async fn serve_pages<A, F>(
    owner: &str,
    endpoint: &str,
    ports: &Ports,
    answer: A,
) -> Result<Server, StartError>
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Page> + Send + 'static,
{
    let listener = Listener::bind(owner, endpoint, ports).await?;
    let service = service_fn(move |request| {
        let answer = answer(request);
        Box::pin(async move { Ok::<_, Infallible>(answer.await) })
    });
    Ok(Server::start(listener, None, Limits::default(), service))
}

/// The same for an extension, which is told of in the log.
///
/// # Errors
/// The port cannot be opened.
pub async fn serve_extension<A, F>(
    context: &BuildContext,
    endpoint: &str,
    answer: A,
) -> Result<Server, StartError>
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Page> + Send + 'static,
{
    let extension = context.id.as_str();
    let owner = format!("extension \"{extension}\"");
    let server = serve_pages(&owner, endpoint, &context.ports, answer).await?;
    info!(extension, address = %server.address(), "listening");
    Ok(server)
}

/// An answer. Nobody may keep it for later.
pub fn page(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Page {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The answer to a path that there is not.
pub fn not_found() -> Page {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}
