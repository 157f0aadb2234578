//! `zpages`: pages for people that say what flows, what waits and what fails.
//!
//! Left out of the OpenTelemetry Collector's: `/debug/tracez` and `/debug/featurez`, since this
//! collector neither traces itself nor has feature gates, and `/debug/extensionz`, whose list is on
//! `/debug/servicez`.

mod html;
mod pages;
mod samples;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use self::pages::View;
use self::samples::Samples;
use crate::pipeline::{
    BoxFuture, BuildContext, Condition, Extension, ExtensionConfig, ExtensionFactory,
    ExtensionKind, StartError, Status,
};
use crate::telemetry::{Registry, rfc3339};
use crate::transport::{
    HTML, JSON, Page, Server, listen_endpoint, not_found, page, serve_extension,
};

/// Makes `zpages` extensions.
pub const FACTORY: &dyn ExtensionFactory = &ExtensionKind::<Options>::new("zpages");

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
            let samples = Arc::new(Samples::default());
            let source = Arc::new(Source {
                registry: context.registry.clone(),
                status: context.status.clone(),
                samples: samples.clone(),
                started: SystemTime::now(),
            });
            let server = serve_extension(&context, &self.endpoint, move |request| {
                let uri = request.uri();
                let answer = source.answer(uri.path(), uri.query().unwrap_or_default());
                std::future::ready(answer)
            })
            .await?;
            let sampling = tokio::spawn(samples.take(context.registry));
            Ok(Box::new(Zpages { server, sampling }) as Box<dyn Extension>)
        })
    }
}

// === impl Source ===

impl Source {
    fn answer(&self, path: &str, query: &str) -> Page {
        let for_programs = query.split('&').any(|pair| pair == "format=json");
        if path == "/debug/queuez" && for_programs {
            return page(StatusCode::OK, JSON, self.queues().to_string());
        }
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

    /// What the metrics do not say of the queues: why they do not get shorter.
    fn queues(&self) -> Value {
        let exporters = self.status.exporters();
        let queues = exporters.iter().map(|(id, exporter)| {
            let health = exporter.health();
            let condition = match health.condition {
                Condition::Works => "works",
                Condition::Fails => "fails",
                Condition::Refuses => "refuses",
            };
            json!({
                "exporter": id,
                "condition": condition,
                "since": rfc3339(health.since),
                "message": health.message,
            })
        });
        json!({"queues": queues.collect::<Vec<_>>()})
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
