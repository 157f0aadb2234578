//! The host functions as the ABI has them, and memory for what they return.
//!
//! Spec: Proxy-WASM ABI 0.2.1 and WASI preview 1, as far as the filter needs them.

use std::cell::RefCell;

use log::Level;

use crate::config::Environment;
use crate::pairs::Pairs;

/// Statuses of the ABI that the filter tells apart.
pub(super) mod status {
    pub(in crate::proxy) const OK: u32 = 0;
    pub(in crate::proxy) const NOT_FOUND: u32 = 1;
    pub(in crate::proxy) const BAD_ARGUMENT: u32 = 2;
    pub(in crate::proxy) const PARSE_FAILURE: u32 = 4;
    pub(in crate::proxy) const INVALID_MEMORY_ACCESS: u32 = 6;
    pub(in crate::proxy) const CAS_MISMATCH: u32 = 8;
}

/// The most that is allocated for one value of the host, in bytes: far more than any that it has to
/// give. Envoy takes header maps of up to 8 MiB, and a list of expressions may hold such a value
/// several times; and it does not look whether it got the memory for the value of an expression, so
/// that a refusal ends it.
const MAX_ALLOCATION: usize = 256 * 1024 * 1024;
/// The most that the environment may have, in bytes and in variables.
const MAX_ENVIRONMENT: usize = 1024 * 1024;
/// How many bytes `random_get` may be asked for at once is 64 KiB; a seed is far below.
const SEED: usize = 32;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    pub(super) fn proxy_log(level: u32, message: *const u8, size: usize) -> u32;
    pub(super) fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    pub(super) fn proxy_get_buffer_bytes(
        kind: u32,
        start: usize,
        max_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    pub(super) fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize)
    -> u32;
    pub(super) fn proxy_get_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    pub(super) fn proxy_replace_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    pub(super) fn proxy_remove_header_map_value(map: u32, name: *const u8, name_size: usize)
    -> u32;
    pub(super) fn proxy_get_property(
        path: *const u8,
        path_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    pub(super) fn proxy_call_foreign_function(
        name: *const u8,
        name_size: usize,
        arguments: *const u8,
        arguments_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    pub(super) fn proxy_grpc_call(
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
    pub(super) fn proxy_http_call(
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
    pub(super) fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    pub(super) fn proxy_done() -> u32;
    pub(super) fn proxy_define_metric(
        kind: u32,
        name: *const u8,
        name_size: usize,
        id: *mut u32,
    ) -> u32;
    pub(super) fn proxy_increment_metric(id: u32, delta: i64) -> u32;
    pub(super) fn proxy_record_metric(id: u32, value: u64) -> u32;
    pub(super) fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        cas: *mut u32,
    ) -> u32;
    pub(super) fn proxy_set_shared_data(
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
        cas: u32,
    ) -> u32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    pub(super) fn random_get(buffer: *mut u8, size: usize) -> u16;
    pub(super) fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u16;
    pub(super) fn environ_sizes_get(count: *mut usize, size: *mut usize) -> u16;
    pub(super) fn environ_get(variables: *mut *mut u8, buffer: *mut u8) -> u16;
}

thread_local! {
    /// What the host had allocated during the host call that is under way.
    static ALLOCATED: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Memory for what the host is about to return; null is "no", which only a host in error is told.
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

pub(super) fn write_log(level: Level, message: &str) {
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

pub(super) fn seed() -> [u8; SEED] {
    let mut seed = [0; SEED];
    // SAFETY: the host writes `SEED` bytes.
    let errno = unsafe { random_get(seed.as_mut_ptr(), SEED) };
    if errno != 0 {
        log::error!("this proxy gives no randomness (errno {errno}); ids may repeat");
    }
    seed
}

pub(super) fn buffer(kind: u32, size: usize) -> Vec<u8> {
    // SAFETY: the host writes where `returned` says.
    let bytes =
        returned(|data, written| unsafe { proxy_get_buffer_bytes(kind, 0, size, data, written) });
    bytes.unwrap_or_default()
}

pub(super) fn header_map(map: u32) -> Pairs {
    // SAFETY: the host writes where `returned` says.
    let pairs = returned(|data, size| unsafe { proxy_get_header_map_pairs(map, data, size) });
    Pairs::new(pairs.unwrap_or_default())
}

pub(super) fn foreign_function(name: &str, arguments: &[u8]) -> Result<Vec<u8>, u32> {
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
pub(super) fn environment() -> Environment {
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
pub(super) fn returned(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Vec<u8>, u32> {
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
