use proptest::prelude::*;

use super::*;
use crate::Precision;

fn ot(value: &str) -> OtelTraceState<'_> {
    OtelTraceState::parse(value).unwrap()
}

fn formatted(state: &OtelTraceState<'_>) -> String {
    state
        .format()
        .map(|value| value.as_str().to_owned())
        .unwrap_or_default()
}

fn of_probability(probability: f64) -> Option<Threshold> {
    Threshold::from_probability(probability, Precision::default()).unwrap()
}

#[test]
fn sub_keys_are_read() {
    let state = ot("th:c;rv:9b8233f7e3a151;x:Y.z_-;a1:");
    assert_eq!(state.threshold(), of_probability(0.25));
    assert_eq!(state.randomness().unwrap().get(), 0x9b_8233_f7e3_a151);
    assert_eq!(
        state.others().collect::<Vec<_>>(),
        [("x", "Y.z_-"), ("a1", "")]
    );
}

#[test]
fn a_new_threshold_joins_what_is_there() {
    for (received, probability, sent) in [
        ("", 1.0, "th:0"),
        ("", 0.25, "th:c"),
        ("rv:9b8233f7e3a151", 0.5, "th:8;rv:9b8233f7e3a151"),
        (
            "b:2;rv:9b8233f7e3a151;th:4;a:1",
            0.5,
            "th:8;rv:9b8233f7e3a151;b:2;a:1",
        ),
    ] {
        let mut state = if received.is_empty() {
            OtelTraceState::default()
        } else {
            ot(received)
        };
        state.set_threshold(of_probability(probability));
        assert_eq!(formatted(&state), sent);
    }
}

#[test]
fn an_erased_threshold_leaves_the_rest() {
    let mut state = ot("th:8;rv:9b8233f7e3a151;a:1");
    state.set_threshold(None);
    assert_eq!(formatted(&state), "rv:9b8233f7e3a151;a:1");
    let mut state = ot("th:8");
    state.set_threshold(None);
    assert!(state.format().is_none());
}

#[test]
fn explicit_randomness_takes_the_place_of_the_trace_id() {
    let low_bits = 0xff12_3456_789a_bcde;
    assert_eq!(
        ot("th:8").randomness_or(low_bits).get(),
        0x12_3456_789a_bcde
    );
    assert_eq!(ot("rv:00000000000001").randomness_or(low_bits).get(), 1);
}

#[test]
fn a_threshold_that_contradicts_flag_or_randomness_is_erased() {
    for (value, sampled, erased, sent) in [
        (
            "th:8;rv:80000000000000",
            true,
            false,
            "th:8;rv:80000000000000",
        ),
        ("th:8;rv:7fffffffffffff", true, true, "rv:7fffffffffffff"),
        ("th:8;rv:80000000000000", false, true, "rv:80000000000000"),
        ("th:8;rv:7fffffffffffff", false, true, "rv:7fffffffffffff"),
        ("rv:80000000000000", true, false, "rv:80000000000000"),
    ] {
        let mut state = ot(value);
        assert_eq!(
            state.erase_inconsistent(sampled, 0),
            erased,
            "{value} {sampled}"
        );
        assert_eq!(formatted(&state), sent, "{value} {sampled}");
    }
    let mut state = ot("th:8");
    assert!(!state.erase_inconsistent(true, u64::MAX));
    assert!(state.erase_inconsistent(true, 0));
}

#[test]
fn each_mistake_has_its_error() {
    let member = |position| OtError::Member { position };
    for (value, error) in [
        ("", member(0)),
        ("th:1;", member(1)),
        (";th:1", member(0)),
        ("a:1;;b:2", member(1)),
        ("th", member(0)),
        ("th=1", member(0)),
        (":1", member(0)),
        ("A:1", member(0)),
        ("1a:1", member(0)),
        ("a_b:1", member(0)),
        ("a:1:2", member(0)),
        ("a: 1", member(0)),
        (" a:1", member(0)),
        ("a:1;b:2;a:3", OtError::DuplicateKey { position: 2 }),
        ("th:1;th:1", OtError::DuplicateKey { position: 1 }),
        ("th:", OtError::Threshold(ParseThresholdError { found: 0 })),
        ("th:A", OtError::Threshold(ParseThresholdError { found: 1 })),
        (
            "th:123456789abcdef",
            OtError::Threshold(ParseThresholdError { found: 15 }),
        ),
        (
            "rv:",
            OtError::Randomness(ParseRandomnessError { found: 0 }),
        ),
        (
            "rv:9b8233f7e3a15",
            OtError::Randomness(ParseRandomnessError { found: 13 }),
        ),
        (
            "rv:9b8233f7e3a1511",
            OtError::Randomness(ParseRandomnessError { found: 15 }),
        ),
        (
            "rv:9B8233F7E3A151",
            OtError::Randomness(ParseRandomnessError { found: 14 }),
        ),
    ] {
        let found = OtelTraceState::parse(value).unwrap_err();
        assert_eq!(found, error, "{value:?}");
        assert!(found.to_string().contains("expected"), "{found}");
    }
}

#[test]
fn a_value_has_at_most_256_characters() {
    let value = format!("a:{}", "x".repeat(254));
    assert_eq!(formatted(&ot(&value)), value);
    let found = OtelTraceState::parse(&format!("{value}x")).unwrap_err();
    assert_eq!(found, OtError::TooLong { found: 257 });
}

#[test]
fn a_threshold_that_needs_room_drops_whole_members_from_the_right() {
    let value = format!("a:1;b:{}", "x".repeat(250));
    let mut state = ot(&value);
    state.set_threshold(of_probability(0.5));
    assert_eq!(formatted(&state), "th:8;a:1");
}

#[test]
fn a_key_that_another_begins_with_is_no_duplicate() {
    assert_eq!(ot("ab:1;a:2;abc:3").others().count(), 3);
}

proptest! {
    #[test]
    fn parse_reverses_format(
        threshold in prop::option::of("[0-9a-f]{1,14}"),
        randomness in prop::option::of("[0-9a-f]{14}"),
        others in prop::collection::btree_map("[a-su-z][a-z0-9]{0,3}", "[A-Za-z0-9._-]{0,8}", 0..8),
    ) {
        let others: Vec<_> = others.into_iter().filter(|(key, _)| key != "rv").collect();
        let mut parts: Vec<String> = others.iter().map(|(k, v)| format!("{k}:{v}")).collect();
        parts.extend(threshold.map(|digits| format!("th:{digits}")));
        parts.extend(randomness.map(|digits| format!("rv:{digits}")));
        if parts.is_empty() {
            return Ok(());
        }
        let value = parts.join(";");
        let state = ot(&value);
        let sent = formatted(&state);
        let again = ot(&sent);
        prop_assert_eq!(again.threshold(), state.threshold());
        prop_assert_eq!(again.randomness(), state.randomness());
        let kept: Vec<_> = again.others().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        prop_assert_eq!(kept, others);
        prop_assert_eq!(formatted(&again), sent);
    }

    #[test]
    fn no_text_panics(value: String, nearly in "[a-c:;0-9]{0,40}|(th|rv):[0-9a-f]{0,16};?") {
        for value in [value, nearly] {
            if let Ok(state) = OtelTraceState::parse(&value) {
                prop_assert!(state.format().is_some());
            }
        }
    }
}
