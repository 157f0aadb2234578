//! The `b3` header: what is read and written in either form says the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spanmesh_trace_context::b3::{B3, MultiHeaders};

fuzz_target!(|value: &[u8]| {
    let Ok(B3::Context(context)) = B3::parse_single(value) else {
        return;
    };
    let single = context.format_single();
    assert_eq!(
        B3::parse_single(single.as_bytes()),
        Ok(B3::Context(context))
    );
    let multi = context.format_multi();
    let headers = MultiHeaders {
        trace_id: Some(&multi.trace_id),
        span_id: Some(&multi.span_id),
        sampled: multi.sampled.map(str::as_bytes),
        flags: multi.flags.map(str::as_bytes),
    };
    assert_eq!(B3::parse_multi(&headers), Ok(Some(B3::Context(context))));
});
