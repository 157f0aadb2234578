use super::*;
use crate::testing::{FakeHost, root};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Passes these headers through a hop that keeps every root.
fn pass(formats: &[Format], headers: &[(&str, &str)]) -> (FakeHost, Hop) {
    let host = FakeHost::default();
    for (name, value) in headers {
        host.set_header(name, value);
    }
    let names: Vec<&str> = formats.iter().map(|format| format.name()).collect();
    let active = root(&host, &format!(r#"{{"propagators": {names:?}}}"#)).active();
    let arrived = host.request_headers();
    let request = Request::new(&arrived);
    let subject = Arrived {
        headers: &arrived,
        request: &request,
    };
    let hop = Hop::new(&host, &subject, &active).unwrap();
    hop.inject(&host, &arrived, formats);
    active.stats.publish(&host);
    (host, hop)
}

/// The one value of a header that is passed on.
fn one(host: &FakeHost, name: &str) -> String {
    let values = host.header(name);
    assert_eq!(values.len(), 1, "{name}: {values:?}");
    values[0].clone()
}

#[test]
fn a_w3c_context_goes_on_with_a_new_span_id() {
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let (host, hop) = pass(
        &[Format::TraceContext],
        &[("traceparent", &parent), ("tracestate", "a=1 , b=2")],
    );
    let traceparent = one(&host, "traceparent");
    assert!(traceparent.starts_with(&format!("00-{TRACE}-")) && traceparent.ends_with("-01"));
    assert!(!traceparent.contains(PARENT));
    assert_eq!(one(&host, "tracestate"), "a=1 , b=2");
    assert_eq!(hop.identity.parent.unwrap().to_hex(), PARENT.as_bytes());
    assert!(hop.sampled);
}

#[test]
fn an_unsampled_context_goes_on_unsampled_with_a_new_span_id() {
    let parent = format!("00-{TRACE}-{PARENT}-02");
    let (host, hop) = pass(&[Format::TraceContext], &[("traceparent", &parent)]);
    let traceparent = one(&host, "traceparent");
    assert!(traceparent.starts_with(&format!("00-{TRACE}-")) && traceparent.ends_with("-02"));
    assert!(!traceparent.contains(PARENT) && !hop.sampled);
}

#[test]
fn a_new_trace_is_random_and_says_so_and_has_a_threshold() {
    let (host, hop) = pass(&[Format::TraceContext], &[]);
    assert!(one(&host, "traceparent").ends_with("-03"));
    assert_eq!(one(&host, "tracestate"), "ot=th:0");
    assert_eq!(hop.identity.parent, None);
}

#[test]
fn an_invalid_traceparent_starts_a_new_trace_and_takes_the_tracestate_along() {
    for bad in [
        "",
        "00-x",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ] {
        let (host, _) = pass(
            &[Format::TraceContext],
            &[("traceparent", bad), ("tracestate", "a=1")],
        );
        assert!(!one(&host, "traceparent").contains(TRACE), "{bad}");
        assert_eq!(one(&host, "tracestate"), "ot=th:0");
        assert_eq!(host.stat("propagation.invalid.traceparent"), 1);
    }
}

#[test]
fn repeated_headers_are_replaced_by_one() {
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let headers = [
        ("traceparent", parent.as_str()),
        ("traceparent", parent.as_str()),
    ];
    let (host, _) = pass(&[Format::TraceContext], &headers);
    assert!(!one(&host, "traceparent").contains(TRACE));
}

#[test]
fn several_tracestate_headers_stay_as_they_are() {
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let headers = [
        ("traceparent", parent.as_str()),
        ("tracestate", "a=1"),
        ("tracestate", "b=2"),
    ];
    let (host, hop) = pass(&[Format::TraceContext], &headers);
    assert_eq!(host.header("tracestate"), ["a=1", "b=2"]);
    assert_eq!(hop.identity.tracestate, b"a=1,b=2");
}

#[test]
fn empty_members_are_not_passed_on() {
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let headers = [
        ("traceparent", parent.as_str()),
        ("tracestate", "a=1,, b=2,"),
        ("tracestate", ""),
    ];
    let (host, _) = pass(&[Format::TraceContext], &headers);
    assert_eq!(host.header("tracestate"), ["a=1,b=2"]);
}

#[test]
fn an_invalid_tracestate_is_dropped_and_the_trace_goes_on() {
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let headers = [("traceparent", parent.as_str()), ("tracestate", "A=1")];
    let (host, _) = pass(&[Format::TraceContext], &headers);
    assert!(one(&host, "traceparent").contains(TRACE));
    assert!(host.header("tracestate").is_empty());
    assert_eq!(host.stat("propagation.invalid.tracestate"), 1);
}

#[test]
fn b3_single_goes_on_in_every_configured_format() {
    let formats = [Format::B3, Format::TraceContext];
    let single = format!("{TRACE}-{PARENT}-1-{PARENT}");
    let headers = [
        ("b3", single.as_str()),
        ("tracestate", "stale=1"),
        ("x-b3-parentspanid", PARENT),
    ];
    let (host, hop) = pass(&formats, &headers);
    let span = String::from_utf8(hop.identity.span_id.to_hex().to_vec()).unwrap();
    assert_eq!(one(&host, "b3"), format!("{TRACE}-{span}-1"));
    assert_eq!(one(&host, "traceparent"), format!("00-{TRACE}-{span}-01"));
    assert!(host.header("tracestate").is_empty() && host.header("x-b3-parentspanid").is_empty());
}

#[test]
fn b3_debug_goes_on_as_debug_and_is_sampled() {
    let headers = [
        ("x-b3-traceid", TRACE),
        ("x-b3-spanid", PARENT),
        ("x-b3-flags", "1"),
        ("x-b3-sampled", "0"),
    ];
    let (host, hop) = pass(&[Format::B3Multi, Format::TraceContext], &headers);
    assert_eq!(one(&host, "x-b3-flags"), "1");
    assert!(host.header("x-b3-sampled").is_empty());
    assert!(one(&host, "traceparent").ends_with("-01") && hop.sampled);
}

#[test]
fn b3_deny_without_ids_is_a_new_unsampled_trace() {
    let (host, hop) = pass(&[Format::B3], &[("b3", "0")]);
    assert!(one(&host, "b3").ends_with("-0"));
    assert!(!hop.sampled && hop.identity.parent.is_none());
}

#[test]
fn the_first_valid_format_wins_and_invalid_ones_are_passed_over() {
    let formats = [Format::TraceContext, Format::B3];
    let single = format!("{TRACE}-{PARENT}-1");
    let (host, hop) = pass(&formats, &[("traceparent", "bad"), ("b3", &single)]);
    assert_eq!(hop.identity.trace_id.to_hex(), TRACE.as_bytes());
    assert_eq!(host.stat("propagation.invalid.traceparent"), 1);
    assert!(one(&host, "traceparent").contains(TRACE));
}

#[test]
fn the_headers_of_a_format_that_is_not_configured_are_not_touched() {
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let (host, _) = pass(
        &[Format::B3],
        &[("traceparent", &parent), ("tracestate", "a=1")],
    );
    assert_eq!(one(&host, "traceparent"), parent);
    assert_eq!(one(&host, "tracestate"), "a=1");
    assert!(!one(&host, "b3").contains(TRACE));
}

proptest::proptest! {
    #[test]
    fn no_header_panics(
        traceparent in ".*", tracestate in ".*", b3 in ".*", trace in ".*", span in ".*",
    ) {
        pass(&Format::ALL, &[
            ("traceparent", &traceparent), ("tracestate", &tracestate), ("b3", &b3),
            ("x-b3-traceid", &trace), ("x-b3-spanid", &span),
        ]);
    }
}
