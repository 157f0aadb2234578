//! `traceparent`: what is read is written the same, but for what version 00 does not carry.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spanmesh_trace_context::TraceParent;

fuzz_target!(|value: &[u8]| {
    if let Ok(parsed) = TraceParent::parse(value) {
        let written = parsed.format();
        assert_eq!(TraceParent::parse(&written), Ok(parsed));
        if value.trim_ascii().starts_with(b"00") {
            // Flags that version 00 does not define are not passed on.
            assert_eq!(value.trim_ascii()[..53], written[..53]);
        }
    }
});
