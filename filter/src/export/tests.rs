use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message;

use super::*;
use crate::testing::{FakeHost, config, worker};

/// More than the longest delay between two tries.
const LONG: std::time::Duration = std::time::Duration::from_secs(60);

struct Rig {
    host: FakeHost,
    stats: Rc<Stats>,
    budget: Budget,
    exporter: Exporter,
}

fn rig(document: &str) -> Rig {
    let host = FakeHost::default();
    let stats = Rc::new(Stats::define(&host));
    let config = config(document);
    let worker = worker();
    let envelope = Envelope::new(b"", b"", "");
    let exporter = Exporter::new(
        config.export,
        envelope,
        Rc::clone(&stats),
        worker.budget.clone(),
        worker.random,
    );
    Rig {
        host,
        stats,
        budget: worker.budget,
        exporter,
    }
}

impl Rig {
    /// Adds spans of `bytes` each.
    fn spans(&mut self, count: usize, bytes: usize) {
        for _ in 0..count {
            self.exporter.record(Signal::Traces, |out| {
                spanmesh_otlp::encode::put_bytes(out, 5, &vec![b'x'; bytes]);
            });
        }
    }

    fn answer(&mut self, call: usize, status: u32) {
        self.exporter.answered(
            &self.host,
            CallToken(call as u32),
            Answer::GrpcStatus(status),
        );
    }

    fn calls(&self) -> usize {
        self.host.calls.borrow().len()
    }

    /// The stats that are not zero, after the equation is asserted.
    fn stats(&self, queued: i64) -> std::collections::BTreeMap<String, i64> {
        self.stats.publish(&self.host);
        let stats = self.host.stats();
        let of = |name: &str| stats.get(&format!("spans.{name}")).copied().unwrap_or(0);
        let dropped: i64 = ["queue_full", "export_failed", "shutdown"]
            .map(|it| of(&format!("dropped.{it}")))
            .iter()
            .sum();
        assert_eq!(
            of("emitted"),
            of("sent") + of("rejected") + dropped + queued,
            "{stats:?}"
        );
        stats
    }
}

#[test]
fn an_acknowledged_batch_is_sent_and_its_memory_free() {
    let mut rig = rig("");
    rig.spans(3, 100);
    rig.exporter.flush(&rig.host);
    assert_eq!(rig.stats(3)["spans.emitted"], 3);
    assert!(rig.budget.held() > 300 && rig.exporter.held() == rig.budget.held());
    rig.answer(0, 0);
    assert_eq!(rig.stats(0)["spans.sent"], 3);
    assert!(rig.budget.held() == 0 && rig.exporter.is_idle());
}

#[test]
fn the_call_is_the_services_export_with_the_configured_metadata() {
    let mut rig = rig(r#"{"exporter": {"clusters": ["c"], "headers": {"a": "b"}}}"#);
    rig.spans(1, 1);
    rig.exporter.flush(&rig.host);
    let call = rig.host.calls.borrow()[0].clone();
    assert_eq!(call.cluster, "c");
    assert_eq!(
        call.service,
        "opentelemetry.proto.collector.trace.v1.TraceService"
    );
    let agent = concat!("spanmesh-filter/", env!("CARGO_PKG_VERSION"));
    let expected = [("user-agent", agent), ("a", "b")];
    assert_eq!(
        call.headers,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
}

#[test]
fn a_retryable_failure_is_tried_again_after_a_delay_and_loses_nothing() {
    let mut rig = rig("");
    rig.spans(2, 10);
    rig.exporter.flush(&rig.host);
    rig.answer(0, 14);
    rig.exporter.flush(&rig.host);
    assert_eq!(rig.calls(), 1, "it waits");
    rig.host.advance(LONG);
    rig.exporter.resend(&rig.host);
    assert_eq!(rig.calls(), 2);
    let calls = rig.host.calls.borrow();
    assert_eq!(calls[0].message, calls[1].message);
    drop(calls);
    rig.answer(1, 0);
    let stats = rig.stats(0);
    assert_eq!(
        (
            stats["spans.sent"],
            stats["spans.retried"],
            stats["exports.failed"]
        ),
        (2, 2, 1)
    );
}

#[test]
fn a_failing_collector_is_asked_with_one_call_at_a_time() {
    let mut rig = rig("");
    for _ in 0..6 {
        rig.spans(1, 10);
        rig.exporter.flush(&rig.host);
    }
    assert_eq!(rig.calls(), MAX_IN_FLIGHT);
    for call in 0..MAX_IN_FLIGHT {
        rig.answer(call, 14);
    }
    rig.host.advance(LONG);
    rig.exporter.resend(&rig.host);
    assert_eq!(rig.calls(), MAX_IN_FLIGHT + 1);
    rig.answer(MAX_IN_FLIGHT, 0);
    assert_eq!(rig.calls(), MAX_IN_FLIGHT + 5, "the rest follows a success");
}

#[test]
fn a_batch_is_full_by_its_records_or_by_its_bytes() {
    let mut few = rig(r#"{"batch": {"max_records": 3}}"#);
    few.spans(2, 10);
    assert!(!few.exporter.is_full());
    few.spans(1, 10);
    assert!(few.exporter.is_full());
    let mut large = rig("");
    large.spans(15, 65_536);
    assert!(!large.exporter.is_full());
    large.spans(1, 65_536);
    assert!(large.exporter.is_full());
}

#[test]
fn an_outage_does_not_make_many_small_batches() {
    let mut rig = rig(r#"{"batch": {"max_records": 10}}"#);
    rig.host.dispatch_error.set(Some(DispatchError::Failed));
    for _ in 0..100 {
        rig.spans(1, 10);
        rig.exporter.flush(&rig.host);
    }
    rig.host.dispatch_error.set(None);
    rig.host.advance(LONG);
    for call in 0..12 {
        rig.exporter.flush(&rig.host);
        if call < rig.calls() {
            rig.answer(call, 0);
        }
    }
    assert!(rig.calls() <= 12, "{}", rig.calls());
    assert_eq!(rig.stats(0)["spans.sent"], 100);
}

#[test]
fn a_signal_that_fails_does_not_hold_up_the_other() {
    let mut rig = rig("");
    rig.exporter.record(Signal::Logs, |out| out.push(0));
    rig.spans(1, 10);
    rig.host.dispatch_error.set(Some(DispatchError::Failed));
    rig.exporter.flush(&rig.host);
    rig.host.dispatch_error.set(None);
    let mut services = Vec::new();
    for call in 0..2 {
        rig.host.advance(LONG);
        rig.exporter.resend(&rig.host);
        services.push(rig.host.calls.borrow()[call].service.clone());
        rig.answer(call, 14);
    }
    assert_ne!(services[0], services[1]);
}

#[test]
fn a_refusal_for_good_drops_the_batch_and_counts_it() {
    let mut rig = rig("");
    rig.spans(2, 10);
    rig.exporter.flush(&rig.host);
    rig.answer(0, 3);
    assert_eq!(rig.stats(0)["spans.dropped.export_failed"], 2);
    assert!(rig.exporter.is_idle() && rig.budget.held() == 0);
}

#[test]
fn a_batch_that_is_refused_again_and_again_does_not_block_the_others_forever() {
    let mut rig = rig("");
    rig.spans(1, 10);
    for call in 0..8 {
        rig.host.advance(LONG);
        rig.exporter.flush(&rig.host);
        rig.answer(call, 11);
    }
    assert_eq!(rig.stats(0)["spans.dropped.export_failed"], 1);
}

#[test]
fn a_call_that_cannot_be_started_keeps_its_batch() {
    for error in [DispatchError::UnknownCluster, DispatchError::Failed] {
        let mut rig = rig("");
        rig.host.dispatch_error.set(Some(error));
        rig.spans(1, 10);
        rig.exporter.flush(&rig.host);
        assert!(!rig.exporter.is_idle());
        rig.host.dispatch_error.set(None);
        rig.host.advance(LONG);
        rig.exporter.resend(&rig.host);
        rig.answer(0, 0);
        assert_eq!(rig.stats(0)["spans.sent"], 1);
    }
}

#[test]
fn the_next_cluster_takes_over_and_the_first_comes_back() {
    let mut rig = rig(r#"{"exporter": {"clusters": ["a", "b"]}}"#);
    rig.spans(1, 10);
    rig.exporter.flush(&rig.host);
    for call in 0..3 {
        rig.answer(call, 14);
        rig.host.advance(LONG);
        rig.exporter.resend(&rig.host);
    }
    let calls = rig.host.calls.borrow();
    let clusters: Vec<&str> = calls.iter().map(|call| call.cluster.as_str()).collect();
    assert_eq!(clusters, ["a", "b", "a", "b"]);
}

#[test]
fn calls_that_fail_together_turn_to_the_next_cluster_once() {
    let mut rig = rig(r#"{"exporter": {"clusters": ["a", "b"]}}"#);
    for _ in 0..2 {
        rig.spans(1, 10);
        rig.exporter.flush(&rig.host);
    }
    rig.answer(0, 14);
    rig.answer(1, 14);
    // One failure of one cluster, so the first delay.
    rig.host.advance(std::time::Duration::from_secs(1));
    rig.exporter.resend(&rig.host);
    let clusters: Vec<String> = {
        let calls = rig.host.calls.borrow();
        calls.iter().map(|call| call.cluster.clone()).collect()
    };
    assert_eq!(clusters, ["a", "a", "b"]);
    rig.answer(2, 0);
    rig.answer(3, 0);
    assert_eq!(rig.stats(0)["spans.sent"], 2);
}

#[test]
fn a_partial_success_is_counted_and_not_tried_again() {
    let mut rig = rig("");
    rig.spans(5, 10);
    rig.exporter.flush(&rig.host);
    let response = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: 2,
            error_message: "too old".to_owned(),
        }),
    };
    *rig.host.response.borrow_mut() = response.encode_to_vec();
    let answer = Answer::GrpcMessage { size: 1 };
    rig.exporter.answered(&rig.host, CallToken(0), answer);
    let stats = rig.stats(0);
    assert_eq!((stats["spans.sent"], stats["spans.rejected"]), (3, 2));
}

#[test]
fn over_the_budget_the_newest_record_is_dropped() {
    let mut rig = rig(r#"{"batch": {"max_queue_bytes": 65536}}"#);
    rig.spans(100, 1000);
    assert!(rig.budget.held() <= 65536);
    let stats = rig.stats(65);
    assert_eq!(stats["spans.dropped.queue_full"], 35);
}

#[test]
fn an_answer_that_nobody_waits_for_is_passed_over() {
    let mut rig = rig("");
    rig.answer(99, 0);
    assert!(rig.exporter.is_idle());
}

#[test]
fn a_drain_sends_everything_at_once_even_while_the_collector_fails() {
    let mut rig = rig("");
    for _ in 0..6 {
        rig.spans(1, 10);
        rig.exporter.flush(&rig.host);
    }
    rig.answer(0, 14);
    rig.exporter.drain(&rig.host);
    assert_eq!(rig.calls(), 7);
}

#[test]
fn what_is_abandoned_is_counted() {
    let mut rig = rig("");
    rig.spans(1, 10);
    rig.exporter.flush(&rig.host);
    rig.spans(2, 10);
    rig.exporter.abandon();
    assert_eq!(rig.stats(0)["spans.dropped.shutdown"], 3);
    assert!(rig.exporter.is_idle() && rig.budget.held() == 0);
}

/// Answers an HTTP call.
fn answer_http(rig: &mut Rig, call: usize, headers: &[(&'static str, &'static str)], body: &[u8]) {
    *rig.host.response_headers.borrow_mut() = headers.to_vec();
    *rig.host.response.borrow_mut() = body.to_vec();
    let answer = Answer::HttpResponse {
        body_size: body.len(),
    };
    rig.exporter
        .answered(&rig.host, CallToken(call as u32), answer);
}

#[test]
fn over_http_a_batch_is_posted_to_the_path_of_its_signal() {
    let mut rig = rig(
        r#"{"exporter": {"protocol": "http", "clusters": ["outbound|4318||c.o.svc"],
            "headers": {"user-agent": "mine", "authorization": "Bearer x"}}}"#,
    );
    rig.spans(2, 10);
    rig.exporter.record(Signal::Logs, |out| out.push(0));
    rig.exporter.flush(&rig.host);
    let calls = rig.host.calls.borrow().clone();
    assert_eq!(calls[0].cluster, "outbound|4318||c.o.svc");
    let expected = [
        (":method", "POST"),
        (":path", "/v1/traces"),
        (":authority", "c.o.svc"),
        ("content-type", "application/x-protobuf"),
        ("authorization", "Bearer x"),
        ("user-agent", "mine"),
    ];
    assert_eq!(
        calls[0].headers,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    assert_eq!(calls[1].service, "/v1/logs");
    let partial = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: 1,
            error_message: String::new(),
        }),
    };
    answer_http(&mut rig, 0, &[(":status", "200")], &partial.encode_to_vec());
    let stats = rig.stats(0);
    assert_eq!((stats["spans.sent"], stats["spans.rejected"]), (1, 1));
}

#[test]
fn over_http_an_overloaded_collector_is_left_alone_as_long_as_it_asks() {
    let mut rig = rig(r#"{"exporter": {"protocol": "http"}}"#);
    rig.spans(1, 10);
    rig.exporter.flush(&rig.host);
    let headers = [(":status", "503"), ("retry-after", "30")];
    answer_http(&mut rig, 0, &headers, b"");
    rig.host.advance(std::time::Duration::from_secs(29));
    rig.exporter.resend(&rig.host);
    assert_eq!(rig.calls(), 1, "it waits");
    rig.host.advance(std::time::Duration::from_secs(2));
    rig.exporter.resend(&rig.host);
    rig.exporter
        .answered(&rig.host, CallToken(1), Answer::HttpFailure);
    rig.host.advance(LONG);
    rig.exporter.resend(&rig.host);
    answer_http(&mut rig, 2, &[(":status", "200")], b"");
    assert_eq!(rig.stats(0)["spans.sent"], 1);
}

#[test]
fn over_http_a_collector_that_asks_for_time_does_not_silence_the_next() {
    let mut rig = rig(r#"{"exporter": {"protocol": "http", "clusters": ["a", "b"]}}"#);
    rig.spans(1, 10);
    rig.exporter.flush(&rig.host);
    let headers = [(":status", "503"), ("retry-after", "30")];
    answer_http(&mut rig, 0, &headers, b"");
    rig.host.advance(std::time::Duration::from_secs(1));
    rig.exporter.resend(&rig.host);
    assert_eq!(rig.host.calls.borrow()[1].cluster, "b");
    // While the first is left alone, the second is tried again.
    rig.exporter
        .answered(&rig.host, CallToken(1), Answer::HttpFailure);
    rig.host.advance(std::time::Duration::from_secs(2));
    rig.exporter.resend(&rig.host);
    assert_eq!(rig.host.calls.borrow()[2].cluster, "b");
    rig.exporter
        .answered(&rig.host, CallToken(2), Answer::HttpFailure);
    rig.host.advance(LONG);
    rig.exporter.resend(&rig.host);
    answer_http(&mut rig, 3, &[(":status", "200")], b"");
    assert_eq!(rig.stats(0)["spans.sent"], 1);
}

#[test]
fn over_http_a_refusal_drops_the_batch_and_counts_it() {
    let mut rig = rig(r#"{"exporter": {"protocol": "http"}}"#);
    rig.spans(2, 10);
    rig.exporter.flush(&rig.host);
    answer_http(&mut rig, 0, &[(":status", "400")], b"no");
    assert_eq!(rig.stats(0)["spans.dropped.export_failed"], 2);
    assert!(rig.exporter.is_idle());
}

#[test]
fn the_time_to_each_answer_is_recorded() {
    let mut rig = rig("");
    rig.spans(1, 10);
    rig.exporter.flush(&rig.host);
    rig.host.advance(std::time::Duration::from_millis(42));
    rig.answer(0, 0);
    let expected = [("spanmesh.exports.latency_ms".to_owned(), 42)];
    assert_eq!(*rig.host.recorded.borrow(), expected);
}

#[test]
fn records_of_a_stream_that_outlives_its_root_context_cost_the_others_nothing() {
    let mut rig = rig("");
    rig.exporter.abandon();
    rig.spans(2, 100);
    assert!(rig.budget.held() > 0);
    drop(rig.exporter);
    assert_eq!(rig.budget.held(), 0);
}
