//! One export call: how it is made, and what its answer says, over gRPC and over HTTP.
//!
//! Spec: OTLP 1.11. Left out: compression, which costs more than it saves (`docs/performance.md`).

use std::fmt;
use std::time::Duration;

use super::batch::SealedBatch;
use super::response::{self, Partial};
use super::retry::Failure;
use crate::config::{Cluster, Export, Protocol};
use crate::host::{Answer, CallToken, DispatchError, GrpcCall, Host, HttpCall};
use crate::pairs::Pairs;
use crate::record::text;

/// How the filter names itself to collectors.
const USER_AGENT: &str = concat!("spanmesh-filter/", env!("CARGO_PKG_VERSION"));

/// So much of what a collector says is logged, in bytes.
pub(super) const MAX_LOGGED: usize = 200;

/// gRPC's OK.
const OK: u32 = 0;

/// What a call came to.
#[derive(Debug)]
pub(super) enum Reply {
    /// The collector has the batch, but for what it rejected.
    Accepted(Partial),
    /// The batch has to be sent again, or given up.
    Failed(FailedCall),
}

/// A call that failed; it displays as the log says it.
#[derive(Debug)]
pub(super) struct FailedCall {
    pub(super) failure: Failure,
    /// How long the collector wants to be left alone; zero if it does not say.
    pub(super) hint: Duration,
    cause: Cause,
    /// What the collector says about it; empty if nothing.
    message: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    NotStarted,
    NoResponse,
    GrpcStatus(u32),
    HttpStatus(u16),
}

/// Starts the call that sends a batch.
pub(super) fn start(
    host: &impl Host,
    settings: &Export,
    cluster: &Cluster,
    batch: &SealedBatch,
) -> Result<CallToken, DispatchError> {
    let is_set = |name: &str| settings.headers.iter().any(|(found, _)| found == name);
    let mut headers = Vec::new();
    if settings.protocol == Protocol::Http {
        headers.extend([
            (":method", "POST"),
            (":path", batch.signal.http_path()),
            (":authority", cluster.authority()),
            ("content-type", "application/x-protobuf"),
        ]);
    }
    if !is_set("user-agent") {
        headers.push(("user-agent", USER_AGENT));
    }
    let configured = settings.headers.iter();
    headers.extend(configured.map(|(name, value)| (name.as_str(), value.as_str())));
    match settings.protocol {
        Protocol::Grpc => host.grpc_call(&GrpcCall {
            cluster,
            service: batch.signal.grpc_service(),
            method: "Export",
            metadata: &headers,
            message: batch.message(),
            timeout: settings.timeout,
        }),
        Protocol::Http => host.http_call(&HttpCall {
            cluster,
            headers: &headers,
            body: batch.message(),
            timeout: settings.timeout,
        }),
    }
}

impl Reply {
    /// Reads the answer that is being delivered.
    pub(super) fn read(host: &impl Host, answer: Answer) -> Self {
        match answer {
            Answer::GrpcMessage { size } => {
                Self::Accepted(response::partial_success(&host.grpc_message(size)))
            }
            Answer::GrpcStatus(OK) => Self::Accepted(Partial::default()),
            Answer::GrpcStatus(code) => {
                Self::failed(Failure::of_grpc(code), Cause::GrpcStatus(code))
            }
            Answer::HttpFailure => Self::failed(Failure::Unavailable, Cause::NoResponse),
            Answer::HttpResponse { body_size } => Self::read_http(host, body_size),
        }
    }

    /// What a call that could not be started comes to.
    pub(super) fn not_started() -> Self {
        Self::failed(Failure::Unavailable, Cause::NotStarted)
    }

    fn read_http(host: &impl Host, body_size: usize) -> Self {
        let headers = host.http_response_headers();
        let body = if body_size > 0 {
            host.http_response_body(body_size)
        } else {
            Vec::new()
        };
        match status(&headers) {
            None => Self::failed(Failure::Unavailable, Cause::NoResponse),
            Some(200..=299) => Self::Accepted(response::partial_success(&body)),
            Some(code) => Self::Failed(FailedCall {
                failure: Failure::of_http(code),
                cause: Cause::HttpStatus(code),
                hint: retry_after(&headers),
                message: response::status_message(&body),
            }),
        }
    }

    fn failed(failure: Failure, cause: Cause) -> Self {
        Self::Failed(FailedCall {
            failure,
            cause,
            hint: Duration::ZERO,
            message: Vec::new(),
        })
    }
}

impl fmt::Display for FailedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause {
            Cause::NotStarted => {
                f.write_str(
                    "a call that Envoy could not start: no such cluster, or no host in it",
                )?;
            }
            Cause::NoResponse => f.write_str("no response")?,
            Cause::GrpcStatus(code) => write!(f, "gRPC status {code}")?,
            Cause::HttpStatus(code) => write!(f, "HTTP status {code}")?,
        }
        if self.message.is_empty() {
            return Ok(());
        }
        write!(f, " (it says {:?})", text(&self.message, MAX_LOGGED))
    }
}

fn status(headers: &Pairs) -> Option<u16> {
    number(headers.get(b":status")?)?.try_into().ok()
}

/// In seconds only: a filter has no reason to read dates, and collectors give none.
fn retry_after(headers: &Pairs) -> Duration {
    let seconds = headers.get(b"retry-after").and_then(number);
    Duration::from_secs(seconds.unwrap_or(0))
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
