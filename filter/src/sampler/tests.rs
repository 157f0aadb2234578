use super::*;
use crate::testing::{FakeHost, config};

const TRACE_ID: &str = "4bf92f3577b34da6a39b8233f7e3a151";

/// What a sampler makes of a request.
fn decide(
    sampler: &Sampler,
    host: &FakeHost,
    parent: Option<ParentSampling>,
    list: &str,
) -> Option<Verdict> {
    let headers = host.request_headers();
    let trace_id = TraceId::from_hex(TRACE_ID.as_bytes()).unwrap();
    let list = TraceState::parse([list.as_bytes()]).unwrap();
    let subject = Subject {
        headers: &headers,
        request: &Request::new(&headers),
        parent,
        trace_id: &trace_id,
        tracestate: Some(&list).filter(|list| !list.is_empty()),
    };
    sampler.decide(host, &subject, &Stats::define(host))
}

/// What becomes of a decision and a list.
fn check(
    ratio: f64,
    parent_based: bool,
    parent: Option<ParentSampling>,
    list: &str,
    expected: (bool, Option<&str>),
) {
    let otherwise = Policy::ratio(ratio).unwrap();
    let sampler = Sampler {
        parent_based,
        rules: Vec::new(),
        otherwise,
        limit: None,
    };
    let verdict = decide(&sampler, &FakeHost::default(), parent, list).unwrap();
    let tracestate = verdict.tracestate.as_ref().map(TraceState::as_str);
    assert_eq!(
        (verdict.sampled, tracestate),
        expected,
        "{ratio} {parent:?} {list:?}"
    );
}

/// The sampler of this configuration.
fn sampler(document: &str) -> Sampler {
    config(&format!(r#"{{"sampler": {document}}}"#)).sampler
}

#[test]
fn roots_are_kept_by_the_low_bits_of_the_trace_id() {
    check(1.0, true, None, "", (true, Some("ot=th:0")));
    check(0.7, true, None, "", (true, Some("ot=th:4cccd")));
    check(0.5, true, None, "", (true, Some("ot=th:8")));
    check(0.25, true, None, "", (false, None));
    check(0.0, true, None, "", (false, None));
}

#[test]
fn explicit_randomness_takes_the_trace_ids_place() {
    let list = "a=1,ot=rv:00000000000000";
    check(
        0.5,
        false,
        Some(ParentSampling::Sampled),
        list,
        (false, None),
    );
    check(
        1.0,
        false,
        Some(ParentSampling::Sampled),
        list,
        (true, Some("ot=th:0;rv:00000000000000,a=1")),
    );
}

#[test]
fn a_parent_stands_and_its_threshold_with_it() {
    check(
        0.0,
        true,
        Some(ParentSampling::Sampled),
        "ot=th:8,a=1",
        (true, None),
    );
    check(
        1.0,
        true,
        Some(ParentSampling::NotSampled),
        "a=1",
        (false, None),
    );
}

#[test]
fn a_threshold_that_contradicts_the_decision_is_erased() {
    check(
        1.0,
        true,
        Some(ParentSampling::NotSampled),
        "ot=th:8,a=1",
        (false, Some("a=1")),
    );
    check(
        1.0,
        true,
        Some(ParentSampling::Sampled),
        "a=1,ot=th:c;x:y",
        (true, Some("ot=x:y,a=1")),
    );
}

#[test]
fn a_deferred_decision_is_made_here() {
    check(
        0.5,
        true,
        Some(ParentSampling::Deferred),
        "",
        (true, Some("ot=th:8")),
    );
    check(
        0.25,
        true,
        Some(ParentSampling::Deferred),
        "",
        (false, None),
    );
}

#[test]
fn debug_is_sampled_whatever_the_ratio() {
    check(0.0, false, Some(ParentSampling::Debug), "", (true, None));
}

#[test]
fn an_invalid_member_is_left_alone_by_those_who_only_follow() {
    check(
        1.0,
        true,
        Some(ParentSampling::Sampled),
        "ot=th:zz",
        (true, None),
    );
}

#[test]
fn one_percent_has_the_specifications_threshold() {
    let Policy::Ratio(Some(threshold)) = Policy::ratio(0.01).unwrap() else {
        panic!("a ratio")
    };
    assert_eq!(threshold.to_hex().as_str(), "fd70a4");
}

#[test]
fn a_ratio_is_a_probability() {
    for ratio in [1.5, -0.1, f64::NAN, 1e-300] {
        assert!(Policy::ratio(ratio).is_none(), "{ratio}");
    }
}

#[test]
fn the_first_rule_that_matches_decides() {
    let sampler = sampler(
        r#"{"ratio": 0, "rules": [
            {"match": {"path": "/healthz"}, "decision": "never"},
            {"match": {"method": "POST", "path_prefix": "/api/"}, "decision": "always"},
            {"match": {"host": "CART.shop"}, "ratio": 0.5},
            {"match": {"header": {"name": "x-debug"}}, "decision": "always"},
            {"match": {"header": {"name": "x-tier", "value": "gold"}}, "decision": "always"}]}"#,
    );
    let check = |headers: &[(&str, &str)], expected: Option<(bool, Option<&str>)>| {
        let host = FakeHost::default();
        for (name, value) in headers {
            host.set_header(name, value);
        }
        let verdict = decide(&sampler, &host, None, "");
        let found = verdict.as_ref().map(|verdict| {
            (
                verdict.sampled,
                verdict.tracestate.as_ref().map(TraceState::as_str),
            )
        });
        assert_eq!(found, expected, "{headers:?}");
    };
    let always = Some((true, Some("ot=th:0")));
    check(&[(":path", "/healthz?x=1"), (":method", "POST")], None);
    check(&[(":path", "/api/a"), (":method", "POST")], always);
    check(
        &[(":path", "/api/a"), (":method", "GET")],
        Some((false, None)),
    );
    check(
        &[(":authority", "cart.shop:8080")],
        Some((true, Some("ot=th:8"))),
    );
    check(&[("x-debug", "")], always);
    check(&[("x-tier", "silver"), ("x-tier", "gold")], always);
    check(&[("x-tier", "silver")], Some((false, None)));
    // A parent's decision goes before all rules.
    let host = FakeHost::default();
    host.set_header(":path", "/healthz");
    assert!(
        decide(&sampler, &host, Some(ParentSampling::Sampled), "")
            .unwrap()
            .sampled
    );
}

#[test]
fn a_condition_that_fails_does_not_hold_and_is_counted() {
    let host = FakeHost::default();
    host.has_cel.set(true);
    let document = br#"{"sampler": {"ratio": 0, "rules": [
        {"match": {"when": "fails"}, "decision": "never"},
        {"match": {"when": "no"}, "decision": "never"},
        {"match": {"when": "yes"}, "decision": "always"}]}}"#;
    host.conditions
        .borrow_mut()
        .extend([("no".to_owned(), false), ("yes".to_owned(), true)]);
    let config = crate::config::Config::new(
        &host,
        "spanmesh",
        document,
        &crate::config::Environment::default(),
    );
    let headers = host.request_headers();
    let trace_id = TraceId::from_hex(TRACE_ID.as_bytes()).unwrap();
    let subject = Subject {
        headers: &headers,
        request: &Request::new(&headers),
        parent: None,
        trace_id: &trace_id,
        tracestate: None,
    };
    let stats = Stats::define(&host);
    let verdict = config.unwrap().sampler.decide(&host, &subject, &stats);
    assert!(verdict.unwrap().sampled);
    stats.publish(&host);
    assert_eq!(host.stat("expressions.failed"), 1);
}

#[test]
fn what_a_limit_keeps_has_no_threshold() {
    let per_rule = sampler(r#"{"rules": [{"match": {}, "max_per_second": 1}]}"#);
    let for_all = sampler(r#"{"max_per_second": 1}"#);
    for sampler in [per_rule, for_all] {
        let host = FakeHost::default();
        let verdict = decide(&sampler, &host, None, "ot=rv:ffffffffffffff;th:0").unwrap();
        assert!(verdict.sampled);
        let list = verdict.tracestate.unwrap();
        assert_eq!(list.as_str(), "ot=rv:ffffffffffffff");
        assert!(!decide(&sampler, &host, None, "").unwrap().sampled);
    }
}

#[test]
fn a_limit_for_all_counts_only_what_the_ratio_keeps() {
    let sampler = sampler(r#"{"ratio": 0, "max_per_second": 1}"#);
    let host = FakeHost::default();
    for _ in 0..10 {
        assert!(!decide(&sampler, &host, None, "").unwrap().sampled);
    }
    assert_eq!(host.shared_data_calls.get(), 0);
}
