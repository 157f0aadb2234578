//! The host's pairs, and a whole trace context out of them: any bytes are a list, and what is
//! passed on of the context is read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spanmesh_filter::pairs::{self, Pairs};
use spanmesh_trace_context::{Format, SpanContext, extract, headers};

fuzz_target!(|bytes: &[u8]| {
    let list = Pairs::new(bytes.to_vec());
    let size: usize = list
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    assert!(size <= bytes.len());
    if let Some((name, _)) = list.iter().next() {
        assert!(list.get(name).is_some());
    }
    for format in Format::ALL {
        let Some(context) = extract(&list, &[format]).context else {
            continue;
        };
        let passed_on = SpanContext {
            trace_id: context.trace_id,
            span_id: context.parent_id,
            flags: context.flags,
            debug: false,
        };
        let mut written = Vec::new();
        for (name, value) in headers(&passed_on, format) {
            written.push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        }
        let written = Pairs::new(pairs::encode(&written));
        let again = extract(&written, &[format]);
        assert!(again.invalid.is_empty());
        let again = again.context.expect("what was written is a context");
        assert_eq!(
            (again.trace_id, again.parent_id),
            (context.trace_id, context.parent_id)
        );
    }
});
