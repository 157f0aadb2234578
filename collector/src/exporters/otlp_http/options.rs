//! The options of the `otlp_http` exporter.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Uri};
use serde::Deserialize;
use spanmesh_otlp::Signal;

use crate::config::Span;
use crate::pipeline::{AuthOptions, ClientAuthenticator, DeliveryOptions};
use crate::transport::{Compression, Connector, Target, sending_options};

sending_options! {
    /// The options as they are written.
    pub(super) struct Options {
        /// A URL, to which the path of each signal is added.
        endpoint: Option<String>,
        /// The whole URL for one signal.
        traces_endpoint: Option<String>,
        logs_endpoint: Option<String>,
        metrics_endpoint: Option<String>,
        #[serde(default)]
        encoding: Encoding,
        #[serde(default)]
        compression: Compression,
        #[serde(default)]
        compression_params: CompressionParameters,
        /// How long a connection is kept without requests; 0 for ever.
        #[serde(default = "default_idle_timeout")]
        idle_conn_timeout: Span,
        /// How many connections without requests are kept; 0 for no limit.
        #[serde(default)]
        max_idle_conns_per_host: usize,
        /// Every request has a connection of its own.
        #[serde(default)]
        disable_keep_alives: bool,
        /// How often a server over HTTP/2 is asked whether it is still there; 0 for never.
        #[serde(default)]
        http2_read_idle_timeout: Span,
        /// How long it may take to answer; 0 for the default.
        #[serde(default)]
        http2_ping_timeout: Span,
        /// Accepted for the sake of existing files: there is one host, and the TLS handshake finds out
        /// about HTTP/2.
        #[serde(default, rename = "max_idle_conns")]
        _max_idle_conns: usize,
        #[serde(default, rename = "force_attempt_http2")]
        _force_attempt_http2: bool,
    }
}

/// `compression_params`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CompressionParameters {
    /// How hard the encoder tries; 0 and absent are the default.
    level: u32,
}

/// How requests are encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Encoding {
    #[default]
    Proto,
    Json,
}

/// Where requests go; a signal without a URL cannot be sent.
#[derive(Debug)]
struct Urls {
    traces: Option<Target>,
    logs: Option<Target>,
    metrics: Option<Target>,
}

/// The options once they are known to be right.
pub(super) struct Config {
    urls: Urls,
    pub(super) connector: Connector,
    pub(super) connections: Connections,
    pub(super) headers: HeaderMap,
    pub(super) auth: Option<AuthOptions>,
    pub(super) authenticator: Option<Arc<dyn ClientAuthenticator>>,
    pub(super) encoding: Encoding,
    pub(super) compression: Compression,
    pub(super) compression_level: Option<u32>,
    pub(super) delivery: DeliveryOptions,
}

/// How connections are kept.
#[derive(Debug)]
pub(super) struct Connections {
    pub(super) idle_timeout: Option<Duration>,
    pub(super) max_idle: usize,
    pub(super) ping_interval: Option<Duration>,
    pub(super) ping_timeout: Duration,
}

/// What servers over HTTP take without complaint.
const MAX_BATCH_BYTES: usize = 16 << 20;

/// How long a server may take to answer a ping, unless it is said.
const PING_TIMEOUT: Duration = Duration::from_secs(15);

fn default_timeout() -> Span {
    Span::seconds(30)
}

fn default_idle_timeout() -> Span {
    Span::seconds(90)
}

// === impl Config ===

impl Config {
    /// Reads certificates and resolves everything but the hosts' addresses.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub(super) fn new(options: &Options) -> Result<Self, String> {
        let urls = Urls {
            traces: options.url(Signal::Traces)?,
            logs: options.url(Signal::Logs)?,
            metrics: options.url(Signal::Metrics)?,
        };
        let targets = || {
            [&urls.traces, &urls.logs, &urls.metrics]
                .into_iter()
                .flatten()
        };
        if targets().next().is_none() {
            return Err("the key \"endpoint\" is missing".to_owned());
        }
        let shared = options.shared();
        let uses_tls = targets().any(Target::is_tls);
        let connector = shared.connector(uses_tls, &["h2", "http/1.1"])?;
        let level = options.compression_params.level;
        if level > 0 {
            let checked = options.compression.check_level(level);
            checked.map_err(|message| format!("compression_params: {message}"))?;
        }
        let max_idle = match (options.disable_keep_alives, options.max_idle_conns_per_host) {
            (true, _) => 0,
            (false, 0) => usize::MAX,
            (false, max) => max,
        };
        let ping_timeout = options.http2_ping_timeout.non_zero();
        Ok(Self {
            urls,
            connector: connector.in_turn(),
            connections: Connections {
                idle_timeout: options.idle_conn_timeout.non_zero(),
                max_idle,
                ping_interval: options.http2_read_idle_timeout.non_zero(),
                ping_timeout: ping_timeout.unwrap_or(PING_TIMEOUT),
            },
            headers: shared.header_map()?,
            encoding: options.encoding,
            compression: options.compression,
            compression_level: (level > 0).then_some(level),
            delivery: shared.delivery(MAX_BATCH_BYTES),
            auth: shared.auth,
            authenticator: None,
        })
    }

    /// Whether all requests are encrypted.
    pub(super) fn is_tls(&self) -> bool {
        let urls = [&self.urls.traces, &self.urls.logs, &self.urls.metrics];
        urls.into_iter().flatten().all(Target::is_tls)
    }

    /// Where requests of a signal go, if anywhere.
    pub(super) fn url(&self, signal: Signal) -> Option<&Uri> {
        let target = match signal {
            Signal::Traces => &self.urls.traces,
            Signal::Logs => &self.urls.logs,
            Signal::Metrics => &self.urls.metrics,
        };
        target.as_ref().map(Target::uri)
    }
}

// === impl Options ===

impl Options {
    /// Where requests of a signal go; `None` if nothing is said of it.
    fn url(&self, signal: Signal) -> Result<Option<Target>, String> {
        let (key, own) = match signal {
            Signal::Traces => ("traces_endpoint", &self.traces_endpoint),
            Signal::Logs => ("logs_endpoint", &self.logs_endpoint),
            Signal::Metrics => ("metrics_endpoint", &self.metrics_endpoint),
        };
        let (key, url) = match (own, &self.endpoint) {
            (Some(url), _) => (key, url.clone()),
            (None, Some(base)) => {
                let base = base.trim_end_matches('/');
                ("endpoint", format!("{base}{}", signal.http_path()))
            }
            (None, None) => return Ok(None),
        };
        let target = Target::parse(&url, true).map_err(|message| format!("{key}: {message}"))?;
        if !url.contains("://") {
            return Err(format!(
                "{key}: expected a URL as in \"https://host:4318\", but found {url:?}"
            ));
        }
        Ok(Some(target))
    }
}

// === impl Encoding ===

impl Encoding {
    /// The value of `Content-Type`.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Proto => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}
