//! `zpages`: pages for people that say what flows, what waits and what fails.
//!
//! Left out of the OpenTelemetry Collector's: `/debug/tracez` and `/debug/featurez`, since this
//! collector neither traces itself nor has feature gates, and `/debug/extensionz`, whose list is on
//! `/debug/servicez`.

mod html;
mod pages;
mod samples;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use serde::Deserialize;
use tokio::task::JoinHandle;
use tracing::info;

use self::pages::View;
use self::samples::Samples;
use crate::config::{Problems, Section};
use crate::pipeline::{
    BoxFuture, BuildContext, Extension, ExtensionConfig, ExtensionFactory, StartError, Status,
};
use crate::telemetry::Registry;
use crate::transport::{HTML, Limits, Listener, Server, listen_endpoint, not_found, page};

/// Makes `zpages` extensions.
#[derive(Debug)]
pub struct Factory;

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Options {
    /// Where to listen.
    #[serde(deserialize_with = "listen_endpoint")]
    endpoint: String,
}

struct Zpages {
    server: Server,
    sampling: JoinHandle<()>,
}

/// What the pages are made of.
struct Source {
    registry: Registry,
    status: Status,
    samples: Arc<Samples>,
    started: SystemTime,
}

// === impl Factory ===

impl ExtensionFactory for Factory {
    fn kind(&self) -> &'static str {
        "zpages"
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
            endpoint: "localhost:55679".to_owned(),
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
            let samples = Arc::new(Samples::default());
            let sampling = tokio::spawn(samples.clone().take(context.registry.clone()));
            let source = Arc::new(Source {
                registry: context.registry.clone(),
                status: context.status.clone(),
                samples,
                started: SystemTime::now(),
            });
            let service = service_fn(move |request: Request<Incoming>| {
                let response = source.answer(request.uri().path());
                std::future::ready(Ok::<_, Infallible>(response))
            });
            let server = Server::start(listener, None, Limits::default(), service);
            info!(extension = id, address = %server.address(), "listening");
            Ok(Box::new(Zpages { server, sampling }) as Box<dyn Extension>)
        })
    }
}

// === impl Source ===

impl Source {
    fn answer(&self, path: &str) -> Response<Full<Bytes>> {
        let render = match path {
            "/" | "/debug" | "/debug/" | "/debug/servicez" => View::service,
            "/debug/pipelinez" => View::pipelines,
            "/debug/queuez" => View::queues,
            _ => return not_found(),
        };
        let now = self.registry.read();
        let view = View {
            layout: &self.status.layout(),
            exporters: &self.status.exporters(),
            rates: self.samples.since_last(),
            now: &now,
            started: self.started,
        };
        page(StatusCode::OK, HTML, render(&view))
    }
}

// === impl Zpages ===

impl Extension for Zpages {
    fn address(&self) -> Option<SocketAddr> {
        self.server.address().tcp()
    }

    fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
        self.sampling.abort();
        Box::pin(self.server.stop())
    }
}
