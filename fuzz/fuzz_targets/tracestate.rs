//! `tracestate`, of several header lines: what is read, changed or cut can be read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spanmesh_trace_context::TraceState;

/// Stands between the lines: no header may hold it.
const LINE_END: u8 = b'\n';

fuzz_target!(|lines: &[u8]| {
    let Ok(state) = TraceState::parse(lines.split(|byte| *byte == LINE_END)) else {
        return;
    };
    assert!(state.len() <= TraceState::MAX_MEMBERS);
    let read_again = TraceState::parse([state.as_str().as_bytes()]);
    assert!(read_again.is_ok_and(|again| again.iter().eq(state.iter())));
    let changed = state.with("ot", "th:8").expect("a valid member");
    assert_eq!(changed.get("ot"), Some("th:8"));
    assert_eq!(changed.iter().next(), Some(("ot", "th:8")));
    assert!(TraceState::parse([changed.as_str().as_bytes()]).is_ok());
    for limit in [0, 64, 512] {
        assert!(changed.clone().truncated(limit).as_str().len() <= limit);
    }
    assert_eq!(changed.without("ot").get("ot"), None);
});
