//! `otlp`: receives OTLP over gRPC and over HTTP, as OTLP 1.11 has it.
//!
//! Where the OpenTelemetry Collector deviates from OTLP, this receiver does not: it takes 64 MiB,
//! on the wire and decompressed; what is larger gets RESOURCE_EXHAUSTED or 413; every HTTP error
//! has a `Status` as its body, in the encoding of the request; and whoever is refused for load
//! learns when to try again.
//!
//! Left out: profiles, unix sockets, authentication, CORS.

mod client;
mod grpc;
mod http;
mod options;

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;
use tracing::info;

use self::grpc::GrpcService;
use self::http::HttpService;
use self::options::{GrpcOptions, HttpOptions, Options};
use crate::config::{Former, Problems, Section};
use crate::pipeline::{
    BoundReceiver, BoxFuture, Receiver, ReceiverConfig, ReceiverContext, ReceiverFactory,
    StartError,
};
use crate::transport::{Limits, Listener, Server};

/// Makes `otlp` receivers.
#[derive(Debug)]
pub struct Factory;

struct Config {
    grpc: Option<(GrpcOptions, Option<Arc<ServerConfig>>)>,
    http: Option<(HttpOptions, Option<Arc<ServerConfig>>)>,
}

/// The receiver with its ports open.
struct Bound {
    context: ReceiverContext,
    grpc: Option<(GrpcOptions, Option<Arc<ServerConfig>>, Listener)>,
    http: Option<(HttpOptions, Option<Arc<ServerConfig>>, Listener)>,
}

struct OtlpReceiver {
    servers: Vec<(&'static str, Server)>,
}

const FORMER_OPTIONS: &[Former] = &[
    Former::renamed("protocols::grpc::tls_settings", "protocols::grpc::tls"),
    Former::renamed("protocols::http::tls_settings", "protocols::http::tls"),
    Former::renamed(
        "protocols::http::cors_allowed_origins",
        "protocols::http::cors::allowed_origins",
    ),
    Former::renamed(
        "protocols::http::cors_allowed_headers",
        "protocols::http::cors::allowed_headers",
    ),
];

// === impl Factory ===

impl ReceiverFactory for Factory {
    fn kind(&self) -> &'static str {
        "otlp"
    }

    fn former_options(&self) -> &'static [Former] {
        FORMER_OPTIONS
    }

    fn configure(&self, section: &Section<'_>) -> Result<Box<dyn ReceiverConfig>, Problems> {
        let Options { protocols } = section.read()?;
        let mut problems = Problems::default();
        let grpc = protocols.grpc.map(|grpc| {
            let tls = grpc.tls.as_ref().map(|tls| tls.build(&["h2"])).transpose();
            let tls =
                tls.map_err(|error| section.problem(format!("protocols::grpc::tls: {error}")));
            (grpc, problems.note(tls).flatten())
        });
        let http = protocols.http.map(|http| {
            let tls = http.tls.as_ref();
            let tls = tls.map(|tls| tls.build(&["h2", "http/1.1"])).transpose();
            let tls =
                tls.map_err(|error| section.problem(format!("protocols::http::tls: {error}")));
            (http, problems.note(tls).flatten())
        });
        problems.or(())?;
        Ok(Box::new(Config { grpc, http }))
    }
}

// === impl Config ===

impl ReceiverConfig for Config {
    fn bind(
        self: Box<Self>,
        context: ReceiverContext,
    ) -> BoxFuture<'static, Result<Box<dyn BoundReceiver>, StartError>> {
        Box::pin(async move {
            let id = context.id.as_str();
            let grpc = match self.grpc {
                Some((options, tls)) => {
                    let name = format!("receiver \"{id}\" (grpc)");
                    let listener = Listener::bind(&name, &options.endpoint, &context.ports).await?;
                    Some((options, tls, listener))
                }
                None => None,
            };
            let http = match self.http {
                Some((options, tls)) => {
                    let name = format!("receiver \"{id}\" (http)");
                    let listener = Listener::bind(&name, &options.endpoint, &context.ports).await?;
                    Some((options, tls, listener))
                }
                None => None,
            };
            let bound: Box<dyn BoundReceiver> = Box::new(Bound {
                context,
                grpc,
                http,
            });
            Ok(bound)
        })
    }
}

// === impl Bound ===

impl BoundReceiver for Bound {
    fn start(self: Box<Self>) -> Box<dyn Receiver> {
        let context = self.context;
        let id = context.id.as_str();
        let intakes = |transport| context.intakes.over(id, transport, &context.registry);
        let mut servers = Vec::new();
        if let Some((options, tls, listener)) = self.grpc {
            let mut limits = Limits::default();
            if let Some(streams) = options.max_concurrent_streams() {
                limits.max_concurrent_streams = streams;
            }
            let service = GrpcService::new(intakes("grpc"), &options);
            let tls = tls.map(TlsAcceptor::from);
            servers.push(("grpc", Server::start(listener, tls, limits, service)));
        }
        if let Some((options, tls, listener)) = self.http {
            let service = HttpService::new(intakes("http"), &options);
            let tls = tls.map(TlsAcceptor::from);
            let server = Server::start(listener, tls, Limits::default(), service);
            servers.push(("http", server));
        }
        for (transport, server) in &servers {
            let address = server.address();
            info!(receiver = id, transport, %address, "listening");
        }
        Box::new(OtlpReceiver { servers })
    }
}

// === impl OtlpReceiver ===

impl Receiver for OtlpReceiver {
    fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        self.servers
            .iter()
            .map(|(transport, server)| (*transport, server.address()))
            .collect()
    }

    fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
        let servers = self.servers.into_iter();
        Box::pin(all(servers.map(|(_, server)| server.stop()).collect()))
    }

    fn leave(self: Box<Self>) -> BoxFuture<'static, ()> {
        let servers = self.servers.into_iter();
        Box::pin(all(servers.map(|(_, server)| server.leave()).collect()))
    }
}

/// Waits for all of them at once.
async fn all<F: Future<Output = ()> + Send + 'static>(futures: Vec<F>) {
    let tasks: Vec<_> = futures.into_iter().map(tokio::spawn).collect();
    for task in tasks {
        // A panic in a server must not keep the others from stopping.
        let _ = task.await;
    }
}

#[cfg(test)]
mod tests;
