use proptest::prelude::*;

use super::*;
use crate::encode::{put_bytes, put_fixed32, put_fixed64, put_uint, put_varint};

/// Wraps `content` into one field after the other, the first one outermost.
fn nest(fields: &[u32], content: &[u8]) -> Vec<u8> {
    fields.iter().rev().fold(content.to_vec(), |inner, field| {
        let mut outer = Vec::new();
        put_bytes(&mut outer, *field, &inner);
        outer
    })
}

fn error(signal: Signal, payload: &[u8]) -> String {
    check(signal, payload).unwrap_err().to_string()
}

/// The error of a span with this content.
fn span_error(span: &[u8]) -> String {
    let error = error(Signal::Traces, &nest(&[1, 2, 2], span));
    let rest = error.strip_prefix("resource_spans[0].scope_spans[0].spans[0]");
    rest.unwrap().to_owned()
}

#[test]
fn the_empty_request_is_valid_and_has_no_items() {
    for signal in Signal::all() {
        assert_eq!(check(signal, &[]), Ok(Counts { items: 0 }));
        assert_eq!(count(signal, &[]), 0);
    }
}

#[test]
fn an_error_names_the_path_of_the_field() {
    let mut scope = Vec::new();
    for id in [&[1u8; 16][..], &[], &[2; 16], &[3; 5]] {
        let mut span = Vec::new();
        put_bytes(&mut span, 1, id);
        put_fixed32(&mut span, 16, 0x101);
        put_bytes(&mut scope, 2, &span);
    }
    assert_eq!(
        error(Signal::Traces, &nest(&[1, 2], &scope)),
        "resource_spans[0].scope_spans[0].spans[3].trace_id: expected 0 or 16 bytes, but found 5"
    );
}

#[test]
fn an_error_in_the_request_itself_has_no_path() {
    let error = check(Signal::Logs, &[0x00]).unwrap_err();
    assert_eq!(error.path(), "");
    assert_eq!(error.problem(), Problem::Wire(wire::Error::FieldNumberZero));
    assert_eq!(
        error.to_string(),
        "expected a field number of at least 1, but found 0"
    );
}

#[test]
fn a_cut_off_field_names_the_field() {
    assert_eq!(
        error(Signal::Traces, &[0x0a, 9, 0]),
        "resource_spans[0]: expected 9 bytes, but found 1"
    );
    assert_eq!(
        span_error(&[0x39, 1, 2]),
        ".start_time_unix_nano: expected more bytes, but found the end"
    );
    assert_eq!(
        span_error(&[0x30, 0x80]),
        ".kind: expected more bytes, but found the end"
    );
    assert_eq!(
        span_error(&[0x85, 0x01, 0, 0]),
        ".flags: expected more bytes, but found the end"
    );
    assert_eq!(
        span_error(&[0x80]),
        ": expected more bytes, but found the end"
    );
}

#[test]
fn ids_have_their_length_or_none() {
    let cases = [
        (1, 16, "trace_id"),
        (2, 8, "span_id"),
        (4, 8, "parent_span_id"),
    ];
    for (field, length, name) in cases {
        for found in 0..40 {
            let mut span = Vec::new();
            put_bytes(&mut span, field, &vec![1; found]);
            if found == 0 || found == length {
                assert!(check(Signal::Traces, &nest(&[1, 2, 2], &span)).is_ok());
            } else {
                let expected = format!(".{name}: expected 0 or {length} bytes, but found {found}");
                assert_eq!(span_error(&span), expected);
            }
        }
    }
}

#[test]
fn strings_are_utf8() {
    let mut span = Vec::new();
    put_bytes(&mut span, 5, "Grüße, 世界".as_bytes());
    assert!(check(Signal::Traces, &nest(&[1, 2, 2], &span)).is_ok());
    put_bytes(&mut span, 5, b"caf\xe9");
    assert_eq!(
        span_error(&span),
        ".name: expected UTF-8, but found other bytes"
    );
    let key = nest(&[9, 2, 6, 1, 1], b"\xff");
    assert_eq!(
        span_error(&key),
        ".attributes[0].value.kvlist_value.values[0].key: expected UTF-8, but found other bytes"
    );
}

#[test]
fn bytes_are_any_bytes() {
    let value = nest(&[9, 2, 7], b"\xff");
    assert!(check(Signal::Traces, &nest(&[1, 2, 2], &value)).is_ok());
}

#[test]
fn a_field_of_another_type_is_refused() {
    let mut span = Vec::new();
    put_uint(&mut span, 5, 1);
    assert_eq!(
        span_error(&span),
        ".name: expected wire type 2 (length-delimited), but found wire type 0 (varint)"
    );
    let mut span = Vec::new();
    put_bytes(&mut span, 7, b"12345678");
    assert_eq!(
        span_error(&span),
        concat!(
            ".start_time_unix_nano: expected wire type 1 (64 bit), ",
            "but found wire type 2 (length-delimited)"
        )
    );
    let mut span = Vec::new();
    put_fixed64(&mut span, 16, 1);
    assert_eq!(
        span_error(&span),
        ".flags: expected wire type 5 (32 bit), but found wire type 1 (64 bit)"
    );
}

#[test]
fn groups_are_refused_in_known_and_unknown_fields() {
    for tag in [9 << 3 | 3, 9 << 3 | 4, 99 << 3 | 3] {
        let mut span = Vec::new();
        put_varint(&mut span, tag);
        let error = span_error(&span);
        assert!(
            error.ends_with(": expected no group, but found wire type 3 or 4"),
            "{error}"
        );
    }
}

#[test]
fn unknown_fields_are_passed_over_if_they_are_well_formed() {
    let mut unknown = Vec::new();
    for field in [17, 31, 32, 1000, wire::MAX_FIELD_NUMBER] {
        put_uint(&mut unknown, field, u64::MAX);
        put_fixed32(&mut unknown, field, 1);
        put_fixed64(&mut unknown, field, 1);
        put_bytes(&mut unknown, field, b"\xff\x00");
    }
    let mut span = unknown.clone();
    put_bytes(&mut span, 9, &unknown);
    let mut request = unknown.clone();
    request.extend(nest(&[1, 2, 2], &span));
    assert_eq!(check(Signal::Traces, &request), Ok(Counts { items: 1 }));
    request.pop();
    put_varint(&mut request, 1000 << 3 | 2);
    put_varint(&mut request, 5);
    assert!(check(Signal::Traces, &request).is_err());
}

#[test]
fn numbers_that_repeat_come_packed_or_one_by_one() {
    let mut point = Vec::new();
    put_fixed64(&mut point, 6, 1);
    put_bytes(&mut point, 6, &[0; 16]);
    put_bytes(&mut point, 7, &[]);
    let histogram = |point: &[u8]| nest(&[1, 2, 2, 9, 1], point);
    assert_eq!(
        check(Signal::Metrics, &histogram(&point)),
        Ok(Counts { items: 1 })
    );
    put_bytes(&mut point, 6, &[0; 15]);
    assert_eq!(
        error(Signal::Metrics, &histogram(&point)),
        concat!(
            "resource_metrics[0].scope_metrics[0].metrics[0].histogram.data_points[0]",
            ".bucket_counts[2]: expected more bytes, but found the end"
        )
    );
    let buckets = |run: &[u8]| nest(&[1, 2, 2, 10, 1, 8, 2], run);
    assert!(check(Signal::Metrics, &buckets(&[1, 0xff, 1, 0])).is_ok());
    assert!(check(Signal::Metrics, &buckets(&[1, 0xff])).is_err());
}

#[test]
fn metrics_count_data_points_of_every_kind() {
    let mut metrics = Vec::new();
    for kind in [5, 7, 9, 10, 11] {
        let mut data = nest(&[1], &[]);
        data.extend(nest(&[1], &[]));
        put_bytes(&mut metrics, 2, &nest(&[kind], &data));
    }
    let request = nest(&[1, 2], &metrics);
    assert_eq!(check(Signal::Metrics, &request), Ok(Counts { items: 10 }));
    assert_eq!(count(Signal::Metrics, &request), 10);
}

#[test]
fn messages_nest_as_deep_as_the_limit_and_no_deeper() {
    // ResourceLogs, ScopeLogs, LogRecord and the body, then AnyValue and ArrayValue in turns.
    let nested = |depth: usize| {
        let inner = [5, 1].into_iter().cycle().take(depth - 4);
        nest(
            &[1, 2, 2, 5].into_iter().chain(inner).collect::<Vec<_>>(),
            &[],
        )
    };
    assert!(check(Signal::Logs, &nested(MAX_DEPTH)).is_ok());
    let error = check(Signal::Logs, &nested(MAX_DEPTH + 1)).unwrap_err();
    assert_eq!(error.problem(), Problem::TooDeep);
    assert!(
        error
            .to_string()
            .ends_with("expected messages to nest at most 100 deep, but found deeper ones")
    );
    // Far deeper than the stack of a thread holds frames.
    assert!(check(Signal::Logs, &nested(10_000)).is_err());
}

/// What the shortcut for attributes lets pass is what the tables let pass.
#[test]
fn an_attribute_with_any_byte_changed_is_judged_by_the_same_rules() {
    let mut text = Vec::new();
    put_bytes(&mut text, 1, b"v\xc3\xa9");
    let mut ascii = Vec::new();
    put_bytes(&mut ascii, 1, b"abc");
    let mut number = Vec::new();
    put_uint(&mut number, 3, 300);
    let mut truth = Vec::new();
    put_uint(&mut truth, 2, 1);
    for value in [text, ascii, number, truth, Vec::new()] {
        let mut attribute = Vec::new();
        put_bytes(&mut attribute, 1, b"key");
        put_bytes(&mut attribute, 2, &value);
        for (at, byte) in (0..attribute.len()).flat_map(|at| (0..=u8::MAX).map(move |b| (at, b))) {
            let mut changed = attribute.clone();
            changed[at] = byte;
            let payload = nest(&[1, 2, 2, 9], &changed);
            let request = Signal::Traces.request();
            let fast = fast::is_well_formed(request, &payload, MAX_DEPTH, &mut 0);
            let explained = explain(request, &payload, 0, &mut 0);
            assert_eq!(fast, explained.is_ok(), "{changed:x?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(2_000),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Bytes out of which tags of OTLP, lengths and bad values are made.
    #[test]
    fn the_fast_check_and_the_one_that_explains_agree(
        content in prop::collection::vec(
            prop_oneof![
                prop::sample::select(&[
                    0x00, 0x01, 0x02, 0x03, 0x08, 0x09, 0x0a, 0x0d, 0x10, 0x12, 0x1a, 0x22, 0x2a,
                    0x32, 0x39, 0x3a, 0x42, 0x4a, 0x52, 0x5a, 0x6a, 0x7a, 0x80, 0x85, 0xff,
                ][..]),
                any::<u8>(),
            ],
            0..24,
        ),
        depth in 0..4usize,
    ) {
        for signal in Signal::all() {
            let payload = nest(&[1, 2, 2][..depth], &content);
            let (mut fast, mut explained) = (0, 0);
            let is_well_formed =
                fast::is_well_formed(signal.request(), &payload, MAX_DEPTH, &mut fast);
            let explanation = explain(signal.request(), &payload, 0, &mut explained);
            prop_assert_eq!(is_well_formed, explanation.is_ok());
            if is_well_formed {
                prop_assert_eq!(fast, explained);
            }
        }
    }
}
