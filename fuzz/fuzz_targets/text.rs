//! Bytes as bounded UTF-8: the limit holds, and valid text is only cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spanmesh_filter::fuzzing;

fuzz_target!(|input: (u16, &[u8])| {
    let (limit, bytes) = input;
    let limit = usize::from(limit);
    let text = fuzzing::text(bytes, limit);
    assert!(text.len() <= limit);
    if let Ok(valid) = str::from_utf8(bytes) {
        assert!(valid.starts_with(&text));
        // A character has at most four bytes.
        assert!(text.len() == valid.len() || text.len() + 4 > limit);
    } else {
        assert!(String::from_utf8_lossy(bytes).starts_with(&text));
    }
});
