//! The options of the `otlp` receiver.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use spanmesh_otlp::Signal;

use super::cors::CorsOptions;
use crate::config::{ByteSize, Secret, Span, enabled};
use crate::pipeline::AuthOptions;
use crate::transport::{Encoding, Limits, ServerTlsOptions, Transport, listen_endpoint_or_path};

/// What OTLP 1.11 recommends as the limit of a request.
const DEFAULT_LIMIT: usize = 64 << 20;

/// The options.
#[derive(Debug, Deserialize)]
#[serde(try_from = "RawOptions")]
pub(super) struct Options {
    /// What is spoken: one of both at least.
    pub(super) protocols: Protocols,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawOptions {
    protocols: Option<Protocols>,
}

/// `protocols`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Protocols {
    /// OTLP/gRPC, if the key is there.
    #[serde(deserialize_with = "enabled")]
    pub(super) grpc: Option<GrpcOptions>,
    /// OTLP/HTTP, if the key is there.
    #[serde(deserialize_with = "enabled")]
    pub(super) http: Option<HttpOptions>,
}

/// `protocols.grpc`.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub(super) struct GrpcOptions {
    /// Where to listen.
    #[serde(deserialize_with = "listen_endpoint_or_path")]
    pub(super) endpoint: String,
    /// What the endpoint is.
    pub(super) transport: Transport,
    /// The largest message, on the wire and decompressed.
    max_recv_msg_size_mib: Option<usize>,
    /// Requests at the same time on one connection.
    max_concurrent_streams: Option<u32>,
    /// How long connections may live.
    keepalive: KeepAlive,
    /// Who may send.
    pub(super) auth: Option<AuthOptions>,
    /// Whether processors see the metadata of requests.
    pub(super) include_metadata: bool,
    /// Accepted for the sake of existing files: buffers are sized by what arrives.
    #[serde(rename = "read_buffer_size")]
    _read_buffer_size: usize,
    #[serde(rename = "write_buffer_size")]
    _write_buffer_size: usize,
    /// TLS, if the key is there.
    pub(super) tls: Option<ServerTlsOptions>,
}

/// `keepalive`, under the names of the Go library.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct KeepAlive {
    server_parameters: ServerParameters,
    #[serde(rename = "enforcement_policy")]
    _enforcement_policy: EnforcementPolicy,
}

/// 0 is the default everywhere.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ServerParameters {
    /// A connection without requests for so long is closed.
    max_connection_idle: Span,
    /// A connection that is so old takes no more requests.
    max_connection_age: Span,
    /// How long those that it has may go on.
    max_connection_age_grace: Span,
    /// How often a client is asked whether it is still there.
    time: Span,
    /// How long it may take to answer.
    timeout: Span,
}

/// Accepted for the sake of existing files: clients may ask as often as they like, since the HTTP/2
/// library answers with no more than it can send.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct EnforcementPolicy {
    #[serde(rename = "min_time")]
    _min_time: Span,
    #[serde(rename = "permit_without_stream")]
    _permit_without_stream: bool,
}

/// `protocols.http`.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub(super) struct HttpOptions {
    /// Where to listen.
    #[serde(deserialize_with = "listen_endpoint_or_path")]
    pub(super) endpoint: String,
    /// What the endpoint is.
    pub(super) transport: Transport,
    /// The largest body, on the wire and decompressed.
    pub(super) max_request_body_size: ByteSize,
    traces_url_path: String,
    logs_url_path: String,
    metrics_url_path: String,
    /// Whether processors see the headers of requests.
    pub(super) include_metadata: bool,
    /// Which encodings of bodies are taken.
    compression_algorithms: Vec<Encoding>,
    /// Which web pages may send.
    pub(super) cors: CorsOptions,
    /// Who may send.
    pub(super) auth: Option<AuthOptions>,
    /// Headers of every answer.
    response_headers: BTreeMap<String, Secret>,
    /// How long a body may take; 0 for no limit but the one on pauses.
    pub(super) read_timeout: Span,
    /// How long HTTP/1.1 headers may take, counted from the end of the last request; 0 for the default.
    read_header_timeout: Span,
    /// A connection without requests for so long is closed; 0 for no limit.
    idle_timeout: Span,
    /// Accepted for the sake of existing files: answers are small.
    #[serde(rename = "write_timeout")]
    _write_timeout: Span,
    /// Whether an HTTP/1.1 connection is kept for further requests.
    keep_alives_enabled: bool,
    /// TLS, if the key is there.
    pub(super) tls: Option<ServerTlsOptions>,
}

// === impl Options ===

impl TryFrom<RawOptions> for Options {
    type Error = String;

    fn try_from(raw: RawOptions) -> Result<Self, String> {
        match raw.protocols {
            // Nothing said is everything; the OpenTelemetry Collector would refuse it.
            None => Ok(Self {
                protocols: Protocols {
                    grpc: Some(GrpcOptions::default()),
                    http: Some(HttpOptions::default()),
                },
            }),
            Some(protocols) if protocols.grpc.is_none() && protocols.http.is_none() => {
                Err("expected \"grpc\" or \"http\" or both in \"protocols\"".to_owned())
            }
            Some(protocols) => Ok(Self { protocols }),
        }
    }
}

// === impl GrpcOptions ===

impl GrpcOptions {
    /// What clients may use up. 0 stands for the default, as in the OpenTelemetry Collector: with no
    /// request at all at the same time no client would ever be served.
    pub(super) fn limits(&self) -> Limits {
        let parameters = &self.keepalive.server_parameters;
        let defaults = Limits::default();
        let streams = self.max_concurrent_streams.filter(|streams| *streams > 0);
        Limits {
            max_concurrent_streams: streams.unwrap_or(defaults.max_concurrent_streams),
            idle_timeout: parameters.max_connection_idle.non_zero(),
            max_age: parameters.max_connection_age.non_zero(),
            max_age_grace: parameters.max_connection_age_grace.non_zero(),
            ping_interval: parameters.time.non_zero().unwrap_or(defaults.ping_interval),
            ping_timeout: parameters
                .timeout
                .non_zero()
                .unwrap_or(defaults.ping_timeout),
            ..defaults
        }
    }

    pub(super) fn max_message_bytes(&self) -> usize {
        match self.max_recv_msg_size_mib {
            None | Some(0) => DEFAULT_LIMIT,
            Some(mib) => mib.saturating_mul(1 << 20),
        }
    }
}

impl Default for GrpcOptions {
    fn default() -> Self {
        Self {
            endpoint: "localhost:4317".to_owned(),
            transport: Transport::Tcp,
            max_recv_msg_size_mib: None,
            max_concurrent_streams: None,
            keepalive: KeepAlive::default(),
            auth: None,
            include_metadata: false,
            _read_buffer_size: 0,
            _write_buffer_size: 0,
            tls: None,
        }
    }
}

// === impl HttpOptions ===

impl HttpOptions {
    /// What clients may use up.
    pub(super) fn limits(&self) -> Limits {
        let defaults = Limits::default();
        let header_timeout = self.read_header_timeout.non_zero();
        Limits {
            header_timeout: header_timeout.unwrap_or(defaults.header_timeout),
            idle_timeout: self.idle_timeout.non_zero(),
            keep_alive: self.keep_alives_enabled,
            ..defaults
        }
    }

    /// Which encodings of bodies are taken: those that are named, or all.
    pub(super) fn encodings(&self) -> Vec<Encoding> {
        if self.compression_algorithms.is_empty() {
            return Encoding::ALL.to_vec();
        }
        self.compression_algorithms.clone()
    }

    /// The headers of every answer.
    ///
    /// # Errors
    /// What is no header, as a sentence that does not repeat values.
    pub(super) fn response_headers(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.response_headers {
            let key: HeaderName = name
                .parse()
                .map_err(|_| format!("response_headers: {name:?} is no name of a header"))?;
            let value = HeaderValue::from_str(value.expose()).map_err(|_| {
                format!("response_headers: the value of {name:?} is no value of a header")
            })?;
            headers.insert(key, value);
        }
        Ok(headers)
    }

    /// The path of a signal.
    pub(super) fn path(&self, signal: Signal) -> String {
        let path = match signal {
            Signal::Traces => &self.traces_url_path,
            Signal::Logs => &self.logs_url_path,
            Signal::Metrics => &self.metrics_url_path,
        };
        if path.starts_with('/') {
            path.clone()
        } else {
            format!("/{path}")
        }
    }

    /// The largest body; 0 stands for the default, as in the OpenTelemetry Collector.
    pub(super) fn max_body_bytes(&self) -> usize {
        match self.max_request_body_size.0 {
            0 => DEFAULT_LIMIT,
            size => size,
        }
    }
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            endpoint: "localhost:4318".to_owned(),
            transport: Transport::Tcp,
            max_request_body_size: ByteSize(DEFAULT_LIMIT),
            traces_url_path: Signal::Traces.http_path().to_owned(),
            logs_url_path: Signal::Logs.http_path().to_owned(),
            metrics_url_path: Signal::Metrics.http_path().to_owned(),
            include_metadata: false,
            compression_algorithms: Vec::new(),
            cors: CorsOptions::default(),
            auth: None,
            response_headers: BTreeMap::new(),
            read_timeout: Span::default(),
            read_header_timeout: Span::default(),
            idle_timeout: Span::default(),
            _write_timeout: Span::default(),
            keep_alives_enabled: true,
            tls: None,
        }
    }
}
