//! The whole request path before a proxy that answers by the fuzzer's bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    spanmesh_fuzz::play(data);
});
