//! What the filter needs of the proxy that runs it.
//!
//! `proxy` implements [`Host`] with Proxy-WASM ABI 0.2.1 host calls; the tests implement it with
//! a scripted proxy. Every call returns bytes, and none panics whatever status the proxy answers.

use std::time::Duration;

use crate::config::Cluster;
use crate::pairs::Pairs;

/// The host functions, each with the outcome that the filter can act on.
pub trait Host {
    /// Nanoseconds since the Unix epoch, for records; 0 if the proxy does not tell.
    fn wall_clock(&self) -> u64;

    /// Nanoseconds of a clock that never steps, for intervals; its start is not defined.
    fn monotonic_clock(&self) -> u64;

    /// The request headers; empty outside a stream.
    fn request_headers(&self) -> Pairs;

    /// The first value of a request header; `None` where there is none.
    fn request_header(&self, name: &str) -> Option<Vec<u8>>;

    /// Sets a request header in place of its first value, or adds it.
    fn set_request_header(&self, name: &str, value: &[u8]);

    /// Removes all values of a request header.
    fn remove_request_header(&self, name: &str);

    /// A property by its path; `None` where it is missing or has no serialised form.
    fn property(&self, path: &[&str]) -> Option<Vec<u8>>;

    /// Compiles a CEL expression.
    ///
    /// # Errors
    /// [`ExpressionError`] tells a host without CEL from a text that does not parse.
    fn create_expression(&self, text: &str) -> Result<Expression, ExpressionError>;

    /// Evaluates on the current stream; `None` if any part of it fails.
    fn evaluate(&self, expression: Expression) -> Option<Vec<u8>>;

    /// Starts a unary gRPC call from the root context; an [`Answer`] follows.
    ///
    /// # Errors
    /// [`DispatchError`]: the proxy has no such cluster, or the call failed at once. Neither is
    /// followed by an answer.
    fn grpc_call(&self, call: &GrpcCall<'_>) -> Result<CallToken, DispatchError>;

    /// Starts an HTTP call from the root context; an [`Answer`] follows.
    ///
    /// # Errors
    /// As [`Self::grpc_call`].
    fn http_call(&self, call: &HttpCall<'_>) -> Result<CallToken, DispatchError>;

    /// The message of the [`Answer`] that is being delivered.
    fn grpc_message(&self, size: usize) -> Vec<u8>;

    /// The headers of the [`Answer`] that is being delivered, `:status` among them.
    fn http_response_headers(&self) -> Pairs;

    /// The body of the [`Answer`] that is being delivered.
    fn http_response_body(&self, size: usize) -> Vec<u8>;

    /// Asks for a tick of this root context every `period`.
    fn set_tick_period(&self, period: Duration);

    /// Tells the proxy that a root context whose `on_done` said "wait" is now done.
    fn done(&self);

    /// Defines a metric, or finds it by its name; `None` if the proxy refuses.
    fn define_metric(&self, kind: MetricKind, name: &str) -> Option<Metric>;

    /// Adds to a counter (`delta` > 0) or a gauge.
    fn add_to_metric(&self, metric: Metric, delta: i64);

    /// Adds a value to a histogram.
    fn record_metric(&self, metric: Metric, value: u64);

    /// What the whole process shares under `key`, and its version.
    fn shared_data(&self, key: &str) -> Option<(Vec<u8>, u32)>;

    /// Sets what the process shares under `key`, if its version is still this one; 0 stands for any.
    ///
    /// # Errors
    /// [`SharedDataError`] tells a lost race from a proxy that cannot.
    fn set_shared_data(&self, key: &str, value: &[u8], version: u32)
    -> Result<(), SharedDataError>;
}

/// A compiled CEL expression of this root context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expression(pub u32);

/// Why an expression cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpressionError {
    /// The proxy was built without CEL for Wasm.
    Unsupported,
    /// The text is not CEL.
    Invalid,
}

/// A unary gRPC call.
#[derive(Clone, Copy, Debug)]
pub struct GrpcCall<'a> {
    /// Where to.
    pub cluster: &'a Cluster,
    /// The full service name, without slashes.
    pub service: &'a str,
    /// The method name.
    pub method: &'a str,
    /// The initial metadata beyond gRPC's own.
    pub metadata: &'a [(&'a str, &'a str)],
    /// The encoded request message.
    pub message: &'a [u8],
    /// After this the proxy gives up with DEADLINE_EXCEEDED.
    pub timeout: Duration,
}

/// An HTTP call by POST.
#[derive(Clone, Copy, Debug)]
pub struct HttpCall<'a> {
    /// Where to.
    pub cluster: &'a Cluster,
    /// All headers, the pseudo-headers among them.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
    /// After this the proxy gives up.
    pub timeout: Duration,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A gRPC message, [`Host::grpc_message`], of so many bytes; the status is OK.
    GrpcMessage {
        /// Of the encoded message.
        size: usize,
    },
    /// A gRPC status code, as on the wire, without a message.
    GrpcStatus(u32),
    /// An HTTP response: [`Host::http_response_headers`] and [`Host::http_response_body`].
    HttpResponse {
        /// Of the body.
        body_size: usize,
    },
    /// No HTTP response: it timed out, or the proxy had to give up.
    HttpFailure,
}

/// Names a call that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallToken(pub u32);

/// Why a call could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DispatchError {
    /// The proxy does not know the cluster.
    UnknownCluster,
    /// The cluster has no host that answers, or the proxy failed in another way.
    Failed,
}

/// Why shared data was not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedDataError {
    /// Somebody else set it in between.
    Changed,
    /// The proxy failed.
    Failed,
}

/// The kinds of Envoy stats that the filter uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down, by deltas: an absolute value of one worker would overwrite the others'.
    Gauge,
    /// Many values.
    Histogram,
}

/// A defined metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric(pub u32);
