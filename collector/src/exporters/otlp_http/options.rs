//! The options of the `otlp_http` exporter.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue, Uri};
use serde::Deserialize;
use spanmesh_otlp::Signal;

use crate::config::Span;
use crate::pipeline::{DeliveryOptions, QueueOptions, RetryOptions};
use crate::transport::{ClientTlsOptions, Compression, Connector, Target};

/// The options as they are written.
#[derive(Debug, Deserialize)]
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
    tls: ClientTlsOptions,
    /// Headers that every request carries.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    compression: Compression,
    /// How long one attempt may take; 0 for no limit.
    #[serde(default = "default_timeout")]
    timeout: Span,
    #[serde(default)]
    sending_queue: QueueOptions,
    #[serde(default)]
    retry_on_failure: RetryOptions,
    /// Accepted for the sake of existing files; buffers are sized by what is sent.
    #[serde(default, rename = "read_buffer_size")]
    _read_buffer_size: usize,
    #[serde(default, rename = "write_buffer_size")]
    _write_buffer_size: usize,
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
#[derive(Debug)]
pub(super) struct Config {
    urls: Urls,
    pub(super) connector: Connector,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) encoding: Encoding,
    pub(super) compression: Compression,
    pub(super) delivery: DeliveryOptions,
}

/// What servers over HTTP take without complaint.
const MAX_BATCH_BYTES: usize = 16 << 20;

fn default_timeout() -> Span {
    Span::seconds(30)
}

// === impl Config ===

impl Config {
    /// Reads certificates and resolves everything but the hosts' addresses.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub(super) fn new(options: Options) -> Result<Self, String> {
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
        let uses_tls = targets().any(Target::is_tls);
        let tls = match uses_tls {
            true => {
                let config = options.tls.build(&["h2", "http/1.1"]);
                Some(config.map_err(|message| format!("tls: {message}"))?)
            }
            false => None,
        };
        let connector = Connector::new(tls, options.tls.server_name_override.as_deref())
            .map_err(|message| format!("tls::server_name_override: {message}"))?;
        Ok(Self {
            urls,
            connector,
            headers: headers(&options.headers)?,
            encoding: options.encoding,
            compression: options.compression,
            delivery: DeliveryOptions {
                queue: options.sending_queue,
                retry: options.retry_on_failure,
                timeout: options.timeout.non_zero(),
                max_batch_bytes: MAX_BATCH_BYTES,
            },
        })
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

fn headers(headers: &BTreeMap<String, String>) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let mut parsed = Vec::new();
    for (name, value) in headers {
        let key: HeaderName = name
            .parse()
            .map_err(|_| format!("headers: {name:?} is no name of a header"))?;
        // The value may be a secret and is not repeated.
        let mut value: HeaderValue = value
            .parse()
            .map_err(|_| format!("headers: the value of {name:?} is no value of a header"))?;
        value.set_sensitive(true);
        parsed.push((key, value));
    }
    Ok(parsed)
}
