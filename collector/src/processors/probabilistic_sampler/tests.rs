//! Tests of decisions, one span or log record at a time, made and read with `opentelemetry-proto`.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::config::parse_for_tests;

fn sampler(yaml: &str, signal: Signal) -> Arc<dyn Processor> {
    let node = parse_for_tests(yaml);
    let config = Factory.configure(&Section::new(&node, "s")).unwrap();
    let context = BuildContext {
        id: "s".to_owned(),
        ..BuildContext::default()
    };
    match config.build(&context, signal) {
        Stage::Process(processor) => processor,
        other => panic!("{other:?}"),
    }
}

fn traces(spans: Vec<Span>) -> Payload {
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans {
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    };
    Payload::parse(Signal::Traces, request.encode_to_vec().into()).unwrap()
}

fn spans(payload: &Payload) -> Vec<Span> {
    let request = ExportTraceServiceRequest::decode(payload.bytes().clone()).unwrap();
    let resources = request.resource_spans.into_iter();
    let scopes = resources.flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}

/// The trace state of one span after sampling; `None` if it went. All else is as it was.
fn sample_span(yaml: &str, span: &Span) -> Option<String> {
    let processed = sampler(yaml, Signal::Traces).process(traces(vec![span.clone()]));
    let Some(payload) = processed.payload else {
        assert_eq!((processed.sampled_out, processed.dropped), (1, 0));
        return None;
    };
    assert_eq!((processed.sampled_out, processed.dropped), (0, 0));
    let [sampled] = spans(&payload).try_into().unwrap();
    let expected = Span {
        trace_state: sampled.trace_state.clone(),
        ..span.clone()
    };
    assert_eq!(sampled, expected);
    Some(sampled.trace_state)
}

fn record(yaml: &str, record: LogRecord) -> Option<LogRecord> {
    let request = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            scope_logs: vec![ScopeLogs {
                log_records: vec![record],
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    };
    let payload = Payload::parse(Signal::Logs, request.encode_to_vec().into()).unwrap();
    let payload = sampler(yaml, Signal::Logs).process(payload).payload?;
    let request = ExportLogsServiceRequest::decode(payload.bytes().clone()).unwrap();
    request.resource_logs[0].scope_logs[0]
        .log_records
        .first()
        .cloned()
}

/// A span whose trace id has this randomness.
fn span(randomness: u64, trace_state: &str) -> Span {
    Span {
        trace_id: (7 << 64 | u128::from(randomness)).to_be_bytes().to_vec(),
        span_id: vec![1; 8],
        name: "name".to_owned(),
        trace_state: trace_state.to_owned(),
        start_time_unix_nano: 5,
        ..Span::default()
    }
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

const HALF: u64 = 1 << 55;

#[test]
fn proportional_multiplies_the_probabilities() {
    let p = |percentage: &str, randomness, state: &str| {
        let yaml = format!("{{mode: proportional, sampling_percentage: {percentage}}}");
        sample_span(&yaml, &span(randomness, state))
    };
    assert_eq!(p("50", HALF, "").as_deref(), Some("ot=th:8"));
    assert_eq!(p("50", HALF - 1, ""), None);
    assert_eq!(p("100", 0, "").as_deref(), Some("ot=th:0"));
    assert_eq!(p("500", 0, "").as_deref(), Some("ot=th:0"));
    assert_eq!(p("12.5", u64::MAX, "ot=th:8").as_deref(), Some("ot=th:f"));
    assert_eq!(
        p("50", HALF, "a=b,ot=rv:9b8233f7e3a151;x:y,c=d").as_deref(),
        Some("ot=th:8;rv:9b8233f7e3a151;x:y,a=b,c=d")
    );
    // The explicit randomness is the one that counts.
    assert_eq!(p("50", u64::MAX, "ot=rv:00000000000001"), None);
    assert_eq!(p("0", u64::MAX, ""), None);
}

#[test]
fn equalizing_raises_thresholds_only() {
    let p = |randomness, state: &str| {
        let yaml = "{mode: equalizing, sampling_percentage: 25}";
        sample_span(yaml, &span(randomness, state))
    };
    assert_eq!(p(u64::MAX, "ot=th:8").as_deref(), Some("ot=th:c"));
    assert_eq!(p(u64::MAX, "ot=th:e").as_deref(), Some("ot=th:e"));
    assert_eq!(p(HALF, "ot=th:8"), None);
    assert_eq!(p(u64::MAX, "").as_deref(), Some("ot=th:c"));
}

#[test]
fn what_contradicts_itself_is_dropped_or_loses_its_threshold() {
    for mode in ["equalizing", "proportional"] {
        let yaml = |closed: bool| {
            format!("{{mode: {mode}, sampling_percentage: 50, fail_closed: {closed}}}")
        };
        for (randomness, state, left) in [
            (0, "ot=th:8", ""),
            (0, "a=b,ot=th:8;x:y", "ot=x:y,a=b"),
            (0, "ot=th:", "ot=th:"),
            (0, "ot=rv:1", "ot=rv:1"),
            (0, "no list", "no list"),
        ] {
            let span = span(randomness, state);
            assert_eq!(sample_span(&yaml(true), &span), None, "{state}");
            assert_eq!(sample_span(&yaml(false), &span).as_deref(), Some(left));
        }
        let nowhere = Span {
            trace_id: Vec::new(),
            ..span(0, "")
        };
        assert_eq!(sample_span(&yaml(true), &nowhere), None);
        assert_eq!(sample_span(&yaml(false), &nowhere).as_deref(), Some(""));
    }
}

#[test]
fn the_hash_states_its_randomness() {
    let yaml = "{sampling_percentage: 50, hash_seed: 22}";
    let mut kept = 0;
    for id in 1..500 {
        let span = span(id, "");
        let Some(state) = sample_span(yaml, &span) else {
            continue;
        };
        kept += 1;
        let id: [u8; 16] = span.trace_id.as_slice().try_into().unwrap();
        let randomness = hash::randomness(&id, 22).to_hex();
        let randomness = std::str::from_utf8(&randomness).unwrap();
        assert_eq!(state, format!("ot=th:8;rv:{randomness}"));
    }
    assert!((150..350).contains(&kept), "{kept}");
    // A second sampler by the same randomness decides consistently.
    assert_eq!(sample_span("{sampling_percentage: 0}", &span(1, "")), None);
    let all = "{sampling_percentage: 100}";
    assert_eq!(sample_span(all, &span(0, "ot=th:8")).as_deref(), Some(""));
    let state = "ot=th:8;rv:9b8233f7e3a151";
    let left = "ot=rv:9b8233f7e3a151";
    assert_eq!(sample_span(all, &span(0, state)).as_deref(), Some(left));
}

#[test]
fn a_priority_of_a_span_decides() {
    let with = |value: Value, percentage: u8, state: &str| {
        let span = Span {
            attributes: vec![attribute("sampling.priority", value)],
            ..span(HALF, state)
        };
        let yaml = format!("{{mode: equalizing, sampling_percentage: {percentage}}}");
        sample_span(&yaml, &span)
    };
    for zero in [
        Value::IntValue(0),
        Value::DoubleValue(0.0),
        Value::StringValue("0".to_owned()),
    ] {
        assert_eq!(with(zero, 100, ""), None);
    }
    for more in [
        Value::IntValue(1),
        Value::DoubleValue(0.5),
        Value::StringValue("2".to_owned()),
    ] {
        assert_eq!(with(more.clone(), 0, "").as_deref(), Some("ot=th:0"));
        assert_eq!(with(more, 1, "ot=th:4").as_deref(), Some("ot=th:4"));
    }
    assert_eq!(with(Value::StringValue("x".to_owned()), 10, ""), None);
    assert_eq!(with(Value::IntValue(-1), 10, ""), None);
}

#[test]
fn log_records_carry_it_in_attributes() {
    let log = |randomness: u64, attributes: Vec<KeyValue>| LogRecord {
        trace_id: u128::from(randomness).to_be_bytes().to_vec(),
        attributes,
        ..LogRecord::default()
    };
    let text = |key: &str, value: &str| attribute(key, Value::StringValue(value.to_owned()));
    let half = "{mode: proportional, sampling_percentage: 50}";
    let kept = record(half, log(HALF, vec![text("a", "b")])).unwrap();
    assert_eq!(
        kept.attributes,
        [text("a", "b"), text("sampling.threshold", "8")]
    );
    assert!(record(half, log(HALF - 1, Vec::new())).is_none());
    let rarer = log(
        1,
        vec![
            text("sampling.threshold", "8"),
            text("sampling.randomness", "ffffffffffffff"),
        ],
    );
    assert_eq!(
        record(half, rarer).unwrap().attributes,
        [
            text("sampling.threshold", "c"),
            text("sampling.randomness", "ffffffffffffff"),
        ]
    );
    let wrong = || log(u64::MAX, vec![text("sampling.threshold", "x")]);
    assert!(record(half, wrong()).is_none());
    let open = "{mode: proportional, sampling_percentage: 1, fail_closed: false}";
    assert_eq!(record(open, wrong()).unwrap(), wrong());
}

#[test]
fn log_records_without_a_trace_are_sampled_by_an_attribute() {
    let log = |id: i64| LogRecord {
        attributes: vec![attribute("id", Value::IntValue(id))],
        ..LogRecord::default()
    };
    let with = |source: &str, id| {
        let yaml =
            format!("{{sampling_percentage: 50, attribute_source: {source}, from_attribute: id}}");
        record(&yaml, log(id))
    };
    let kept: Vec<i64> = (0..200)
        .filter(|id| with("record", *id).is_some())
        .collect();
    assert!((60..140).contains(&kept.len()), "{}", kept.len());
    for id in 0..200 {
        let randomness = hash::randomness(id.to_string().as_bytes(), 0);
        let keeps = hash::threshold(50.0).unwrap().keeps(randomness);
        assert_eq!(kept.contains(&id), keeps);
        // There is no trace id, so that the source makes no difference.
        assert_eq!(with("traceID", id).is_some(), keeps);
    }
    let first = with("record", kept[0]).unwrap();
    let keys: Vec<&str> = first.attributes.iter().map(|a| a.key.as_str()).collect();
    assert_eq!(keys, ["id", "sampling.threshold", "sampling.randomness"]);
    // Nothing to go by.
    assert!(record("{sampling_percentage: 99}", log(1)).is_none());
    let consistent = "{mode: equalizing, sampling_percentage: 99, from_attribute: id}";
    assert!(record(consistent, log(1)).is_none());
}

#[test]
fn a_priority_of_a_log_record_is_a_percentage() {
    let with = |priority: Value, randomness: u64| {
        let log = LogRecord {
            trace_id: u128::from(randomness).to_be_bytes().to_vec(),
            attributes: vec![attribute("p", priority)],
            ..LogRecord::default()
        };
        let yaml = "{mode: equalizing, sampling_percentage: 25, sampling_priority: p}";
        record(yaml, log).map(|record| match &record.attributes[1].value {
            Some(AnyValue {
                value: Some(Value::StringValue(threshold)),
            }) => threshold.clone(),
            other => panic!("{other:?}"),
        })
    };
    let p = |priority, randomness| with(Value::IntValue(priority), randomness);
    assert_eq!(p(0, u64::MAX), None);
    assert_eq!(p(50, HALF).as_deref(), Some("8"));
    assert_eq!(p(50, HALF - 1), None);
    assert_eq!(p(100, 1).as_deref(), Some("0"));
    assert_eq!(p(1000, 1).as_deref(), Some("0"));
    // It lowers what is configured, too.
    assert_eq!(p(1, u64::MAX).as_deref(), Some("fd70a"));
    assert_eq!(p(1, 3 << 54), None);
    assert_eq!(with(Value::DoubleValue(50.0), HALF).as_deref(), Some("8"));
    assert_eq!(with(Value::StringValue("50".to_owned()), HALF), None);
}

#[test]
fn impossible_options_are_refused() {
    for (yaml, message) in [
        (
            "{sampling_percentage: -1}",
            "expected \"sampling_percentage\" to be 0, or",
        ),
        (
            "{sampling_percentage: 1e39}",
            "expected \"sampling_percentage\" to be 0, or",
        ),
        ("{sampling_precision: 0}", "to be 1 to 14, but found 0"),
        ("{sampling_precision: 15}", "to be 1 to 14, but found 15"),
        ("{mode: random}", "unknown value \"random\""),
        ("{attribute_source: trace}", "unknown value \"trace\""),
    ] {
        let node = parse_for_tests(yaml);
        let Err(problems) = Factory.configure(&Section::new(&node, "s")) else {
            panic!("{yaml} was taken");
        };
        let problems = problems.to_string();
        assert!(problems.contains(message), "{yaml}: {problems}");
    }
    let node = parse_for_tests("{}");
    let config = Factory.configure(&Section::new(&node, "s")).unwrap();
    assert!(config.check_signal(Signal::Metrics).is_err());
}

#[test]
fn what_is_decided_is_counted() {
    let node = parse_for_tests("{mode: equalizing, sampling_percentage: 50}");
    let config = Factory.configure(&Section::new(&node, "s")).unwrap();
    let context = BuildContext {
        id: "s/1".to_owned(),
        ..BuildContext::default()
    };
    let Stage::Process(processor) = config.build(&context, Signal::Traces) else {
        panic!("no processor");
    };
    let payload = traces([0, HALF, u64::MAX].map(|r| span(r, "")).to_vec());
    let processed = processor.process(payload);
    assert_eq!(processed.sampled_out, 1);
    assert_eq!(processed.payload.unwrap().items(), 2);
    let metrics = context.registry.encode();
    for (sampled, count) in [("true", 2), ("false", 1)] {
        let series = format!(
            "otelcol_processor_probabilistic_sampler_count_traces_sampled{{processor=\"s/1\",\
             policy=\"trace_id_w3c\",sampled=\"{sampled}\"}} {count}\n"
        );
        assert!(metrics.contains(&series), "{metrics}");
    }
}

/// A threshold of sixteenths, or none.
fn sixteenths() -> impl Strategy<Value = Option<u64>> {
    proptest::option::of(0..16_u64)
}

/// 56 bits with edges of sixteenths among them.
fn randomness() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..1_u64 << 56,
        (0..16_u64).prop_map(|sixteenths| sixteenths << 52),
        (1..16_u64).prop_map(|sixteenths| (sixteenths << 52) - 1),
    ]
}

/// What becomes of a trace state in integers alone: the threshold in 256ths is exact, whatever
/// `kept` sixteenths of it are.
fn expected(
    mode: &str,
    kept: u64,
    id: u64,
    threshold: Option<u64>,
    explicit: Option<u64>,
) -> Option<String> {
    let randomness = explicit.unwrap_or(id);
    let current = threshold.unwrap_or(0) << 52;
    let target = match mode {
        "equalizing" => ((16 - kept) << 52).max(current),
        _ => (256 - (16 - threshold.unwrap_or(0)) * kept) << 48,
    };
    // One that contradicts itself is dropped as well.
    if kept == 0 || randomness < current || randomness < target {
        return None;
    }
    let digits = format!("{target:014x}");
    let digits = match digits.trim_end_matches('0') {
        "" => "0",
        digits => digits,
    };
    let ot = match explicit {
        Some(explicit) => format!("ot=th:{digits};rv:{explicit:014x}"),
        None => format!("ot=th:{digits}"),
    };
    // A member that changes moves to the left, and what stays as it is stays where it is.
    Some(match threshold {
        Some(_) if target == current => format!("other=1,{ot}"),
        _ => format!("{ot},other=1"),
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn decisions_are_those_of_a_reference_in_integers(
        kept in 0..=16_u64,
        mode in prop_oneof![Just("equalizing"), Just("proportional")],
        items in proptest::collection::vec(
            (randomness(), sixteenths(), proptest::option::of(randomness())),
            1..20,
        ),
    ) {
        let spans_of = |with: &dyn Fn(u64, Option<u64>, Option<u64>) -> Option<String>| {
            let items = items.iter().enumerate();
            let spans = items.filter_map(|(number, (id, threshold, explicit))| {
                Some(Span {
                    name: format!("span {number}"),
                    ..span(*id, &with(*id, *threshold, *explicit)?)
                })
            });
            spans.collect::<Vec<Span>>()
        };
        let sent = spans_of(&|_, threshold, explicit| {
            let mut ot = Vec::new();
            ot.extend(threshold.map(|threshold| format!("th:{threshold:x}")));
            ot.extend(explicit.map(|explicit| format!("rv:{explicit:014x}")));
            Some(match ot.as_slice() {
                [] => "other=1".to_owned(),
                parts => format!("other=1,ot={}", parts.join(";")),
            })
        });
        let expected = spans_of(&|id, threshold, explicit| {
            expected(mode, kept, id, threshold, explicit)
        });
        let percentage = kept as f64 * 6.25;
        let yaml = format!("{{mode: {mode}, sampling_percentage: {percentage}}}");
        let processed = sampler(&yaml, Signal::Traces).process(traces(sent.clone()));
        prop_assert_eq!(processed.sampled_out as usize, sent.len() - expected.len());
        let left = processed.payload.map_or(Vec::new(), |payload| spans(&payload));
        prop_assert_eq!(left, expected);
    }
}
