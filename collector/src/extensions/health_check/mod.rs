//! `health_check`: answers 200 while the collector receives, and 503 before and after, and while
//! something keeps it from being ready. In the second version (`use_v2`) it also says how the
//! components are, and may answer 500 for their sake.
//!
//! Left out of the second version: `grpc`, `http::config`, and TLS.

mod options;
mod tree;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use http::StatusCode;
use serde_json::json;

use self::options::{Options, ResponseBody, Version};
use self::tree::{Query, Stage, Tree};
use crate::pipeline::{
    BoxFuture, BuildContext, Extension, ExtensionConfig, ExtensionFactory, ExtensionKind,
    Readiness, StartError, Status,
};
use crate::telemetry::rfc3339;
use crate::transport::{JSON, Page, Server, TEXT, not_found, page, serve_extension};

/// Makes `health_check` extensions.
pub const FACTORY: &dyn ExtensionFactory = &ExtensionKind::<Options>::new("health_check");

struct HealthCheck {
    server: Server,
    progress: Arc<Progress>,
}

/// How far the collector is.
struct Progress(Mutex<(Stage, SystemTime)>);

/// What answers are made of.
struct Source {
    path: String,
    version: Version,
    progress: Arc<Progress>,
    readiness: Readiness,
    status: Status,
    started: SystemTime,
}

// === impl Options ===

impl ExtensionConfig for Options {
    fn start(
        self: Box<Self>,
        context: BuildContext,
    ) -> BoxFuture<'static, Result<Box<dyn Extension>, StartError>> {
        Box::pin(async move {
            let progress = Arc::new(Progress::new());
            let source = Arc::new(Source {
                path: self.path,
                version: self.version,
                progress: progress.clone(),
                readiness: context.readiness.clone(),
                status: context.status.clone(),
                started: SystemTime::now(),
            });
            let server = serve_extension(&context, &self.endpoint, move |request| {
                let uri = request.uri();
                let answer = source.answer(uri.path(), uri.query().unwrap_or_default());
                std::future::ready(answer)
            })
            .await?;
            Ok(Box::new(HealthCheck { server, progress }) as Box<dyn Extension>)
        })
    }
}

// === impl Source ===

impl Source {
    fn answer(&self, path: &str, query: &str) -> Page {
        if path != self.path {
            return not_found();
        }
        let (mut stage, since) = self.progress.get();
        if stage == Stage::Running && !self.readiness.is_ready() {
            stage = Stage::Pressed;
        }
        let rules = match &self.version {
            Version::First(body) => return self.whether_ready(stage == Stage::Running, body),
            Version::Second(rules) => *rules,
        };
        let tree = Tree {
            stage,
            since,
            layout: &self.status.layout(),
            exporters: &self.status.exporters(),
            rules,
        };
        match tree.answer(&Query::parse(query), SystemTime::now()) {
            Some((code, mut body)) => {
                if let Some(object) = body.as_object_mut() {
                    object.insert("start_time".to_owned(), rfc3339(self.started).into());
                }
                page(code, JSON, body.to_string())
            }
            None => not_found(),
        }
    }

    fn whether_ready(&self, ready: bool, body: &ResponseBody) -> Page {
        let (code, text, own) = if ready {
            (StatusCode::OK, "Server available", &body.healthy)
        } else {
            let code = StatusCode::SERVICE_UNAVAILABLE;
            (code, "Server not available", &body.unhealthy)
        };
        if let Some(own) = own {
            return page(code, TEXT, own.clone());
        }
        let uptime = self.started.elapsed().unwrap_or_default().as_secs();
        let up_since = rfc3339(self.started);
        let body = json!({"status": text, "upSince": up_since, "uptime": format!("{uptime}s")});
        page(code, JSON, body.to_string())
    }
}

// === impl Progress ===

impl Progress {
    fn new() -> Self {
        Self(Mutex::new((Stage::Starting, SystemTime::now())))
    }

    fn get(&self) -> (Stage, SystemTime) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, stage: Stage) {
        let mut progress = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // It is told again when the configuration changes.
        if progress.0 != stage {
            *progress = (stage, SystemTime::now());
        }
    }
}

// === impl HealthCheck ===

impl Extension for HealthCheck {
    fn address(&self) -> Option<SocketAddr> {
        self.server.address().tcp()
    }

    fn ready(&self) {
        self.progress.enter(Stage::Running);
    }

    fn stopping(&self) {
        self.progress.enter(Stage::Stopping);
    }

    fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(self.server.stop())
    }
}
