//! An OTLP request in protobuf: the check agrees with the oracle, and whatever passes it can be
//! counted, viewed, split and written as JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use spanmesh_otlp::wire::Error;
use spanmesh_otlp::{Limits, Problem, Signal, check, count, json, split, split_within, view};

fuzz_target!(|payload: &[u8]| {
    for signal in Signal::all() {
        let theirs = match signal {
            Signal::Traces => ExportTraceServiceRequest::decode(payload).map(drop),
            Signal::Logs => ExportLogsServiceRequest::decode(payload).map(drop),
            Signal::Metrics => ExportMetricsServiceRequest::decode(payload).map(drop),
        };
        match check(signal, payload) {
            Ok(counts) => {
                assert!(theirs.is_ok(), "only the oracle refuses: {theirs:?}");
                passes(signal, payload, counts.items);
            }
            Err(ours) => {
                let is_our_own_rule = matches!(
                    ours.problem(),
                    Problem::IdLength { .. }
                        | Problem::Wire(Error::Group | Error::FieldNumberTooLarge)
                );
                assert!(theirs.is_err() || is_our_own_rule, "only we refuse: {ours}");
                // No caller does so, but nothing may end in a panic.
                let _ = count(signal, payload);
                let _ = view::items(signal, payload).count();
            }
        }
    }
});

/// What has to hold for a request that passed the check.
fn passes(signal: Signal, payload: &[u8], items: usize) {
    assert_eq!(count(signal, payload), items);
    if signal != Signal::Metrics {
        assert_eq!(view::items(signal, payload).count(), items);
    }
    for resource in view::resources(payload) {
        let _ = (resource.schema_url(), resource.attributes().count());
        for scope in resource.scopes() {
            let _ = (scope.name(), scope.version(), scope.attributes().count());
        }
    }
    let small = Limits {
        items: usize::MAX,
        bytes: 64,
    };
    for parts in [
        split(signal, payload, 1),
        split_within(signal, payload, small),
    ] {
        assert_eq!(parts.iter().map(|(_, items)| items).sum::<usize>(), items);
        for (part, items) in parts {
            assert_eq!(check(signal, &part).map(|counts| counts.items), Ok(items));
        }
    }
    let text = json::request_to_json(signal, payload).expect("what passes can be written");
    let back = json::request_to_protobuf(signal, &text).expect("what was written can be read");
    assert_eq!(check(signal, &back).map(|counts| counts.items), Ok(items));
}
