//! `health_check`: answers 200 while the collector receives, and 503 before and after, and while
//! something keeps it from being ready.
//!
//! Left out: the second version (`use_v2`) and its health by component.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use serde::Deserialize;
use tracing::info;

use crate::config::{Problems, Section};
use crate::pipeline::{
    BoxFuture, BuildContext, Extension, ExtensionConfig, ExtensionFactory, StartError,
};
use crate::transport::{Limits, Listener, Server, listen_endpoint};

/// Makes `health_check` extensions.
#[derive(Debug)]
pub struct Factory;

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Options {
    /// Where to listen.
    #[serde(deserialize_with = "listen_endpoint")]
    endpoint: String,
    /// The path that is answered; others are not found.
    path: String,
}

struct HealthCheck {
    server: Server,
    ready: Arc<AtomicBool>,
}

// === impl Factory ===

impl ExtensionFactory for Factory {
    fn kind(&self) -> &'static str {
        "health_check"
    }

    fn configure(&self, section: &Section<'_>) -> Result<Box<dyn ExtensionConfig>, Problems> {
        let options: Options = section.read()?;
        Ok(Box::new(options))
    }
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            endpoint: "localhost:13133".to_owned(),
            path: "/".to_owned(),
        }
    }
}

impl ExtensionConfig for Options {
    fn start(
        self: Box<Self>,
        context: BuildContext,
    ) -> BoxFuture<'static, Result<Box<dyn Extension>, StartError>> {
        Box::pin(async move {
            let id = context.id.as_str();
            let name = format!("extension \"{id}\"");
            let listener = Listener::bind(&name, &self.endpoint, &context.ports).await?;
            let ready = Arc::new(AtomicBool::new(false));
            let path: Arc<str> = self.path.into();
            let started = Instant::now();
            let service = service_fn({
                let ready = ready.clone();
                let readiness = context.readiness.clone();
                move |request: Request<Incoming>| {
                    let response = if request.uri().path() == &*path {
                        let is_ready = ready.load(Ordering::Relaxed) && readiness.is_ready();
                        health(is_ready, started.elapsed())
                    } else {
                        not_found()
                    };
                    std::future::ready(Ok::<_, Infallible>(response))
                }
            });
            let server = Server::start(listener, None, Limits::default(), service);
            info!(extension = id, address = %server.address(), "listening");
            Ok(Box::new(HealthCheck { server, ready }) as Box<dyn Extension>)
        })
    }
}

// === impl HealthCheck ===

impl Extension for HealthCheck {
    fn address(&self) -> Option<SocketAddr> {
        self.server.address().tcp()
    }

    fn ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    fn stopping(&self) {
        self.ready.store(false, Ordering::Relaxed);
    }

    fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(self.server.stop())
    }
}

fn health(ready: bool, uptime: Duration) -> Response<Full<Bytes>> {
    let (status, text) = if ready {
        (StatusCode::OK, "Server available")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "Server not available")
    };
    let body = format!(
        "{{\"status\":\"{text}\",\"uptime\":\"{}s\"}}",
        uptime.as_secs()
    );
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

fn not_found() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}
