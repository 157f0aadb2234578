//! The Proxy-WASM side: the only file that knows the ABI, and the only one with `unsafe`.
//!
//! Contexts and their dispatch come from the SDK. Host functions are declared here, since the SDK's
//! wrappers panic on statuses that a host can return, copy what need not be copied, or want UTF-8;
//! every status but Ok reads as "nothing". Answers to calls come here past the SDK, too: it knows
//! only the calls that its own wrappers have started, and panics on a token that it has seen. So
//! does memory for what the host returns, and nothing is taken that was not allocated for it. These
//! are exports of names of our own, which `spanmesh-finish-module` puts in the place of the SDK's.
//!
//! Spec: Proxy-WASM ABI 0.2.1.

#![allow(unsafe_code)]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use log::{Level, LevelFilter, Log, Metadata};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

use crate::config::Environment;
use crate::export::Budget;
use crate::host::{
    Answer, CallToken, DispatchError, Expression, ExpressionError, GrpcCall, Host, HttpCall,
    Metric, MetricKind, SharedDataError,
};
use crate::http::Http;
use crate::pairs::{self, Pairs};
use crate::random::Random;
use crate::root::{Root, Worker};

/// Statuses of the ABI that the filter tells apart.
mod status {
    pub(super) const OK: u32 = 0;
    pub(super) const NOT_FOUND: u32 = 1;
    pub(super) const BAD_ARGUMENT: u32 = 2;
    pub(super) const PARSE_FAILURE: u32 = 4;
    pub(super) const INVALID_MEMORY_ACCESS: u32 = 6;
    pub(super) const CAS_MISMATCH: u32 = 8;
}

/// `HttpRequestHeaders` of the ABI's map types.
const REQUEST_HEADERS: u32 = 0;
/// `HttpCallResponseHeaders` of the ABI's map types.
const CALL_RESPONSE_HEADERS: u32 = 6;
/// `HttpCallResponseBody` of the ABI's buffer types.
const CALL_RESPONSE_BODY: u32 = 4;
/// `GrpcReceiveBuffer` of the ABI's buffer types.
const GRPC_RECEIVE_BUFFER: u32 = 5;
/// `PluginConfiguration` of the ABI's buffer types.
const PLUGIN_CONFIGURATION: u32 = 7;
/// The most that a client accepts of an answer, by OTLP 1.11.
const MAX_RESPONSE: usize = 4 * 1024 * 1024;
/// The most that is allocated for one value of the host, in bytes: no header map, property or
/// configuration comes near, and a VM never gives memory back.
const MAX_ALLOCATION: usize = 16 * 1024 * 1024;
/// The most that the environment may have, in bytes and in variables.
const MAX_ENVIRONMENT: usize = 1024 * 1024;
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
    fn proxy_get_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
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
    fn proxy_grpc_call(
        service: *const u8,
        service_size: usize,
        service_name: *const u8,
        service_name_size: usize,
        method_name: *const u8,
        method_name_size: usize,
        metadata: *const u8,
        metadata_size: usize,
        message: *const u8,
        message_size: usize,
        timeout_milliseconds: u32,
        token: *mut u32,
    ) -> u32;
    fn proxy_http_call(
        cluster: *const u8,
        cluster_size: usize,
        headers: *const u8,
        headers_size: usize,
        body: *const u8,
        body_size: usize,
        trailers: *const u8,
        trailers_size: usize,
        timeout_milliseconds: u32,
        token: *mut u32,
    ) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_done() -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, delta: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
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
    fn environ_sizes_get(count: *mut usize, size: *mut usize) -> u16;
    fn environ_get(variables: *mut *mut u8, buffer: *mut u8) -> u16;
}

thread_local! {
    /// A VM has one thread.
    static WORKER: Worker = Worker {
        random: Random::new(seed()),
        budget: Budget::default(),
        kept_bytes: Budget::default(),
    };
    /// The root contexts by their ids. There are two of them at most for longer than a moment: one
    /// in force and one that drains.
    static ROOTS: RefCell<Vec<(u32, SharedRoot)>> = const { RefCell::new(Vec::new()) };
    /// What the host had allocated during the host call that is under way.
    static ALLOCATED: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A root context, for the SDK, for its streams, and for the answers to its calls.
type SharedRoot = Rc<RefCell<Root>>;

/// The proxy, by its host functions.
#[derive(Clone, Copy, Debug)]
struct Proxy;

/// The SDK's root context around ours.
struct ProxyRoot {
    id: u32,
    root: SharedRoot,
}

/// The SDK's HTTP context around ours.
struct ProxyHttp {
    root: SharedRoot,
    http: Http,
}

/// Log lines go to Envoy's log, logger `wasm`, which puts the plugin's name before them.
struct ProxyLog;

proxy_wasm::main! {{
    std::panic::set_hook(Box::new(|panic| write_log(Level::Error, &panic.to_string())));
    if log::set_logger(&ProxyLog).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
    proxy_wasm::set_root_context(|id| Box::new(ProxyRoot::new(id)));
}}

/// Memory for what the host is about to return; null is "no", and the host call then fails.
#[unsafe(no_mangle)]
extern "C" fn spanmesh_on_memory_allocate(size: usize) -> *mut u8 {
    let mut memory = Vec::new();
    if size > MAX_ALLOCATION || memory.try_reserve_exact(size).is_err() {
        return std::ptr::null_mut();
    }
    memory.resize(size, 0);
    let start = memory.as_mut_ptr();
    ALLOCATED.with_borrow_mut(|allocated| allocated.push(memory));
    start
}

/// Envoy has the message that answers a gRPC call.
#[unsafe(no_mangle)]
extern "C" fn spanmesh_on_grpc_receive(root_id: u32, token: u32, size: usize) {
    let size = size.min(MAX_RESPONSE);
    on_answer(root_id, token, Answer::GrpcMessage { size });
}

/// A gRPC call has ended without a message.
#[unsafe(no_mangle)]
extern "C" fn spanmesh_on_grpc_close(root_id: u32, token: u32, status: u32) {
    on_answer(root_id, token, Answer::GrpcStatus(status));
}

/// An HTTP call has ended; without headers, it got no response.
#[unsafe(no_mangle)]
extern "C" fn spanmesh_on_http_call_response(
    root_id: u32,
    token: u32,
    headers: usize,
    body_size: usize,
    _trailers: usize,
) {
    let answer = if headers == 0 {
        Answer::HttpFailure
    } else {
        let body_size = body_size.min(MAX_RESPONSE);
        Answer::HttpResponse { body_size }
    };
    on_answer(root_id, token, answer);
}

fn on_answer(root_id: u32, token: u32, answer: Answer) {
    let root = ROOTS.with_borrow(|roots| {
        let found = roots.iter().find(|(id, _)| *id == root_id);
        found.map(|(_, root)| Rc::clone(root))
    });
    if let Some(root) = root {
        with(&root, |root| {
            root.on_answer(&Proxy, CallToken(token), answer);
        });
    }
}

/// Runs `action` unless the root context is at work already: a host that calls it from within one
/// of its own calls must not end the VM.
fn with<T: Default>(root: &SharedRoot, action: impl FnOnce(&mut Root) -> T) -> T {
    root.try_borrow_mut()
        .map(|mut root| action(&mut root))
        .unwrap_or_default()
}

impl ProxyRoot {
    fn new(id: u32) -> Self {
        let root = Root::new(WORKER.with(Clone::clone));
        let root = Rc::new(RefCell::new(root));
        ROOTS.with_borrow_mut(|roots| roots.push((id, Rc::clone(&root))));
        Self { id, root }
    }
}

impl Drop for ProxyRoot {
    fn drop(&mut self) {
        ROOTS.with_borrow_mut(|roots| roots.retain(|(id, _)| *id != self.id));
    }
}

impl Context for ProxyRoot {
    fn on_done(&mut self) -> bool {
        with(&self.root, |root| root.on_done(&Proxy))
    }
}

impl RootContext for ProxyRoot {
    fn on_configure(&mut self, size: usize) -> bool {
        let document = buffer(PLUGIN_CONFIGURATION, size);
        let name = Proxy.property(&["plugin_name"]).unwrap_or_default();
        let name = String::from_utf8_lossy(&name);
        with(&self.root, |root| {
            root.configure(&Proxy, &name, &document, &environment())
        })
    }

    fn on_tick(&mut self) {
        with(&self.root, |root| root.on_tick(&Proxy));
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        let http = self.root.try_borrow().map(|root| root.http());
        Some(Box::new(ProxyHttp {
            root: Rc::clone(&self.root),
            http: http.unwrap_or_default(),
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
            // Envoy starts the call of a stream from the stream's root context.
            with(&self.root, |root| root.on_tick(&Proxy));
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
        header_map(REQUEST_HEADERS)
    }

    fn request_header(&self, name: &str) -> Option<Vec<u8>> {
        // SAFETY: the host reads a slice that lives through the call, and writes where `returned`
        // says.
        let value = returned(|data, size| unsafe {
            proxy_get_header_map_value(REQUEST_HEADERS, name.as_ptr(), name.len(), data, size)
        });
        // Envoy answers Ok and nothing where there is no such header.
        value.ok().filter(|value| !value.is_empty())
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

    fn grpc_call(&self, call: &GrpcCall<'_>) -> Result<CallToken, DispatchError> {
        let service = call.cluster.grpc_service();
        let metadata = pairs::encode(call.metadata);
        let mut token = 0;
        // SAFETY: the host reads slices that live through the call, and writes one u32.
        let status = unsafe {
            proxy_grpc_call(
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
            proxy_http_call(
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
        unsafe { proxy_set_tick_period_milliseconds(milliseconds(period)) };
    }

    fn done(&self) {
        // SAFETY: no memory is involved.
        unsafe { proxy_done() };
    }

    fn define_metric(&self, kind: MetricKind, name: &str) -> Option<Metric> {
        let kind = match kind {
            MetricKind::Counter => 0,
            MetricKind::Gauge => 1,
            MetricKind::Histogram => 2,
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

    fn record_metric(&self, metric: Metric, value: u64) {
        // SAFETY: no memory is involved.
        unsafe { proxy_record_metric(metric.0, value) };
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

fn header_map(map: u32) -> Pairs {
    // SAFETY: the host writes where `returned` says.
    let pairs = returned(|data, size| unsafe { proxy_get_header_map_pairs(map, data, size) });
    Pairs::new(pairs.unwrap_or_default())
}

fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
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

/// The variables of the VM. Read without std, whose C library ends the VM where the host has none.
fn environment() -> Environment {
    let variables = variables();
    Environment::new(|name| {
        let of_name = |variable: &[u8]| {
            let value = variable.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            String::from_utf8(value.to_vec()).ok()
        };
        variables.split(|byte| *byte == 0).find_map(of_name)
    })
}

/// The environment: `NAME=value` each, with a NUL behind it.
fn variables() -> Vec<u8> {
    let (mut count, mut size) = (0, 0);
    // SAFETY: the host writes two usizes.
    let errno = unsafe { environ_sizes_get(&raw mut count, &raw mut size) };
    if errno != 0 || count > MAX_ENVIRONMENT || size > MAX_ENVIRONMENT {
        return Vec::new();
    }
    let (mut starts, mut variables) = (vec![std::ptr::null_mut(); count], vec![0; size]);
    // SAFETY: the host writes as many pointers and bytes as it said.
    let errno = unsafe { environ_get(starts.as_mut_ptr(), variables.as_mut_ptr()) };
    if errno != 0 {
        return Vec::new();
    }
    variables
}

/// The bytes that a host function returns, if they lie in memory that it had this module allocate
/// for them.
fn returned(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Vec<u8>, u32> {
    let mut data: *mut u8 = std::ptr::null_mut();
    let mut size = 0;
    let status = call(&raw mut data, &raw mut size);
    let found = ALLOCATED.with_borrow_mut(|allocated| {
        let is_found = |memory: &Vec<u8>| memory.as_ptr() == data.cast_const();
        let found = allocated.iter().position(is_found);
        let found = found.map(|at| allocated.swap_remove(at));
        allocated.clear();
        found
    });
    if status != status::OK {
        return Err(status);
    }
    if data.is_null() {
        return Ok(Vec::new());
    }
    let mut bytes = found
        .filter(|memory| size <= memory.len())
        .ok_or(status::INVALID_MEMORY_ACCESS)?;
    bytes.truncate(size);
    Ok(bytes)
}
