//! The options of the `otlp` receiver.

use serde::Deserialize;
use spanmesh_otlp::Signal;

use crate::config::{ByteSize, enabled};
use crate::transport::{ServerTlsOptions, listen_endpoint};

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
    #[serde(deserialize_with = "listen_endpoint")]
    pub(super) endpoint: String,
    /// The largest message, on the wire and decompressed.
    max_recv_msg_size_mib: Option<usize>,
    /// Requests at the same time on one connection.
    max_concurrent_streams: Option<u32>,
    #[serde(rename = "transport")]
    _transport: Transport,
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

/// What carries gRPC.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Transport {
    #[default]
    Tcp,
}

/// `protocols.http`.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub(super) struct HttpOptions {
    /// Where to listen.
    #[serde(deserialize_with = "listen_endpoint")]
    pub(super) endpoint: String,
    /// The largest body, on the wire and decompressed.
    pub(super) max_request_body_size: ByteSize,
    traces_url_path: String,
    logs_url_path: String,
    metrics_url_path: String,
    /// Whether processors see the headers of requests.
    pub(super) include_metadata: bool,
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
    /// Requests at the same time on one connection; `None`, or 0 as in the OpenTelemetry Collector,
    /// stands for the default. With none at all no client would ever be served.
    pub(super) fn max_concurrent_streams(&self) -> Option<u32> {
        self.max_concurrent_streams.filter(|streams| *streams > 0)
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
            max_recv_msg_size_mib: None,
            max_concurrent_streams: None,
            _transport: Transport::Tcp,
            include_metadata: false,
            _read_buffer_size: 0,
            _write_buffer_size: 0,
            tls: None,
        }
    }
}

// === impl HttpOptions ===

impl HttpOptions {
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
            max_request_body_size: ByteSize(DEFAULT_LIMIT),
            traces_url_path: Signal::Traces.http_path().to_owned(),
            logs_url_path: Signal::Logs.http_path().to_owned(),
            metrics_url_path: Signal::Metrics.http_path().to_owned(),
            include_metadata: false,
            tls: None,
        }
    }
}
