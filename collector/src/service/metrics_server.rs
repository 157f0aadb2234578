//! `/metrics`: the collector's own metrics.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use tracing::info;

use crate::pipeline::{Ports, StartError};
use crate::telemetry::Registry;
use crate::transport::{Limits, Listener, Server};

/// Starts to serve the metrics of `registry`.
///
/// # Errors
/// The port cannot be opened.
pub(super) async fn start(
    endpoint: &str,
    registry: Registry,
    ports: &Ports,
) -> Result<Server, StartError> {
    let listener = Listener::bind("service::telemetry::metrics", endpoint, ports).await?;
    let service = service_fn(move |request: Request<Incoming>| {
        let response = if request.uri().path() == "/metrics" {
            let mut response = Response::new(Full::new(Bytes::from(registry.encode())));
            response.headers_mut().insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
            );
            response
        } else {
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        };
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let server = Server::start(listener, None, Limits::default(), service);
    info!(address = %server.address(), "serving metrics");
    Ok(server)
}
