//! The options of the `otlp_grpc` exporter.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap};
use tonic::transport::Endpoint;

use crate::config::Span;
use crate::pipeline::{DeliveryOptions, QueueOptions, RetryOptions};
use crate::transport::{ClientTlsOptions, Compression, Connector, Target};

/// The options as they are written.
#[derive(Debug, Deserialize)]
pub(super) struct Options {
    /// `host:port`, or a URL whose scheme decides about TLS.
    endpoint: String,
    /// TLS; on unless `insecure` is set or the scheme is `http`.
    #[serde(default)]
    tls: ClientTlsOptions,
    /// Metadata that every call carries.
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
    #[serde(default)]
    keepalive: Option<KeepAlive>,
    /// Accepted for the sake of existing files; buffers are sized by what is sent.
    #[serde(default, rename = "read_buffer_size")]
    _read_buffer_size: usize,
    #[serde(default, rename = "write_buffer_size")]
    _write_buffer_size: usize,
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
#[derive(Debug)]
pub(super) struct Config {
    pub(super) endpoint: Endpoint,
    pub(super) connector: Connector,
    pub(super) headers: MetadataMap,
    pub(super) compression: Compression,
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
        let target = Target::parse(&options.endpoint, !options.tls.insecure)
            .map_err(|message| format!("endpoint: {message}"))?;
        let tls = match target.is_tls() {
            true => Some(
                options
                    .tls
                    .build(&["h2"])
                    .map_err(|message| format!("tls: {message}"))?,
            ),
            false => None,
        };
        let connector = Connector::new(tls, options.tls.server_name_override.as_deref())
            .map_err(|message| format!("tls::server_name_override: {message}"))?;
        let version = env!("CARGO_PKG_VERSION");
        let mut endpoint = Endpoint::from(target.uri().clone())
            .user_agent(format!("spanmesh-collector/{version}"))
            .map_err(|error| error.to_string())?
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW);
        if let Some(keepalive) = options.keepalive {
            endpoint = endpoint
                .http2_keep_alive_interval(keepalive.time.0.max(Duration::from_secs(1)))
                .keep_alive_timeout(keepalive.timeout.0)
                .keep_alive_while_idle(keepalive.permit_without_stream);
        }
        Ok(Self {
            endpoint,
            connector,
            headers: metadata(&options.headers)?,
            compression: options.compression,
            delivery: DeliveryOptions {
                queue: options.sending_queue,
                retry: options.retry_on_failure,
                timeout: options.timeout.non_zero(),
                max_batch_bytes: MAX_BATCH_BYTES,
            },
        })
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

fn metadata(headers: &BTreeMap<String, String>) -> Result<MetadataMap, String> {
    let mut metadata = MetadataMap::new();
    for (name, value) in headers {
        let key: AsciiMetadataKey = name
            .to_ascii_lowercase()
            .parse()
            .map_err(|_| format!("headers: {name:?} is no name of a header"))?;
        // The value may be a secret and is not repeated.
        let value: AsciiMetadataValue = value
            .parse()
            .map_err(|_| format!("headers: the value of {name:?} is no value of a header"))?;
        metadata.insert(key, value);
    }
    Ok(metadata)
}
