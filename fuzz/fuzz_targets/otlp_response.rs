//! What a server answers to an export: a response with its partial success, or a `google.rpc.Status`
//! with its details, each as protobuf and as JSON, and `Retry-After`.
#![no_main]

use std::time::{Duration, SystemTime};

use libfuzzer_sys::fuzz_target;
use spanmesh_filter::fuzzing;
use spanmesh_otlp::status::{MAX_RETRY_DELAY, Status, retry_after};
use spanmesh_otlp::{Signal, response};

fuzz_target!(|answer: &[u8]| {
    fuzzing::partial_success(answer);
    if let Ok(partial) = response::decode(answer) {
        let written = response::encode(partial.as_ref());
        let again = response::decode(&written).expect("what was written can be read");
        assert_eq!(again, partial);
        for signal in Signal::all() {
            let text = response::to_json(signal, partial.as_ref());
            assert_eq!(response::from_json(signal, &text).expect("valid"), partial);
        }
    }
    for signal in Signal::all() {
        let _ = response::from_json(signal, answer);
    }
    for status in [Status::decode(answer).ok(), Status::from_json(answer).ok()] {
        let Some(status) = status else {
            continue;
        };
        assert!(status.retry_delay <= Some(MAX_RETRY_DELAY));
        assert_eq!(Status::decode(&status.encode()).as_ref(), Ok(&status));
        assert_eq!(Status::from_json(&status.to_json()).ok(), Some(status));
    }
    if let Ok(value) = str::from_utf8(answer) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_253_400);
        assert!(retry_after(value, now) <= Some(MAX_RETRY_DELAY));
    }
});
