//! The `ot` member of `tracestate`: what is read, judged and written can be read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spanmesh_sampling::{OtelTraceState, Threshold};

fuzz_target!(|input: (&str, u64, bool)| {
    let (value, low_bits, sampled) = input;
    let Ok(mut state) = OtelTraceState::parse(value) else {
        return;
    };
    let before = state.threshold();
    let erased = state.erase_inconsistent(sampled, low_bits);
    assert_eq!(state.threshold(), before.filter(|_| !erased));
    for threshold in [state.threshold(), None, Threshold::parse(b"8").ok()] {
        state.set_threshold(threshold);
        if let Some(written) = state.format() {
            let again = OtelTraceState::parse(written.as_str()).expect("what was written is valid");
            assert_eq!(again.threshold(), threshold);
            assert_eq!(again.randomness(), state.randomness());
            // A longer threshold may leave no room for the last ones.
            assert!(
                state
                    .others()
                    .take(again.others().count())
                    .eq(again.others())
            );
        }
    }
});
