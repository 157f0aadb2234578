use proptest::prelude::*;

use super::*;

const W3C: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03";
const W3C_TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const B3_TRACE: &str = "463ac35c9f6413ad48485a3953bb6124";
const B3_SINGLE: &str = "463ac35c9f6413ad48485a3953bb6124-0020000000000001-1";
const MULTI_TRACE: &str = "00000000000000000000000000000abc";
const MULTI: [(&str, &str); 3] = [
    ("X-B3-TraceId", MULTI_TRACE),
    ("X-B3-SpanId", "00000000000000ff"),
    ("X-B3-Sampled", "0"),
];

fn trace_id(received: &[(&str, &str)], formats: &[Format]) -> Option<(String, Format)> {
    let context = extract(received, formats).context?;
    Some((context.trace_id.to_string(), context.format))
}

fn found(trace_id: &str, format: Format) -> Option<(String, Format)> {
    Some((trace_id.to_owned(), format))
}

#[test]
fn the_first_format_that_holds_a_context_wins() {
    let received = [("traceparent", W3C), ("b3", B3_SINGLE)];
    assert_eq!(
        trace_id(&received, &[Format::TraceContext, Format::B3]),
        found(W3C_TRACE, Format::TraceContext),
    );
    assert_eq!(
        trace_id(&received, &[Format::B3, Format::TraceContext]),
        found(B3_TRACE, Format::B3),
    );
}

#[test]
fn a_format_that_is_not_configured_is_not_read() {
    let received = [("traceparent", "junk"), ("b3", B3_SINGLE)];
    assert_eq!(extract(received.as_slice(), &[]), Extraction::default());
    let extraction = extract(received.as_slice(), &[Format::B3]);
    assert!(extraction.invalid.is_empty());
    assert!(extraction.context.is_some());
}

#[test]
fn an_invalid_format_is_passed_over_and_told() {
    let received = [
        ("traceparent", "junk"),
        ("tracestate", "a=1"),
        ("b3", B3_SINGLE),
    ];
    let extraction = extract(received.as_slice(), &[Format::TraceContext, Format::B3]);
    assert_eq!(extraction.invalid, InvalidHeaders::TRACEPARENT);
    let context = extraction.context.unwrap();
    assert_eq!((context.format, context.tracestate), (Format::B3, None));
}

#[test]
fn a_new_trace_starts_only_if_no_format_is_valid() {
    let received = [
        ("traceparent", "junk"),
        ("b3", "junk"),
        ("x-b3-traceid", "junk"),
    ];
    let extraction = extract(
        received.as_slice(),
        &[Format::TraceContext, Format::B3Multi],
    );
    assert_eq!(extraction.context, None);
    assert_eq!(extraction.root_sampling, None);
    assert_eq!(
        extraction.invalid,
        InvalidHeaders::TRACEPARENT | InvalidHeaders::B3 | InvalidHeaders::B3_MULTI,
    );
    assert!(!extraction.invalid.contains(InvalidHeaders::TRACESTATE));
}

#[test]
fn both_b3_formats_read_the_single_header_first() {
    let mut received = vec![("b3", B3_SINGLE)];
    received.extend(MULTI);
    for format in [Format::B3, Format::B3Multi] {
        assert_eq!(trace_id(&received, &[format]), found(B3_TRACE, Format::B3));
        assert_eq!(
            trace_id(&MULTI, &[format]),
            found(MULTI_TRACE, Format::B3Multi)
        );
    }
}

#[test]
fn multi_headers_are_read_if_the_single_one_is_invalid() {
    let mut received = vec![("b3", "junk")];
    received.extend(MULTI);
    let extraction = extract(received.as_slice(), &[Format::B3, Format::B3Multi]);
    assert_eq!(extraction.invalid, InvalidHeaders::B3);
    assert_eq!(
        extraction.context.unwrap().sampling,
        ParentSampling::NotSampled
    );
}

#[test]
fn a_repeated_header_is_invalid() {
    let twice = [("b3", B3_SINGLE), ("B3", B3_SINGLE)];
    assert_eq!(
        extract(twice.as_slice(), &[Format::B3]).invalid,
        InvalidHeaders::B3
    );
    let mut received = MULTI.to_vec();
    received.push(("x-b3-spanid", "00000000000000fe"));
    let extraction = extract(received.as_slice(), &[Format::B3]);
    assert_eq!(
        (extraction.context, extraction.invalid),
        (None, InvalidHeaders::B3_MULTI)
    );
}

#[test]
fn a_lone_b3_decision_is_for_the_new_trace() {
    for (received, sampling) in [
        (("b3", "0"), ParentSampling::NotSampled),
        (("b3", "1"), ParentSampling::Sampled),
        (("b3", "d"), ParentSampling::Debug),
        (("x-b3-sampled", "0"), ParentSampling::NotSampled),
        (("x-b3-flags", "1"), ParentSampling::Debug),
    ] {
        let headers = [received];
        let extraction = extract(headers.as_slice(), &[Format::TraceContext, Format::B3]);
        assert_eq!(extraction.root_sampling, Some(sampling), "{received:?}");
        assert_eq!(extraction.context, None);
        assert!(extraction.invalid.is_empty());
    }
}

#[test]
fn a_context_of_another_format_outranks_a_lone_b3_decision() {
    let received = [("b3", "0"), ("traceparent", W3C)];
    let extraction = extract(received.as_slice(), &[Format::B3, Format::TraceContext]);
    assert_eq!(extraction.root_sampling, None);
    assert_eq!(
        extraction.context.unwrap().sampling,
        ParentSampling::Sampled
    );
}

#[test]
fn a_lone_single_decision_outranks_the_multi_headers() {
    let mut received = vec![("b3", "d")];
    received.extend(MULTI);
    let extraction = extract(received.as_slice(), &[Format::B3]);
    assert_eq!(extraction.context, None);
    assert_eq!(extraction.root_sampling, Some(ParentSampling::Debug));
}

#[test]
fn b3_tells_nothing_about_randomness() {
    let flags = |value: &str| {
        let received = [("b3", value)];
        extract(received.as_slice(), &[Format::B3])
            .context
            .map(|context| context.flags)
    };
    for (value, expected) in [
        (B3_SINGLE, TraceFlags::SAMPLED),
        ("a2fb4a1d1a96d312-0020000000000001-d", TraceFlags::SAMPLED),
        ("a2fb4a1d1a96d312-0020000000000001-0", TraceFlags::default()),
        ("a2fb4a1d1a96d312-0020000000000001", TraceFlags::default()),
    ] {
        assert_eq!(flags(value), Some(expected), "{value}");
    }
}

#[test]
fn traceparent_keeps_its_flags_and_list() {
    let received = [
        ("traceparent", W3C),
        ("tracestate", "a=1"),
        ("tracestate", "b=2"),
    ];
    let context = extract(received.as_slice(), &Format::ALL).context.unwrap();
    assert!(context.flags.is_sampled() && context.flags.is_random());
    assert_eq!(context.tracestate.unwrap().as_str(), "a=1,b=2");
}

#[test]
fn a_list_without_members_is_none() {
    let received = [
        ("traceparent", W3C),
        ("tracestate", ""),
        ("tracestate", " ,"),
    ];
    let extraction = extract(received.as_slice(), &Format::ALL);
    assert_eq!(extraction.context.unwrap().tracestate, None);
    assert!(extraction.invalid.is_empty());
}

#[test]
fn a_bad_list_is_told_and_the_trace_goes_on() {
    let received = [("traceparent", W3C), ("tracestate", "a=1,B=2")];
    let extraction = extract(received.as_slice(), &Format::ALL);
    assert_eq!(extraction.invalid, InvalidHeaders::TRACESTATE);
    assert_eq!(extraction.context.unwrap().tracestate, None);
}

#[test]
fn format_names_are_those_of_the_environment_variable() {
    for format in Format::ALL {
        assert_eq!(Format::from_name(format.name()), Some(format));
    }
    assert_eq!(Format::from_name("baggage"), None);
    assert_eq!(Format::from_name("B3"), None);
}

fn any_name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&header::ALL)
}

proptest! {
    #[test]
    fn no_headers_panic(received in prop::collection::vec((any_name(), any::<Vec<u8>>()), 0..12)) {
        let extraction = extract(received.as_slice(), &Format::ALL);
        prop_assert!(extraction.context.is_none() || extraction.root_sampling.is_none());
    }

    #[test]
    fn no_mix_of_valid_values_panics(
        received in prop::collection::vec(
            (any_name(), prop::sample::select(&[W3C, B3_SINGLE, "0", "1", "d", "a=1", MULTI_TRACE, ""])),
            0..12,
        ),
    ) {
        let extraction = extract(received.as_slice(), &Format::ALL);
        prop_assert!(extraction.context.is_none() || extraction.root_sampling.is_none());
    }
}
