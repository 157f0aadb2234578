use proptest::prelude::*;

use super::*;
use crate::extract;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

fn context(sampled: bool, debug: bool) -> SpanContext {
    SpanContext {
        trace_id: TraceId::from_hex(TRACE.as_bytes()).unwrap(),
        span_id: SpanId::from_hex(SPAN.as_bytes()).unwrap(),
        flags: TraceFlags::default().with_sampled(sampled),
        debug,
    }
}

fn sent(context: &SpanContext, format: Format) -> Vec<(&'static str, String)> {
    headers(context, format)
        .map(|(name, value)| (name, value.as_str().to_owned()))
        .collect()
}

fn stale(formats: &[Format], debug: bool) -> Vec<&'static str> {
    stale_headers(formats, debug).collect()
}

#[test]
fn trace_context_is_one_header() {
    let format = Format::TraceContext;
    let value = |flags| vec![("traceparent", format!("00-{TRACE}-{SPAN}-{flags}"))];
    assert_eq!(sent(&context(true, false), format), value("01"));
    assert_eq!(sent(&context(false, false), format), value("00"));
    assert_eq!(
        sent(&context(false, true), format),
        value("01"),
        "debug implies sampled"
    );
}

#[test]
fn b3_is_one_header() {
    let value = |state| vec![("b3", format!("{TRACE}-{SPAN}-{state}"))];
    assert_eq!(sent(&context(true, false), Format::B3), value("1"));
    assert_eq!(sent(&context(false, false), Format::B3), value("0"));
    assert_eq!(sent(&context(true, true), Format::B3), value("d"));
}

#[test]
fn b3multi_sends_the_decision_or_debug_and_never_both() {
    let value = |name, state: &str| {
        vec![
            ("x-b3-traceid", TRACE.to_owned()),
            ("x-b3-spanid", SPAN.to_owned()),
            (name, state.to_owned()),
        ]
    };
    assert_eq!(
        sent(&context(true, false), Format::B3Multi),
        value("x-b3-sampled", "1")
    );
    assert_eq!(
        sent(&context(false, false), Format::B3Multi),
        value("x-b3-sampled", "0")
    );
    assert_eq!(
        sent(&context(true, true), Format::B3Multi),
        value("x-b3-flags", "1")
    );
}

#[test]
fn b3_headers_that_are_not_written_are_stale() {
    let multi = [
        "x-b3-traceid",
        "x-b3-spanid",
        "x-b3-parentspanid",
        "x-b3-sampled",
        "x-b3-flags",
    ];
    assert_eq!(stale(&[Format::B3], false), multi);
    assert_eq!(stale(&[Format::B3], true), multi);
    assert_eq!(
        stale(&[Format::B3Multi], false),
        ["b3", "x-b3-parentspanid", "x-b3-flags"]
    );
    assert_eq!(
        stale(&[Format::B3Multi], true),
        ["b3", "x-b3-parentspanid", "x-b3-sampled"]
    );
    let both = [Format::B3, Format::B3Multi];
    assert_eq!(stale(&both, false), ["x-b3-parentspanid", "x-b3-flags"]);
    assert_eq!(stale(&both, true), ["x-b3-parentspanid", "x-b3-sampled"]);
}

#[test]
fn b3_headers_are_left_alone_where_b3_is_not_configured() {
    assert!(stale(&[Format::TraceContext], true).is_empty());
    assert!(stale(&[], false).is_empty());
}

#[test]
fn a_header_is_written_or_stale_or_of_another_family() {
    for debug in [false, true] {
        let written: Vec<_> = [Format::B3, Format::B3Multi]
            .into_iter()
            .flat_map(|format| sent(&context(true, debug), format))
            .map(|(name, _)| name)
            .collect();
        let stale = stale(&[Format::B3, Format::B3Multi], debug);
        for name in header::ALL.iter().skip(2) {
            assert!(written.contains(name) != stale.contains(name), "{name}");
        }
    }
}

proptest! {
    #[test]
    fn what_is_injected_is_extracted(trace: [u8; 16], span: [u8; 8], flags: u8, debug: bool) {
        let (Some(trace_id), Some(span_id)) = (TraceId::from_bytes(trace), SpanId::from_bytes(span))
        else {
            return Ok(());
        };
        let context = SpanContext { trace_id, span_id, flags: TraceFlags::from_bits(flags), debug };
        for format in Format::ALL {
            let sent: Vec<_> = headers(&context, format).collect();
            let extraction = extract(sent.as_slice(), &[format]);
            prop_assert!(extraction.invalid.is_empty());
            let remote = extraction.context.unwrap();
            prop_assert_eq!(
                (remote.trace_id, remote.parent_id, remote.format),
                (trace_id, span_id, format),
            );
            prop_assert_eq!(remote.flags.is_sampled(), context.flags.is_sampled() || debug);
            prop_assert_eq!(
                remote.sampling == ParentSampling::Debug,
                debug && format != Format::TraceContext,
            );
        }
    }
}
