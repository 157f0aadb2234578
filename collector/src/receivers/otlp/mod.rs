//! `otlp`: receives OTLP over gRPC and over HTTP, as OTLP 1.11 has it.
//!
//! Where the OpenTelemetry Collector deviates from OTLP, this receiver does not: it takes 64 MiB,
//! on the wire and decompressed; what is larger gets RESOURCE_EXHAUSTED or 413; every HTTP error
//! has a `Status` as its body, in the encoding of the request; and whoever is refused for load
//! learns when to try again.
//!
//! Left out: profiles, and Snappy over gRPC, which the gRPC library does not have.

mod answers;
mod body;
mod client;
mod cors;
mod failure;
mod grpc;
mod held_body;
mod http;
mod options;
mod plain;

use std::net::SocketAddr;
use std::sync::Arc;

use tracing::info;

use self::answers::Answers;
use self::grpc::GrpcService;
use self::http::HttpService;
use self::options::{GrpcOptions, HttpOptions, Options};
use crate::config::{Former, Problems, Section};
use crate::pipeline::{
    Authenticators, BoundReceiver, BoxFuture, Ports, Receiver, ReceiverConfig, ReceiverContext,
    ReceiverFactory, ServerAuthenticator, StartError,
};
use crate::transport::{Address, Listener, Server, ServerTls, TlsUser};

/// Makes `otlp` receivers.
#[derive(Debug)]
pub struct Factory;

struct Config {
    grpc: Option<Port<GrpcOptions>>,
    http: Option<(Port<HttpOptions>, Answers)>,
}

/// What one port is made of.
struct Port<O> {
    options: O,
    tls: Option<ServerTls>,
    authenticator: Option<Arc<dyn ServerAuthenticator>>,
}

/// The receiver with its ports open.
struct Bound {
    context: ReceiverContext,
    grpc: Option<(Port<GrpcOptions>, Listener)>,
    http: Option<(Port<HttpOptions>, Answers, Listener)>,
}

struct OtlpReceiver {
    servers: Vec<(&'static str, Server)>,
    tls: Vec<ServerTls>,
}

const FORMER_OPTIONS: &[Former] = &[
    Former::without_effect(
        "protocols::grpc::keepalive::enforcement_policy",
        "clients may ask whether the server is there as often as they like",
    ),
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
        let grpc = protocols.grpc.map(|options| {
            let at = "protocols::grpc";
            let fits = options.transport.check(&options.endpoint);
            problems.note(fits.map_err(|error| section.problem(format!("{at}: {error}"))));
            let tls = options
                .tls
                .as_ref()
                .map(|tls| tls.build(&["h2"]))
                .transpose();
            let tls = tls.map_err(|error| section.problem(format!("{at}::tls: {error}")));
            Port {
                tls: problems.note(tls).flatten(),
                options,
                authenticator: None,
            }
        });
        let http = protocols.http.map(|options| {
            let at = "protocols::http";
            let fits = options.transport.check(&options.endpoint);
            problems.note(fits.map_err(|error| section.problem(format!("{at}: {error}"))));
            let tls = options.tls.as_ref();
            let tls = tls.map(|tls| tls.build(&["h2", "http/1.1"])).transpose();
            let tls = tls.map_err(|error| section.problem(format!("{at}::tls: {error}")));
            let answers = Answers::new(&options);
            let answers = answers.map_err(|error| section.problem(format!("{at}::{error}")));
            let port = Port {
                tls: problems.note(tls).flatten(),
                options,
                authenticator: None,
            };
            (port, problems.note(answers).unwrap_or_default())
        });
        problems.or(())?;
        Ok(Box::new(Config { grpc, http }))
    }
}

// === impl Config ===

impl ReceiverConfig for Config {
    fn authenticate(&mut self, all: &Authenticators) -> Result<(), String> {
        if let Some(Port {
            options: GrpcOptions {
                auth: Some(auth), ..
            },
            authenticator,
            ..
        }) = &mut self.grpc
        {
            *authenticator = Some(auth.server(all)?);
        }
        if let Some((
            Port {
                options: HttpOptions {
                    auth: Some(auth), ..
                },
                authenticator,
                ..
            },
            _,
        )) = &mut self.http
        {
            *authenticator = Some(auth.server(all)?);
        }
        Ok(())
    }

    fn bind(
        self: Box<Self>,
        context: ReceiverContext,
    ) -> BoxFuture<'static, Result<Box<dyn BoundReceiver>, StartError>> {
        Box::pin(async move {
            let id = context.id.as_str();
            let grpc = match self.grpc {
                Some(port) => {
                    let name = format!("receiver \"{id}\" (grpc)");
                    let (transport, endpoint) = (port.options.transport, &port.options.endpoint);
                    let listener =
                        Listener::bind_over(transport, &name, endpoint, &context.ports).await?;
                    Some((port, listener))
                }
                None => None,
            };
            let http = match self.http {
                Some((port, answers)) => {
                    let name = format!("receiver \"{id}\" (http)");
                    let (transport, endpoint) = (port.options.transport, &port.options.endpoint);
                    let listener =
                        Listener::bind_over(transport, &name, endpoint, &context.ports).await?;
                    Some((port, answers, listener))
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
        let component = format!("receiver:{id}");
        let show_expiry = |tls: &Option<ServerTls>, transport| {
            if let Some(tls) = tls {
                let component = component.as_str();
                let user = TlsUser {
                    component,
                    transport,
                };
                tls.show_expiry(user, &context.registry);
            }
        };
        let mut servers = Vec::new();
        let mut tls = Vec::new();
        if let Some((port, listener)) = self.grpc {
            show_expiry(&port.tls, "grpc");
            let options = &port.options;
            let service = GrpcService::new(intakes("grpc"), options, port.authenticator);
            tls.extend(port.tls.clone());
            let server = Server::start(listener, port.tls, options.limits(), service);
            servers.push(("grpc", server));
        }
        if let Some((port, answers, listener)) = self.http {
            show_expiry(&port.tls, "http");
            let options = &port.options;
            let service = HttpService::new(intakes("http"), options, answers, port.authenticator);
            tls.extend(port.tls.clone());
            let server = Server::start(listener, port.tls, options.limits(), service);
            servers.push(("http", server));
        }
        for (transport, server) in &servers {
            info!(receiver = id, transport, address = %server.address(), "listening");
        }
        Box::new(OtlpReceiver { servers, tls })
    }
}

// === impl OtlpReceiver ===

impl Receiver for OtlpReceiver {
    fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        self.servers
            .iter()
            .filter_map(|(transport, server)| Some((*transport, server.address().tcp()?)))
            .collect()
    }

    fn keep(&self, ports: &Ports) {
        for (_, server) in &self.servers {
            match server.address() {
                Address::Tcp(address) => ports.keep(*address),
                Address::Unix(path) => ports.keep_socket(path),
            }
        }
    }

    fn reread(&self) {
        self.tls.iter().for_each(ServerTls::reread);
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
