//! `baggage`, of several header lines: every member has a legal key, and no more is read than the
//! specification has everybody pass on.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spanmesh_filter::pairs::{self, Pairs};
use spanmesh_trace_context::{baggage, header};

/// Stands between the lines: no header may hold it.
const LINE_END: u8 = b'\n';

fuzz_target!(|lines: &[u8]| {
    let headers: Vec<_> = lines
        .split(|byte| *byte == LINE_END)
        .map(|line| (header::BAGGAGE.as_bytes(), line))
        .collect();
    let carrier = Pairs::new(pairs::encode(&headers));
    let mut count = 0;
    for member in baggage::members(&carrier) {
        assert!(baggage::is_key(member.key()));
        // Decoding makes a byte at most a character of three.
        assert!(member.value().len() <= 3 * baggage::MAX_BYTES);
        count += 1;
    }
    assert!(count <= baggage::MAX_MEMBERS);
});
