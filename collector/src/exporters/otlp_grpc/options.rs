//! The options of the `otlp_grpc` exporter.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use serde::Deserialize;
use tonic::metadata::MetadataMap;
use tonic::transport::Endpoint;

use crate::config::Span;
use crate::pipeline::{AuthOptions, ClientAuthenticator, DeliveryOptions};
use crate::transport::{self, Connector, Target, sending_options};

sending_options! {
    /// The options as they are written.
    pub(super) struct Options {
        /// `host:port`, a URL whose scheme decides about TLS, or `unix:///path`.
        endpoint: String,
        /// The name of the server in every call, instead of the endpoint's.
        authority: Option<String>,
        #[serde(default)]
        compression: Compression,
        #[serde(default)]
        balancer_name: Balancer,
        #[serde(default)]
        keepalive: Option<KeepAlive>,
        /// Accepted for the sake of existing files: a call that finds no connection is tried again.
        #[serde(default, rename = "wait_for_ready")]
        _wait_for_ready: bool,
    }
}

/// Those of the gRPC library.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Compression {
    #[default]
    Gzip,
    Zstd,
    #[serde(alias = "")]
    None,
}

/// Which of the addresses behind a name are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Balancer {
    /// All, one call each in turn.
    #[default]
    RoundRobin,
    /// The first that answers.
    PickFirst,
}

/// `keepalive`.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct KeepAlive {
    /// How often the server is asked whether it is there.
    time: Span,
    /// How long it may take to answer.
    timeout: Span,
    /// Whether it is asked while nothing is being sent.
    permit_without_stream: bool,
}

/// The options once they are known to be right.
pub(super) struct Config {
    pub(super) target: Target,
    pub(super) endpoint: Endpoint,
    pub(super) connector: Connector,
    pub(super) balancer: Balancer,
    pub(super) headers: MetadataMap,
    pub(super) auth: Option<AuthOptions>,
    pub(super) authenticator: Option<Arc<dyn ClientAuthenticator>>,
    pub(super) compression: transport::Compression,
    pub(super) delivery: DeliveryOptions,
}

/// A little less than the limit of 4 MiB that most gRPC servers have, so that full batches fit.
const MAX_BATCH_BYTES: usize = 4_000_000;

/// Flow-control windows for answers. Answers are small.
const WINDOW: u32 = 1 << 20;

fn default_timeout() -> Span {
    Span::seconds(5)
}

// === impl Config ===

impl Config {
    /// Reads certificates and resolves everything but the host's address.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub(super) fn new(options: Options) -> Result<Self, String> {
        let shared = options.shared();
        let target = Target::parse_grpc(&options.endpoint, !shared.tls.insecure)
            .map_err(|message| format!("endpoint: {message}"))?;
        let connector = shared.connector(target.is_tls(), &["h2"])?;
        let version = env!("CARGO_PKG_VERSION");
        let mut endpoint = Endpoint::from(target.uri().clone())
            .user_agent(format!("spanmesh-collector/{version}"))
            .map_err(|error| error.to_string())?
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW);
        if let Some(authority) = &options.authority {
            let scheme = if target.is_tls() { "https" } else { "http" };
            let origin = Uri::builder().scheme(scheme).authority(authority.as_str());
            let origin = origin.path_and_query("/").build();
            endpoint = endpoint.origin(origin.map_err(|_| {
                format!(
                    "authority: expected a host, with a port if need be, but found {authority:?}"
                )
            })?);
        }
        if let Some(keepalive) = options.keepalive {
            endpoint = endpoint
                .http2_keep_alive_interval(keepalive.time.0.max(Duration::from_secs(1)))
                .keep_alive_timeout(keepalive.timeout.0)
                .keep_alive_while_idle(keepalive.permit_without_stream);
        }
        Ok(Self {
            endpoint,
            connector: connector.for_target(&target),
            target,
            balancer: options.balancer_name,
            headers: MetadataMap::from_headers(shared.header_map()?),
            compression: options.compression.into(),
            delivery: shared.delivery(MAX_BATCH_BYTES),
            auth: shared.auth,
            authenticator: None,
        })
    }
}

// === impl Compression ===

impl From<Compression> for transport::Compression {
    fn from(compression: Compression) -> Self {
        match compression {
            Compression::None => Self::None,
            Compression::Gzip => Self::Gzip,
            Compression::Zstd => Self::Zstd,
        }
    }
}

// === impl KeepAlive ===

impl Default for KeepAlive {
    fn default() -> Self {
        Self {
            time: Span::seconds(30),
            timeout: Span::seconds(20),
            permit_without_stream: false,
        }
    }
}
