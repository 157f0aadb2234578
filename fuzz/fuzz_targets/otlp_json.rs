//! An OTLP request in JSON: what is read passes the check, and says the same when it was written
//! and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spanmesh_otlp::{Signal, check, json};

fuzz_target!(|text: &[u8]| {
    for signal in Signal::all() {
        match json::request_to_protobuf(signal, text) {
            Ok(payload) => {
                assert!(check(signal, &payload).is_ok());
                let written = json::request_to_json(signal, &payload).expect("valid");
                let again = json::request_to_protobuf(signal, &written).expect("valid");
                // The fields stay in the order of the text, and are written in that of the schema.
                assert_eq!(json::request_to_json(signal, &again), Ok(written));
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
});
