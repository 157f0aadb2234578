//! The `X-B3-*` headers: what is read can be written and read again as the single header.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spanmesh_trace_context::b3::{B3, MultiHeaders};

fuzz_target!(|values: [Option<&[u8]>; 4]| {
    let [trace_id, span_id, sampled, flags] = values;
    let headers = MultiHeaders {
        trace_id,
        span_id,
        sampled,
        flags,
    };
    if let Ok(Some(B3::Context(context))) = B3::parse_multi(&headers) {
        let single = context.format_single();
        assert_eq!(
            B3::parse_single(single.as_bytes()),
            Ok(B3::Context(context))
        );
    }
});
