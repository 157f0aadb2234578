use proptest::prelude::*;

use super::*;

const SHORT: &str = "a2fb4a1d1a96d312";
const LONG: &str = "463ac35c9f6413ad48485a3953bb6124";
const SPAN: &str = "0020000000000001";

fn single(value: &str) -> Result<B3, B3Error> {
    B3::parse_single(value.as_bytes())
}

fn context(trace_id: &str, sampling: ParentSampling) -> B3 {
    B3::Context(Context {
        trace_id: TraceId::from_hex(format!("{trace_id:0>32}").as_bytes()).unwrap(),
        span_id: SpanId::from_hex(SPAN.as_bytes()).unwrap(),
        sampling,
    })
}

fn multi(
    trace_id: Option<&str>,
    span_id: Option<&str>,
    sampled: Option<&str>,
    flags: Option<&str>,
) -> Result<Option<B3>, B3Error> {
    B3::parse_multi(&MultiHeaders {
        trace_id: trace_id.map(str::as_bytes),
        span_id: span_id.map(str::as_bytes),
        sampled: sampled.map(str::as_bytes),
        flags: flags.map(str::as_bytes),
    })
}

#[test]
fn the_single_header_has_four_states() {
    for (state, sampling) in [
        ("-1", ParentSampling::Sampled),
        ("-0", ParentSampling::NotSampled),
        ("-d", ParentSampling::Debug),
        ("", ParentSampling::Deferred),
    ] {
        for trace_id in [SHORT, LONG] {
            let value = format!("{trace_id}-{SPAN}{state}");
            assert_eq!(single(&value), Ok(context(trace_id, sampling)), "{value}");
        }
    }
}

#[test]
fn a_64_bit_trace_id_has_zeros_to_the_left() {
    let Ok(B3::Context(found)) = single(&format!("{SHORT}-{SPAN}-1")) else {
        panic!()
    };
    assert_eq!(
        found.trace_id.to_string(),
        format!("0000000000000000{SHORT}")
    );
}

#[test]
fn the_parent_span_id_is_optional_with_and_without_a_state() {
    let parent = "05e3ac9a4f6e3b90";
    assert_eq!(
        single(&format!("{LONG}-{SPAN}-1-{parent}")),
        Ok(context(LONG, ParentSampling::Sampled)),
    );
    assert_eq!(
        single(&format!("{LONG}-{SPAN}-{parent}")),
        Ok(context(LONG, ParentSampling::Deferred)),
    );
}

#[test]
fn a_state_alone_is_a_decision() {
    assert_eq!(single("1"), Ok(B3::Decision(ParentSampling::Sampled)));
    assert_eq!(single("0"), Ok(B3::Decision(ParentSampling::NotSampled)));
    assert_eq!(single("d"), Ok(B3::Decision(ParentSampling::Debug)));
    assert_eq!(single(" 0\t"), Ok(B3::Decision(ParentSampling::NotSampled)));
}

#[test]
fn each_field_of_the_single_header_has_its_error() {
    let hex = |expected| ParseIdError::Hex { expected };
    for (value, error) in [
        (String::new(), B3Error::TraceId(hex(32))),
        ("x".to_owned(), B3Error::Sampling),
        (LONG.to_owned(), B3Error::Incomplete),
        (format!("{LONG}0-{SPAN}"), B3Error::TraceId(hex(32))),
        (format!("{}-{SPAN}", &LONG[1..]), B3Error::TraceId(hex(32))),
        (
            format!("{}-{SPAN}", LONG.to_uppercase()),
            B3Error::TraceId(hex(32)),
        ),
        (
            format!("{}-{SPAN}", "0".repeat(32)),
            B3Error::TraceId(ParseIdError::Zero),
        ),
        (
            format!("{}-{SPAN}", "0".repeat(16)),
            B3Error::TraceId(ParseIdError::Zero),
        ),
        (format!("{LONG}-"), B3Error::SpanId(hex(16))),
        (
            format!("{LONG}-{}", "0".repeat(16)),
            B3Error::SpanId(ParseIdError::Zero),
        ),
        (format!("{LONG}-{SPAN}-"), B3Error::Sampling),
        (format!("{LONG}-{SPAN}-2"), B3Error::Sampling),
        (format!("{LONG}-{SPAN}-true"), B3Error::Sampling),
        (format!("{LONG}-{SPAN}-1-"), B3Error::ParentSpanId),
        (
            format!("{LONG}-{SPAN}-1-05e3ac9a4f6e3b9x"),
            B3Error::ParentSpanId,
        ),
        (
            format!("{LONG}-{SPAN}-05e3ac9a4f6e3b9x"),
            B3Error::ParentSpanId,
        ),
        (format!("{LONG}-{SPAN}-1-{SPAN}-1"), B3Error::Trailing),
        (
            format!("{LONG}-{SPAN}-1,{LONG}-{SPAN}-1"),
            B3Error::Sampling,
        ),
    ] {
        assert_eq!(single(&value), Err(error), "{value:?}");
        assert!(error.to_string().contains("expected"), "{error}");
    }
}

#[test]
fn the_multi_headers_have_four_states() {
    for (sampled, flags, sampling) in [
        (Some("1"), None, ParentSampling::Sampled),
        (Some("true"), None, ParentSampling::Sampled),
        (Some("True"), None, ParentSampling::Sampled),
        (Some("0"), None, ParentSampling::NotSampled),
        (Some("false"), None, ParentSampling::NotSampled),
        (None, None, ParentSampling::Deferred),
        (Some(""), Some(""), ParentSampling::Deferred),
        (None, Some("0"), ParentSampling::Deferred),
        (Some("0"), Some("0"), ParentSampling::NotSampled),
        (None, Some("1"), ParentSampling::Debug),
        (Some("1"), Some("1"), ParentSampling::Debug),
        (Some("0"), Some("1"), ParentSampling::Debug),
    ] {
        for trace_id in [SHORT, LONG] {
            assert_eq!(
                multi(Some(trace_id), Some(SPAN), sampled, flags),
                Ok(Some(context(trace_id, sampling))),
                "{sampled:?} {flags:?}",
            );
        }
    }
}

#[test]
fn multi_headers_without_ids_are_a_decision_or_nothing() {
    let decision = |sampling| Ok(Some(B3::Decision(sampling)));
    assert_eq!(
        multi(None, None, Some("0"), None),
        decision(ParentSampling::NotSampled)
    );
    assert_eq!(
        multi(None, None, Some("1"), None),
        decision(ParentSampling::Sampled)
    );
    assert_eq!(
        multi(None, None, None, Some("1")),
        decision(ParentSampling::Debug)
    );
    assert_eq!(multi(None, None, None, Some("0")), Ok(None));
    assert_eq!(multi(Some(""), Some(" "), None, None), Ok(None));
    assert_eq!(multi(None, None, None, None), Ok(None));
}

#[test]
fn each_multi_header_has_its_error() {
    let hex = |expected| ParseIdError::Hex { expected };
    assert_eq!(
        multi(Some(LONG), None, Some("1"), None),
        Err(B3Error::Incomplete)
    );
    assert_eq!(
        multi(None, Some(SPAN), Some("1"), None),
        Err(B3Error::Incomplete)
    );
    assert_eq!(
        multi(Some(LONG), Some(SPAN), Some("d"), None),
        Err(B3Error::Sampling)
    );
    assert_eq!(
        multi(Some("1"), Some(SPAN), None, None),
        Err(B3Error::TraceId(hex(32)))
    );
    assert_eq!(
        multi(Some(LONG), Some("1"), None, None),
        Err(B3Error::SpanId(hex(16)))
    );
    assert_eq!(
        multi(Some(LONG), Some("0000000000000000"), None, None),
        Err(B3Error::SpanId(ParseIdError::Zero)),
    );
}

#[test]
fn debug_is_sent_without_the_decision_that_it_implies() {
    let B3::Context(debug) = context(LONG, ParentSampling::Debug) else {
        panic!()
    };
    let values = debug.format_multi();
    assert_eq!((values.sampled, values.flags), (None, Some("1")));
    assert_eq!(debug.format_single().as_str(), format!("{LONG}-{SPAN}-d"));
}

fn any_sampling() -> impl Strategy<Value = ParentSampling> {
    prop_oneof![
        Just(ParentSampling::Sampled),
        Just(ParentSampling::NotSampled),
        Just(ParentSampling::Deferred),
        Just(ParentSampling::Debug),
    ]
}

proptest! {
    #[test]
    fn parse_reverses_format(trace: [u8; 16], span: [u8; 8], sampling in any_sampling()) {
        let (Some(trace_id), Some(span_id)) = (TraceId::from_bytes(trace), SpanId::from_bytes(span))
        else {
            return Ok(());
        };
        let context = Context { trace_id, span_id, sampling };
        prop_assert_eq!(
            B3::parse_single(context.format_single().as_bytes()),
            Ok(B3::Context(context)),
        );
        let values = context.format_multi();
        let headers = MultiHeaders {
            trace_id: Some(&values.trace_id),
            span_id: Some(&values.span_id),
            sampled: values.sampled.map(str::as_bytes),
            flags: values.flags.map(str::as_bytes),
        };
        prop_assert_eq!(B3::parse_multi(&headers), Ok(Some(B3::Context(context))));
    }

    #[test]
    fn no_bytes_panic(
        value: Vec<u8>,
        trace_id: Option<Vec<u8>>,
        span_id: Option<Vec<u8>>,
        sampled: Option<Vec<u8>>,
        flags: Option<Vec<u8>>,
    ) {
        let _ = B3::parse_single(&value);
        let _ = B3::parse_multi(&MultiHeaders {
            trace_id: trace_id.as_deref(),
            span_id: span_id.as_deref(),
            sampled: sampled.as_deref(),
            flags: flags.as_deref(),
        });
    }

    #[test]
    fn nearly_valid_text_does_not_panic(text in "([0-9a-fA]{16}|[0-9]{32}|[01dx]|-){0,9}") {
        let _ = B3::parse_single(text.as_bytes());
    }
}
