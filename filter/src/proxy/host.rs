//! The host functions of the proxy as the filter's [`Host`].

use std::time::Duration;

use super::abi::{self, buffer, foreign_function, header_map, returned, status};
use crate::host::{
    CallToken, DispatchError, Expression, ExpressionError, GrpcCall, Host, HttpCall, Metric,
    MetricKind, SharedDataError,
};
use crate::pairs::{self, Pairs};

/// `HttpRequestHeaders` of the ABI's map types.
const REQUEST_HEADERS: u32 = 0;
/// `HttpCallResponseHeaders` of the ABI's map types.
const CALL_RESPONSE_HEADERS: u32 = 6;
/// `HttpCallResponseBody` of the ABI's buffer types.
const CALL_RESPONSE_BODY: u32 = 4;
/// `GrpcReceiveBuffer` of the ABI's buffer types.
const GRPC_RECEIVE_BUFFER: u32 = 5;
/// WASI's `CLOCK_MONOTONIC`.
const CLOCK_MONOTONIC: u32 = 1;

/// The proxy, by its host functions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proxy;

impl Host for Proxy {
    fn wall_clock(&self) -> u64 {
        let mut time = 0;
        // SAFETY: the host writes one u64.
        unsafe { abi::proxy_get_current_time_nanoseconds(&raw mut time) };
        time
    }

    fn monotonic_clock(&self) -> u64 {
        let mut time = 0;
        // SAFETY: the host writes one u64.
        let errno = unsafe { abi::clock_time_get(CLOCK_MONOTONIC, 1, &raw mut time) };
        if errno == 0 { time } else { self.wall_clock() }
    }

    fn request_headers(&self) -> Pairs {
        header_map(REQUEST_HEADERS)
    }

    fn request_header(&self, name: &str) -> Option<Vec<u8>> {
        // SAFETY: the host reads a slice that lives through the call, and writes where `returned`
        // says.
        let value = returned(|data, size| unsafe {
            abi::proxy_get_header_map_value(REQUEST_HEADERS, name.as_ptr(), name.len(), data, size)
        });
        // Not every proxy answers NotFound where there is no such header: some give nothing.
        value.ok().filter(|value| !value.is_empty())
    }

    fn set_request_header(&self, name: &str, value: &[u8]) {
        // SAFETY: the host reads two slices that live through the call.
        let status = unsafe {
            abi::proxy_replace_header_map_value(
                REQUEST_HEADERS,
                name.as_ptr(),
                name.len(),
                value.as_ptr(),
                value.len(),
            )
        };
        if status != status::OK {
            log::warn!("request header {name:?} could not be set: status {status}");
        }
    }

    fn remove_request_header(&self, name: &str) {
        // SAFETY: the host reads a slice that lives through the call.
        unsafe { abi::proxy_remove_header_map_value(REQUEST_HEADERS, name.as_ptr(), name.len()) };
    }

    fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        let path = path.join("\0");
        // SAFETY: the host reads a slice that lives through the call, and writes where `returned`
        // says.
        returned(|data, size| unsafe {
            abi::proxy_get_property(path.as_ptr(), path.len(), data, size)
        })
        .ok()
    }

    fn create_expression(&self, text: &str) -> Result<Expression, ExpressionError> {
        match foreign_function("expr_create", text.as_bytes()) {
            Ok(token) => match token.try_into() {
                Ok(token) => Ok(Expression(u32::from_le_bytes(token))),
                Err(_) => Err(ExpressionError::Unsupported),
            },
            Err(status::NOT_FOUND) => Err(ExpressionError::Unsupported),
            Err(_) => Err(ExpressionError::Invalid),
        }
    }

    fn evaluate(&self, expression: Expression) -> Option<Vec<u8>> {
        foreign_function("expr_evaluate", &expression.0.to_le_bytes()).ok()
    }

    fn grpc_call(&self, call: &GrpcCall<'_>) -> Result<CallToken, DispatchError> {
        let service = call.cluster.grpc_service();
        let metadata = pairs::encode(call.metadata);
        let mut token = 0;
        // SAFETY: the host reads slices that live through the call, and writes one u32.
        let status = unsafe {
            abi::proxy_grpc_call(
                service.as_ptr(),
                service.len(),
                call.service.as_ptr(),
                call.service.len(),
                call.method.as_ptr(),
                call.method.len(),
                metadata.as_ptr(),
                metadata.len(),
                call.message.as_ptr(),
                call.message.len(),
                milliseconds(call.timeout),
                &raw mut token,
            )
        };
        match status {
            status::OK => Ok(CallToken(token)),
            status::PARSE_FAILURE => Err(DispatchError::UnknownCluster),
            _ => Err(DispatchError::Failed),
        }
    }

    fn http_call(&self, call: &HttpCall<'_>) -> Result<CallToken, DispatchError> {
        let cluster = call.cluster.name();
        let headers = pairs::encode(call.headers);
        let mut token = 0;
        // SAFETY: the host reads slices that live through the call, and writes one u32.
        let status = unsafe {
            abi::proxy_http_call(
                cluster.as_ptr(),
                cluster.len(),
                headers.as_ptr(),
                headers.len(),
                call.body.as_ptr(),
                call.body.len(),
                std::ptr::null(),
                0,
                milliseconds(call.timeout),
                &raw mut token,
            )
        };
        match status {
            status::OK => Ok(CallToken(token)),
            status::BAD_ARGUMENT => Err(DispatchError::UnknownCluster),
            _ => Err(DispatchError::Failed),
        }
    }

    fn grpc_message(&self, size: usize) -> Vec<u8> {
        buffer(GRPC_RECEIVE_BUFFER, size)
    }

    fn http_response_headers(&self) -> Pairs {
        header_map(CALL_RESPONSE_HEADERS)
    }

    fn http_response_body(&self, size: usize) -> Vec<u8> {
        buffer(CALL_RESPONSE_BODY, size)
    }

    fn set_tick_period(&self, period: Duration) {
        // SAFETY: no memory is involved.
        unsafe { abi::proxy_set_tick_period_milliseconds(milliseconds(period)) };
    }

    fn done(&self) {
        // SAFETY: no memory is involved.
        unsafe { abi::proxy_done() };
    }

    fn define_metric(&self, kind: MetricKind, name: &str) -> Option<Metric> {
        let kind = match kind {
            MetricKind::Counter => 0,
            MetricKind::Gauge => 1,
            MetricKind::Histogram => 2,
        };
        let mut id = 0;
        // SAFETY: the host reads a slice that lives through the call, and writes one u32.
        let status =
            unsafe { abi::proxy_define_metric(kind, name.as_ptr(), name.len(), &raw mut id) };
        (status == status::OK).then_some(Metric(id))
    }

    fn add_to_metric(&self, metric: Metric, delta: i64) {
        // SAFETY: no memory is involved.
        unsafe { abi::proxy_increment_metric(metric.0, delta) };
    }

    fn record_metric(&self, metric: Metric, value: u64) {
        // SAFETY: no memory is involved.
        unsafe { abi::proxy_record_metric(metric.0, value) };
    }

    fn shared_data(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        let mut version = 0;
        // SAFETY: the host reads a slice that lives through the call, and writes one u32 and where
        // `returned` says.
        let data = returned(|data, size| unsafe {
            abi::proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &raw mut version)
        });
        Some((data.ok()?, version))
    }

    fn set_shared_data(
        &self,
        key: &str,
        value: &[u8],
        version: u32,
    ) -> Result<(), SharedDataError> {
        // SAFETY: the host reads two slices that live through the call.
        let status = unsafe {
            abi::proxy_set_shared_data(
                key.as_ptr(),
                key.len(),
                value.as_ptr(),
                value.len(),
                version,
            )
        };
        match status {
            status::OK => Ok(()),
            status::CAS_MISMATCH => Err(SharedDataError::Changed),
            _ => Err(SharedDataError::Failed),
        }
    }
}

fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
