//! Everything that this crate knows of OTLP, compared with `opentelemetry-proto` on generated
//! requests of all signals.

mod support;

use proptest::prelude::*;
use spanmesh_otlp::{
    Counts, Limits, Problem, Signal, check, count, json, split, split_within, view,
};

use self::support::{Request, request};

/// Changes to valid bytes that keep most of their structure.
fn damage() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
}

/// Whether the oracle would take a payload that breaks only a rule that it does not have.
fn is_our_own_rule(problem: Problem) -> bool {
    use spanmesh_otlp::wire::Error;
    matches!(
        problem,
        Problem::IdLength { .. } | Problem::Wire(Error::Group | Error::FieldNumberTooLarge)
    )
}

fn agrees_with_the_oracle(signal: Signal, payload: &[u8]) -> Result<(), TestCaseError> {
    match (check(signal, payload), Request::decode(signal, payload)) {
        (Ok(_), Ok(_)) | (Err(_), Err(_)) => Ok(()),
        (Err(ours), Ok(_)) => {
            prop_assert!(is_our_own_rule(ours.problem()), "only we refuse: {ours}");
            Ok(())
        }
        (Ok(_), Err(theirs)) => {
            prop_assert!(false, "only the oracle refuses: {theirs}");
            Ok(())
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        // PROPTEST_CASES asks for more.
        cases: ProptestConfig::default().cases.max(400),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn valid_requests_pass_with_their_items_counted(request in request()) {
        let payload = request.encode();
        let items = request.items().len();
        prop_assert_eq!(check(request.signal(), &payload), Ok(Counts { items }));
        prop_assert_eq!(count(request.signal(), &payload), items);
    }

    #[test]
    fn json_there_and_back_is_the_same_request(request in request()) {
        let signal = request.signal();
        let text = json::request_to_json(signal, &request.encode()).unwrap();
        let back = json::request_to_protobuf(signal, &text).unwrap();
        prop_assert!(check(signal, &back).is_ok());
        prop_assert_eq!(Request::decode(signal, &back).unwrap(), request);
    }

    #[test]
    fn json_is_what_serde_json_reads(request in request()) {
        let text = json::request_to_json(request.signal(), &request.encode()).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
        prop_assert!(value.is_object());
    }

    #[test]
    fn views_see_all_items_in_order(request in request()) {
        let payload = request.encode();
        let seen: Vec<_> = view::items(request.signal(), &payload).collect();
        prop_assert_eq!(seen, request.items());
    }

    #[test]
    fn parts_hold_all_items_in_order_and_no_more_than_allowed(
        request in request(),
        max_items in 1..5usize,
    ) {
        let signal = request.signal();
        let parts = split(signal, &request.encode(), max_items);
        let mut items = Vec::new();
        for (index, (part, size)) in parts.iter().enumerate() {
            prop_assert_eq!(check(signal, part), Ok(Counts { items: *size }));
            prop_assert!(*size <= max_items && *size > 0);
            prop_assert!(*size == max_items || index + 1 == parts.len());
            items.extend(Request::decode(signal, part).unwrap().items());
        }
        prop_assert_eq!(items, request.items());
    }

    #[test]
    fn parts_are_no_larger_than_allowed(
        request in request(),
        items in 0..5usize,
        bytes in 0..2_000usize,
    ) {
        let signal = request.signal();
        let parts = split_within(signal, &request.encode(), Limits { items, bytes });
        let mut all = Vec::new();
        for (part, size) in parts {
            prop_assert!(part.len() <= bytes || size == 1);
            prop_assert!(size <= items.max(1));
            all.extend(Request::decode(signal, &part).unwrap().items());
        }
        prop_assert_eq!(all, request.items());
    }

    #[test]
    fn joined_parts_are_a_request_of_all_items(request in request(), max_items in 1..5usize) {
        let signal = request.signal();
        let parts = split(signal, &request.encode(), max_items);
        let joined: Vec<u8> = parts.into_iter().flat_map(|(part, _)| part).collect();
        prop_assert_eq!(Request::decode(signal, &joined).unwrap().items(), request.items());
    }

    #[test]
    fn one_large_part_is_the_request_without_its_empty_envelopes(request in request()) {
        let signal = request.signal();
        let parts = split(signal, &request.encode(), usize::MAX);
        prop_assert_eq!(parts.len(), usize::from(!request.items().is_empty()));
        for (part, _) in parts {
            let again = split(signal, &part, usize::MAX);
            prop_assert_eq!(&again[0].0, &part);
        }
    }

    #[test]
    fn damaged_requests_are_judged_as_the_oracle_judges_them(
        request in request(),
        damage in damage(),
    ) {
        let mut payload = request.encode();
        if payload.is_empty() {
            return Ok(());
        }
        for (at, byte) in damage {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        agrees_with_the_oracle(request.signal(), &payload)?;
    }

    #[test]
    fn requests_cut_off_anywhere_are_judged_as_the_oracle_judges_them(request in request()) {
        let payload = request.encode();
        let step = 1 + payload.len() / 200;
        for length in (0..payload.len()).step_by(step) {
            agrees_with_the_oracle(request.signal(), &payload[..length])?;
        }
    }

    #[test]
    fn nothing_panics_on_damaged_requests(request in request(), damage in damage()) {
        let signal = request.signal();
        let mut payload = request.encode();
        if payload.is_empty() {
            return Ok(());
        }
        for (at, byte) in damage {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        run_all(signal, &payload);
        let mut text = json::request_to_json(signal, &request.encode()).unwrap();
        let at = payload.len() % text.len();
        text[at] = payload[0];
        let _ = json::request_to_protobuf(signal, &text);
    }

    #[test]
    fn nothing_panics_on_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for signal in Signal::all() {
            run_all(signal, &bytes);
            agrees_with_the_oracle(signal, &bytes)?;
            let _ = json::request_to_protobuf(signal, &bytes);
        }
    }
}

fn run_all(signal: Signal, bytes: &[u8]) {
    let _ = check(signal, bytes);
    let _ = json::request_to_json(signal, bytes);
    let _ = count(signal, bytes);
    let _ = split(signal, bytes, 2);
    let _ = spanmesh_otlp::response::decode(bytes);
    let _ = spanmesh_otlp::status::Status::decode(bytes);
    for resource in view::resources(bytes) {
        let _ = (
            resource.schema_url(),
            format!("{:?}", resource.attributes().collect::<Vec<_>>()),
        );
        for scope in resource.scopes() {
            let _ = (scope.name(), scope.version(), scope.attributes().count());
        }
    }
    for item in view::items(signal, bytes) {
        let span = view::Span::new(item);
        let _ = (span.attributes().count(), span.events().count());
        let _ = view::LogRecord::new(item).body().to_string();
    }
}
