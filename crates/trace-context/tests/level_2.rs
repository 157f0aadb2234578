//! W3C Trace Context Level 2, seen from outside: what a hop sends on for what it received.
//!
//! One test per rule that the official suite checks (`test/test.py` of w3c/trace-context), and the
//! rules of the specification around it, against a hop made of this crate alone.

use spanmesh_trace_context::{
    Format, HeaderValue, SpanContext, SpanId, TraceFlags, TraceId, TraceParent, TraceState,
    extract, header, headers,
};

const TRACE: &str = "12345678901234567890123456789012";
const PARENT: &str = "1234567890123456";
const VALID: &str = "00-12345678901234567890123456789012-1234567890123456-01";
const UNSAMPLED: &str = "00-12345678901234567890123456789012-1234567890123456-00";

/// A hop that continues or starts a trace; each request gets ids of its own.
#[derive(Default)]
struct Hop {
    requests: u64,
}

/// What the hop sent on.
struct Sent {
    traceparent: TraceParent,
    tracestate: String,
}

impl Hop {
    fn forward(&mut self, received: &[(&str, &str)]) -> Sent {
        self.requests += 1;
        let extraction = extract(received, &[Format::TraceContext]);
        let new_trace = (u128::from(self.requests) << 64) + 0xabcdef;
        let span_id = SpanId::from_bytes((self.requests + 0xf00).to_be_bytes()).unwrap();
        let mut tracestate = String::new();
        let context = match extraction.context {
            Some(remote) => {
                if let Some(list) = &remote.tracestate {
                    tracestate = list.as_str().to_owned();
                }
                SpanContext {
                    trace_id: remote.trace_id,
                    span_id,
                    flags: remote.flags,
                    debug: false,
                }
            }
            None => SpanContext {
                trace_id: TraceId::from_bytes(new_trace.to_be_bytes()).unwrap(),
                span_id,
                flags: TraceFlags::SAMPLED.with_random(true),
                debug: false,
            },
        };
        let sent: Vec<(&str, HeaderValue)> = headers(&context, Format::TraceContext).collect();
        let [(name, value)] = sent.as_slice() else {
            panic!("expected one header: {sent:?}")
        };
        assert_eq!(*name, header::TRACEPARENT);
        Sent {
            traceparent: TraceParent::parse(value.as_bytes()).unwrap(),
            tracestate,
        }
    }
}

fn forward(received: &[(&str, &str)]) -> Sent {
    Hop::default().forward(received)
}

#[track_caller]
fn assert_continues(received: &[(&str, &str)]) -> Sent {
    let sent = forward(received);
    assert_eq!(sent.traceparent.trace_id.to_string(), TRACE, "{received:?}");
    assert_ne!(
        sent.traceparent.parent_id.to_string(),
        PARENT,
        "{received:?}"
    );
    sent
}

#[track_caller]
fn assert_restarts(received: &[(&str, &str)]) {
    let sent = forward(received);
    let trace_id = sent.traceparent.trace_id.to_string();
    assert!(
        trace_id.ends_with("abcdef"),
        "{received:?}: continued {trace_id}"
    );
    assert_eq!(sent.tracestate, "", "{received:?}");
}

#[track_caller]
fn assert_values_restart(values: &[&str]) {
    for value in values {
        assert_restarts(&[("traceparent", value), ("tracestate", "foo=1")]);
    }
}

/// The list that is sent on for these `tracestate` headers.
fn tracestate(values: &[&str]) -> String {
    let mut received = vec![("traceparent", UNSAMPLED)];
    received.extend(values.iter().map(|value| ("tracestate", *value)));
    assert_continues(&received).tracestate
}

#[track_caller]
fn assert_inherited(values: &[&str], members: &[(&str, &str)]) {
    let sent = tracestate(values);
    let list = TraceState::parse([sent.as_bytes()]).unwrap();
    assert_eq!(list.iter().collect::<Vec<_>>(), members, "{values:?}");
}

#[track_caller]
fn assert_discarded(values: &[&str]) {
    assert_eq!(tracestate(values), "", "{values:?}");
}

// === traceparent ===

#[test]
fn a_request_without_context_starts_a_trace() {
    assert_restarts(&[]);
}

#[test]
fn a_lone_traceparent_is_continued_with_a_new_parent_id() {
    assert_continues(&[("traceparent", VALID)]);
}

#[test]
fn two_traceparents_restart() {
    let other = "00-12345678901234567890123456789011-1234567890123456-01";
    assert_restarts(&[("traceparent", other), ("traceparent", VALID)]);
    assert_restarts(&[("traceparent", VALID), ("traceparent", VALID)]);
    assert_restarts(&[("traceparent", VALID), ("TraceParent", other)]);
}

#[test]
fn two_traceparents_joined_by_a_proxy_restart() {
    assert_values_restart(&[
        &format!("{VALID},{VALID}"),
        &format!("{VALID}, {VALID}"),
        &format!("cc{},{VALID}", &VALID[2..]),
        &format!("cc{}-more,{VALID}", &VALID[2..]),
    ]);
}

#[test]
fn similar_header_names_are_not_traceparent() {
    for name in ["trace-parent", "trace.parent", "traceparen", "traceparents"] {
        assert_restarts(&[(name, VALID)]);
    }
}

#[test]
fn the_case_of_the_name_does_not_matter() {
    for name in ["TraceParent", "TrAcEpArEnT", "TRACEPARENT"] {
        assert_continues(&[(name, VALID)]);
    }
}

#[test]
fn version_00_ends_after_the_flags() {
    for more in [".", "-", "-what-comes-next", "0"] {
        assert_values_restart(&[&format!("{VALID}{more}")]);
    }
}

#[test]
fn a_later_version_may_go_on_after_a_dash() {
    let later = format!("cc{}", &VALID[2..]);
    assert_continues(&[("traceparent", &later)]);
    assert_continues(&[("traceparent", &format!("{later}-"))]);
    assert_continues(&[("traceparent", &format!("{later}-what-comes-next"))]);
    assert_values_restart(&[&format!("{later}.what-comes-next"), &format!("{later}0")]);
}

#[test]
fn every_version_but_ff_is_continued() {
    for version in 0x00..=0xfe {
        let value = format!("{version:02x}{}", &VALID[2..]);
        assert_continues(&[("traceparent", &value)]);
        if version > 0 {
            assert_continues(&[("traceparent", &format!("{value}-more"))]);
        }
    }
    assert_values_restart(&[
        &format!("ff{}", &VALID[2..]),
        &format!("ff{}-more", &VALID[2..]),
    ]);
}

#[test]
fn a_version_is_two_lower_case_hex_digits() {
    for version in [".0", "0.", "0", "000", "0000", "", "CC", "0x", " 0", "+0"] {
        assert_values_restart(&[&format!("{version}{}", &VALID[2..])]);
    }
}

#[test]
fn a_trace_id_is_32_lower_case_hex_digits_and_not_zero() {
    for trace_id in [
        "00000000000000000000000000000000",
        ".2345678901234567890123456789012",
        "1234567890123456789012345678901.",
        "123456789012345678901234567890123",
        "1234567890123456789012345678901",
        "1234567890123456789012345678901A",
        "",
    ] {
        assert_values_restart(&[&format!("00-{trace_id}-{PARENT}-01")]);
    }
}

#[test]
fn a_parent_id_is_16_lower_case_hex_digits_and_not_zero() {
    for parent_id in [
        "0000000000000000",
        ".234567890123456",
        "123456789012345.",
        "12345678901234567",
        "123456789012345",
        "123456789012345A",
        "",
    ] {
        assert_values_restart(&[&format!("00-{TRACE}-{parent_id}-01")]);
    }
}

#[test]
fn flags_are_two_lower_case_hex_digits() {
    for flags in [".0", "0.", "001", "1", "", "0A", "0x"] {
        assert_values_restart(&[&format!("00-{TRACE}-{PARENT}-{flags}")]);
    }
}

#[test]
fn white_space_around_traceparent_is_no_part_of_it() {
    for (before, after) in [(" ", ""), ("\t", ""), ("", " "), ("", "\t"), ("\t ", " \t")] {
        assert_continues(&[("traceparent", &format!("{before}{VALID}{after}"))]);
    }
    // Other control characters are not optional white space.
    assert_values_restart(&[&format!("\u{b}{VALID}"), &format!("{VALID}\u{c}")]);
}

#[test]
fn the_random_flag_is_passed_on_as_received() {
    for (received, sent) in [("00", 0), ("01", 1), ("02", 2), ("03", 3)] {
        let value = format!("00-{TRACE}-{PARENT}-{received}");
        let traceparent = assert_continues(&[("traceparent", &value)]).traceparent;
        assert_eq!(traceparent.flags.bits(), sent);
    }
}

#[test]
fn unknown_flags_are_accepted_and_not_sent_on() {
    let value = format!("00-{TRACE}-{PARENT}-fd");
    assert_eq!(
        assert_continues(&[("traceparent", &value)])
            .traceparent
            .flags
            .bits(),
        1
    );
}

#[test]
fn each_request_of_a_trace_gets_its_own_parent_id() {
    let mut hop = Hop::default();
    let invalid = format!("00-{}-{PARENT}-01", "0".repeat(32));
    for received in [
        &[("traceparent", VALID)][..],
        &[],
        &[("traceparent", &invalid)],
    ] {
        let sent = [(); 3].map(|()| hop.forward(received).traceparent);
        assert_ne!(sent[0].parent_id, sent[1].parent_id);
        assert_ne!(sent[1].parent_id, sent[2].parent_id);
        assert_ne!(sent[2].parent_id, sent[0].parent_id);
        assert_eq!(
            received == [("traceparent", VALID)],
            sent[0].trace_id == sent[1].trace_id
        );
    }
}

// === tracestate ===

#[test]
fn a_tracestate_without_traceparent_is_discarded() {
    assert_restarts(&[("tracestate", "foo=1")]);
    assert_restarts(&[("tracestate", "foo=1,bar=2")]);
}

#[test]
fn a_tracestate_beside_a_traceparent_is_inherited() {
    assert_inherited(&["foo=1,bar=2"], &[("foo", "1"), ("bar", "2")]);
}

#[test]
fn a_bad_tracestate_does_not_affect_the_traceparent() {
    assert_continues(&[("traceparent", VALID), ("tracestate", "FOO")]);
}

#[test]
fn similar_header_names_are_not_tracestate() {
    for name in ["trace-state", "trace.state"] {
        let sent = assert_continues(&[("traceparent", UNSAMPLED), (name, "foo=1")]);
        assert_eq!(sent.tracestate, "");
    }
}

#[test]
fn the_case_of_the_tracestate_name_does_not_matter() {
    for name in ["TraceState", "TrAcEsTaTe", "TRACESTATE"] {
        let sent = assert_continues(&[("traceparent", UNSAMPLED), (name, "foo=1")]);
        assert_eq!(sent.tracestate, "foo=1");
    }
}

#[test]
fn empty_tracestate_headers_are_passed_over() {
    assert_discarded(&[""]);
    assert_discarded(&["", " ", ",", " ,\t,"]);
    assert_inherited(&["foo=1", ""], &[("foo", "1")]);
    assert_inherited(&["", "foo=1"], &[("foo", "1")]);
    assert_eq!(tracestate(&["", "foo=1", "", "bar=2", ""]), "foo=1,bar=2");
}

#[test]
fn several_tracestate_headers_combine_in_order() {
    assert_inherited(
        &["foo=1,bar=2", "rojo=1,congo=2", "baz=3"],
        &[
            ("foo", "1"),
            ("bar", "2"),
            ("rojo", "1"),
            ("congo", "2"),
            ("baz", "3"),
        ],
    );
}

#[test]
fn duplicate_keys_are_kept_as_they_are() {
    assert_inherited(&["foo=1,foo=1"], &[("foo", "1"), ("foo", "1")]);
    assert_inherited(&["foo=1,foo=2"], &[("foo", "1"), ("foo", "2")]);
    assert_inherited(&["foo=1", "foo=1"], &[("foo", "1"), ("foo", "1")]);
    assert_inherited(&["foo=1", "foo=2"], &[("foo", "1"), ("foo", "2")]);
}

#[test]
fn every_legal_character_is_kept() {
    let key: String = ('a'..='z').chain('0'..='9').chain("_-*/".chars()).collect();
    let key_with_at = format!("{key}@a-z0-9_-*/");
    let value: String = (' '..='~')
        .filter(|letter| !matches!(letter, ',' | '='))
        .collect();
    for key in [key, key_with_at] {
        assert_inherited(&[&format!("{key}={value}")], &[(&key, &value)]);
    }
}

#[test]
fn white_space_and_empty_members_separate() {
    let expected = [("foo", "1"), ("bar", "2"), ("baz", "3")];
    assert_inherited(&["foo=1 \t , \t bar=2, \t baz=3"], &expected);
    assert_inherited(&["foo=1\t \t,\t \tbar=2,\t \tbaz=3"], &expected);
    assert_inherited(&["foo=1,,bar=2, ,baz=3,"], &expected);
    for value in [" foo=1", "\tfoo=1", "foo=1 ", "foo=1\t", "\t foo=1 \t"] {
        assert_inherited(&[value], &[("foo", "1")]);
    }
}

#[test]
fn an_illegal_key_discards_the_list() {
    for key in [
        "foo ", "FOO", "foo.bar", "@foo", "_foo", "-foo", "*foo", "/foo", "f\u{f6}o", "",
    ] {
        assert_discarded(&[&format!("{key}=1")]);
        assert_discarded(&[&format!("bar=2,{key}=1")]);
        assert_discarded(&["bar=2", &format!("{key}=1"), "baz=3"]);
    }
}

#[test]
fn an_at_sign_may_stand_anywhere_but_first() {
    for key in ["foo@", "foo@@bar", "foo@bar@baz", "0@", "0foo"] {
        assert_inherited(&[&format!("{key}=1,bar=2")], &[(key, "1"), ("bar", "2")]);
    }
    assert_discarded(&["@foo=1,bar=2"]);
}

#[test]
fn thirty_two_members_are_inherited_and_thirty_three_discarded() {
    let member = |number: usize| format!("bar{number:02}={number:02}");
    let header = |numbers: std::ops::RangeInclusive<usize>| {
        numbers.map(member).collect::<Vec<_>>().join(",")
    };
    let mut values = [
        header(1..=10),
        header(11..=20),
        header(21..=30),
        header(31..=32),
    ];
    let sent = tracestate(&values.each_ref().map(String::as_str));
    assert_eq!(sent, header(1..=32));
    values[3] = header(31..=33);
    assert_discarded(&values.each_ref().map(String::as_str));
    assert_discarded(&[&header(1..=33)]);
    // Empty members do not count.
    assert_inherited(&[&(",".repeat(40) + "foo=1")], &[("foo", "1")]);
}

#[test]
fn a_key_has_at_most_256_characters() {
    let at = |before: usize, after: usize| format!("{}@{}", "t".repeat(before), "v".repeat(after));
    for key in ["z".repeat(256), at(241, 14), at(242, 1), at(1, 15)] {
        assert_inherited(
            &["foo=1", &format!("{key}=1")],
            &[("foo", "1"), (&key, "1")],
        );
    }
    assert_discarded(&["foo=1", &format!("{}=1", "z".repeat(257))]);
}

#[test]
fn an_illegal_value_discards_the_list() {
    for member in [
        "foo=bar=baz",
        "foo=",
        "foo= ",
        "foo",
        "foo=a\tb",
        "foo=\u{7f}",
        "foo=\u{e9}",
    ] {
        assert_discarded(&[&format!("{member},bar=3")]);
        assert_discarded(&[&format!("bar=3,{member}")]);
    }
}

#[test]
fn a_value_has_at_most_256_characters() {
    let value = "v".repeat(256);
    assert_inherited(&[&format!("foo={value}")], &[("foo", &value)]);
    assert_discarded(&[&format!("foo={value}v")]);
}

#[test]
fn a_long_list_passes_whole() {
    let list = (0..32)
        .map(|n| format!("k{n}={}", "v".repeat(100)))
        .collect::<Vec<_>>()
        .join(",");
    assert!(list.len() > 512);
    assert_eq!(tracestate(&[&list]), list);
}
