//! `/metrics`: the collector's own metrics.

use http::StatusCode;
use tracing::info;

use crate::pipeline::{Ports, StartError};
use crate::telemetry::Registry;
use crate::transport::{Server, not_found, page, serve_pages};

/// The type of Prometheus' text format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Starts to serve the metrics of `registry`.
///
/// # Errors
/// The port cannot be opened.
pub(super) async fn start(
    endpoint: &str,
    registry: Registry,
    ports: &Ports,
) -> Result<Server, StartError> {
    let owner = "service::telemetry::metrics";
    let server = serve_pages(owner, endpoint, ports, move |request| {
        let page = match request.uri().path() {
            "/metrics" => page(StatusCode::OK, PROMETHEUS, registry.encode()),
            _ => not_found(),
        };
        std::future::ready(page)
    })
    .await?;
    info!(address = %server.address(), "serving metrics");
    Ok(server)
}
