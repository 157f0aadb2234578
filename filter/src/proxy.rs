//! The Proxy-WASM side: the only file that knows the ABI, and the only one with `unsafe`.
//!
//! Contexts and their dispatch come from the SDK. Host functions are declared here wherever the
//! SDK's wrapper panics on a status that a host can return, copies what need not be copied, or
//! wants UTF-8; every status but Ok reads as "nothing". The one wrapper that is used is
//! `dispatch_grpc_call`, since only it can register a call with the SDK's dispatcher. It panics on
//! statuses other than Ok, ParseFailure and InternalFailure; Envoy gives BadArgument for a target
//! that is no message it knows, and [`Cluster`](crate::config::Cluster) never makes one.
//!
//! Spec: Proxy-WASM ABI 0.2.1.

#![allow(unsafe_code)]

use std::time::Duration;

use log::{Level, LevelFilter, Log, Metadata};
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, Status};

use crate::config::Environment;
use crate::export::Budget;
use crate::host::{
    CallToken, DispatchError, Expression, ExpressionError, GrpcCall, Host, Metric, MetricKind,
    SharedDataError,
};
use crate::http::Http;
use crate::pairs::Pairs;
use crate::random::Random;
use crate::root::{Root, Worker};

/// Statuses of the ABI that the filter tells apart.
mod status {
    pub(super) const OK: u32 = 0;
    pub(super) const NOT_FOUND: u32 = 1;
    pub(super) const CAS_MISMATCH: u32 = 8;
}

/// `HttpRequestHeaders` of the ABI's map types.
const REQUEST_HEADERS: u32 = 0;
/// `GrpcReceiveBuffer` of the ABI's buffer types.
const GRPC_RECEIVE_BUFFER: u32 = 5;
/// `PluginConfiguration` of the ABI's buffer types.
const PLUGIN_CONFIGURATION: u32 = 7;
/// The most that a client accepts of an answer, by OTLP 1.11.
const MAX_RESPONSE: usize = 4 * 1024 * 1024;
/// WASI's `CLOCK_MONOTONIC`.
const CLOCK_MONOTONIC: u32 = 1;
/// How many bytes `random_get` may be asked for at once is 64 KiB; a seed is far below.
const SEED: usize = 32;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, message: *const u8, size: usize) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_get_buffer_bytes(
        kind: u32,
        start: usize,
        max_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, name: *const u8, name_size: usize) -> u32;
    fn proxy_get_property(
        path: *const u8,
        path_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_call_foreign_function(
        name: *const u8,
        name_size: usize,
        arguments: *const u8,
        arguments_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_done() -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, delta: i64) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        cas: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
        cas: u32,
    ) -> u32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn random_get(buffer: *mut u8, size: usize) -> u16;
    fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u16;
}

unsafe extern "C" {
    /// The SDK's export, which Envoy calls for a tick.
    fn proxy_on_tick(context_id: u32);
}

thread_local! {
    /// A VM has one thread.
    static WORKER: Worker = Worker {
        random: Random::new(seed()),
        budget: Budget::default(),
        kept_bytes: Budget::default(),
    };
}

/// The proxy, by its host functions.
#[derive(Clone, Copy, Debug)]
struct Proxy;

/// The SDK's root context around ours.
struct ProxyRoot {
    id: u32,
    root: Root,
}

/// The SDK's HTTP context around ours.
struct ProxyHttp {
    root_id: u32,
    http: Http,
}

/// Log lines go to Envoy's log, logger `wasm`, which puts the plugin's name before them.
struct ProxyLog;

proxy_wasm::main! {{
    std::panic::set_hook(Box::new(|panic| write_log(Level::Error, &panic.to_string())));
    if log::set_logger(&ProxyLog).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
    proxy_wasm::set_root_context(|id| {
        Box::new(ProxyRoot { id, root: Root::new(WORKER.with(Clone::clone)) })
    });
}}

impl Context for ProxyRoot {
    fn on_grpc_call_response(&mut self, token: u32, status: u32, size: usize) {
        self.root
            .on_response(&Proxy, CallToken(token), status, size.min(MAX_RESPONSE));
    }

    fn on_done(&mut self) -> bool {
        self.root.on_done(&Proxy)
    }
}

impl RootContext for ProxyRoot {
    fn on_configure(&mut self, size: usize) -> bool {
        let document = buffer(PLUGIN_CONFIGURATION, size);
        let name = Proxy.property(&["plugin_name"]).unwrap_or_default();
        let environment = Environment::new(|name| std::env::var(name).ok());
        let name = String::from_utf8_lossy(&name);
        self.root.configure(&Proxy, &name, &document, &environment)
    }

    fn on_tick(&mut self) {
        self.root.on_tick(&Proxy);
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(ProxyHttp {
            root_id: self.id,
            http: self.root.http(),
        }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Context for ProxyHttp {}

impl HttpContext for ProxyHttp {
    fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        self.http.on_request_headers(&Proxy);
        Action::Continue
    }

    fn on_log(&mut self) {
        if self.http.on_log(&Proxy) {
            // A call has to be dispatched from the root context, or the SDK would route its answer
            // to this context, which is gone by then. Envoy lets a filter dispatch here; the SDK's
            // own tick entry makes the root context the active one.
            //
            // SAFETY: an export of this very module, with the id of a root context that outlives
            // its streams. The dispatcher holds only its table of streams while it is in `on_log`,
            // and a tick borrows only its table of roots.
            unsafe { proxy_on_tick(self.root_id) };
        }
    }
}

impl Host for Proxy {
    fn wall_clock(&self) -> u64 {
        let mut time = 0;
        // SAFETY: the host writes one u64.
        unsafe { proxy_get_current_time_nanoseconds(&raw mut time) };
        time
    }

    fn monotonic_clock(&self) -> u64 {
        let mut time = 0;
        // SAFETY: the host writes one u64.
        let errno = unsafe { clock_time_get(CLOCK_MONOTONIC, 1, &raw mut time) };
        if errno == 0 { time } else { self.wall_clock() }
    }

    fn request_headers(&self) -> Pairs {
        // SAFETY: the host writes where `returned` says.
        let headers = returned(|data, size| unsafe {
            proxy_get_header_map_pairs(REQUEST_HEADERS, data, size)
        });
        Pairs::new(headers.unwrap_or_default())
    }

    fn set_request_header(&self, name: &str, value: &[u8]) {
        // SAFETY: the host reads two slices that live through the call.
        let status = unsafe {
            proxy_replace_header_map_value(
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
        unsafe { proxy_remove_header_map_value(REQUEST_HEADERS, name.as_ptr(), name.len()) };
    }

    fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        let path = path.join("\0");
        // SAFETY: the host reads a slice that lives through the call, and writes where `returned`
        // says.
        returned(|data, size| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) })
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

    fn dispatch(&self, call: &GrpcCall<'_>) -> Result<CallToken, DispatchError> {
        let metadata = call
            .metadata
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        let token = hostcalls::dispatch_grpc_call(
            call.cluster.target(),
            call.service,
            call.method,
            metadata,
            Some(call.message),
            call.timeout,
        );
        token.map(CallToken).map_err(|status| match status {
            Status::ParseFailure => DispatchError::UnknownCluster,
            _ => DispatchError::Failed,
        })
    }

    fn response_message(&self, size: usize) -> Vec<u8> {
        buffer(GRPC_RECEIVE_BUFFER, size)
    }

    fn set_tick_period(&self, period: Duration) {
        let period = u32::try_from(period.as_millis()).unwrap_or(u32::MAX);
        // SAFETY: no memory is involved.
        unsafe { proxy_set_tick_period_milliseconds(period) };
    }

    fn done(&self) {
        // SAFETY: no memory is involved.
        unsafe { proxy_done() };
    }

    fn define_metric(&self, kind: MetricKind, name: &str) -> Option<Metric> {
        let kind = match kind {
            MetricKind::Counter => 0,
            MetricKind::Gauge => 1,
        };
        let mut id = 0;
        // SAFETY: the host reads a slice that lives through the call, and writes one u32.
        let status = unsafe { proxy_define_metric(kind, name.as_ptr(), name.len(), &raw mut id) };
        (status == status::OK).then_some(Metric(id))
    }

    fn add_to_metric(&self, metric: Metric, delta: i64) {
        // SAFETY: no memory is involved.
        unsafe { proxy_increment_metric(metric.0, delta) };
    }

    fn shared_data(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        let mut version = 0;
        // SAFETY: the host reads a slice that lives through the call, and writes one u32 and where
        // `returned` says.
        let data = returned(|data, size| unsafe {
            proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &raw mut version)
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
            proxy_set_shared_data(
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

impl Log for ProxyLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            write_log(record.level(), &record.args().to_string());
        }
    }

    fn flush(&self) {}
}

fn write_log(level: Level, message: &str) {
    let level = match level {
        Level::Trace => 0,
        Level::Debug => 1,
        Level::Info => 2,
        Level::Warn => 3,
        Level::Error => 4,
    };
    // SAFETY: the host reads a slice that lives through the call.
    unsafe { proxy_log(level, message.as_ptr(), message.len()) };
}

fn seed() -> [u8; SEED] {
    let mut seed = [0; SEED];
    // SAFETY: the host writes `SEED` bytes.
    let errno = unsafe { random_get(seed.as_mut_ptr(), SEED) };
    if errno != 0 {
        log::error!("this proxy gives no randomness (errno {errno}); ids may repeat");
    }
    seed
}

fn buffer(kind: u32, size: usize) -> Vec<u8> {
    // SAFETY: the host writes where `returned` says.
    let bytes =
        returned(|data, written| unsafe { proxy_get_buffer_bytes(kind, 0, size, data, written) });
    bytes.unwrap_or_default()
}

fn foreign_function(name: &str, arguments: &[u8]) -> Result<Vec<u8>, u32> {
    // SAFETY: the host reads two slices that live through the call, and writes where `returned`
    // says.
    returned(|data, size| unsafe {
        proxy_call_foreign_function(
            name.as_ptr(),
            name.len(),
            arguments.as_ptr(),
            arguments.len(),
            data,
            size,
        )
    })
}

/// The bytes that a host function returns in memory that it had this module allocate.
fn returned(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Vec<u8>, u32> {
    let mut data: *mut u8 = std::ptr::null_mut();
    let mut size = 0;
    let status = call(&raw mut data, &raw mut size);
    if data.is_null() {
        return if status == status::OK {
            Ok(Vec::new())
        } else {
            Err(status)
        };
    }
    // SAFETY: the host got `data` from `proxy_on_memory_allocate(size)`, which leaks a boxed slice
    // of that size, and keeps no pointer to it.
    let bytes = unsafe { Vec::from_raw_parts(data, size, size) };
    if status == status::OK {
        Ok(bytes)
    } else {
        Err(status)
    }
}
