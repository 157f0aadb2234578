use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use crate::config::Environment;
use crate::pairs::tests::pairs;
use crate::root::Root;
use crate::testing::{FakeHost, START, Script, attribute, root, text, worker};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// Plays a request and flushes.
fn play(document: &str, script: &Script<'_>) -> FakeHost {
    let host = FakeHost::default();
    let mut root = root(&host, document);
    host.play(&root, script);
    host.tick(&mut root);
    host
}

#[test]
fn a_request_becomes_a_span_and_a_log_record_with_the_same_ids() {
    let mut script = Script::get();
    script.headers.push(("traceparent", PARENT));
    let host = play("", &script);
    let (spans, logs) = (host.spans(), host.logs());
    let ([span], [log]) = (spans.as_slice(), logs.as_slice()) else {
        panic!("{spans:?} {logs:?}");
    };
    assert_eq!(span.kind(), SpanKind::Server);
    assert_eq!(span.name, "GET");
    assert_eq!(span.flags, 0x301);
    assert_eq!(span.start_time_unix_nano, START);
    assert_eq!(span.end_time_unix_nano, START + 12_500_000);
    assert_eq!(span.status, None);
    assert_eq!(
        (&log.trace_id, &log.span_id),
        (&span.trace_id, &span.span_id)
    );
    assert_eq!((log.flags, log.event_name.as_str()), (1, "spanmesh.access"));
    assert_eq!(
        (log.severity_number, log.severity_text.as_str()),
        (9, "INFO")
    );
    assert_eq!(log.time_unix_nano, START);
    assert_eq!(log.observed_time_unix_nano, START + 12_500_000);
    assert_eq!(
        text(log.body.as_ref().unwrap()),
        "10.0.0.2 - - [21/Nov/2026:09:30:00 +0000] \"GET /items/1?sig=REDACTED HTTP/1.1\" 200 512 \
         12 \"test/1\""
    );
    // What goes on is the span's context.
    let sent = &host.header("traceparent")[0];
    let ids: String = [&span.trace_id, &span.span_id].map(|id| hex(id)).join("-");
    assert_eq!(*sent, format!("00-{ids}-01"));
    assert_eq!(hex(&span.parent_span_id), "00f067aa0ba902b7");
}

#[test]
fn without_a_context_the_span_is_a_root() {
    let host = play("", &Script::get());
    let span = &host.spans()[0];
    assert!(span.parent_span_id.is_empty());
    assert_eq!((span.flags, span.trace_state.as_str()), (0x103, "ot=th:0"));
}

#[test]
fn an_unsampled_request_has_a_log_record_and_no_span() {
    let mut script = Script::get();
    let unsampled = PARENT.replace("-01", "-00");
    script.headers.push(("traceparent", &unsampled));
    let host = play("", &script);
    assert!(host.spans().is_empty());
    let log = &host.logs()[0];
    assert_eq!(log.flags, 0);
    assert_ne!(hex(&log.span_id), "00f067aa0ba902b7");
    assert_eq!(host.stat("spans.sampled_out"), 1);
}

#[test]
fn without_spans_the_headers_stay_and_the_log_has_the_callers_ids() {
    let mut script = Script::get();
    script.headers.push(("traceparent", PARENT));
    let host = play(r#"{"spans": {"enabled": false}}"#, &script);
    assert_eq!(host.header("traceparent"), [PARENT]);
    assert!(host.spans().is_empty());
    assert_eq!(hex(&host.logs()[0].span_id), "00f067aa0ba902b7");
    assert_eq!(host.stat("spans.sampled_out"), 0);
}

#[test]
fn without_a_context_and_without_spans_the_log_has_no_ids() {
    let host = play(r#"{"spans": {"enabled": false}}"#, &Script::get());
    assert!(host.logs()[0].trace_id.is_empty() && host.header("traceparent").is_empty());
}

#[test]
fn logs_can_be_off() {
    let host = play(r#"{"access_log": {"enabled": false}}"#, &Script::get());
    assert_eq!((host.spans().len(), host.logs().len()), (1, 0));
}

#[test]
fn a_request_that_an_earlier_filter_answered_has_its_records() {
    let host = FakeHost::default();
    let mut root = root(&host, "");
    let mut script = Script::get();
    script.headers.push(("traceparent", PARENT));
    script
        .properties
        .push(("response.code", 403u64.to_le_bytes().to_vec()));
    let mut http = root.http();
    for (name, value) in &script.headers {
        host.set_header(name, value);
    }
    host.end(&script, &mut http);
    host.tick(&mut root);
    let (span, log) = (&host.spans()[0], &host.logs()[0]);
    assert_eq!(hex(&span.parent_span_id), "00f067aa0ba902b7");
    assert_eq!(
        (&log.trace_id, &log.span_id),
        (&span.trace_id, &span.span_id)
    );
    assert_eq!(log.severity_text, "WARN");
    assert_eq!(
        attribute(&log.attributes, "http.response.status_code").as_deref(),
        Some("int 403")
    );
    assert_eq!(
        host.header("traceparent"),
        [PARENT],
        "nothing is written outside its phase"
    );
}

#[test]
fn export_calls_are_never_recorded_and_their_headers_not_touched() {
    let mut script = Script::get();
    script.headers = vec![
        (":method", "POST"),
        (
            ":path",
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        ),
        ("content-type", "application/grpc"),
        ("traceparent", "kept"),
    ];
    let host = play("", &script);
    assert!(host.calls.borrow().is_empty());
    assert_eq!(host.header("traceparent"), ["kept"]);
    assert_eq!(host.stat("requests"), 0);
}

#[test]
fn the_end_of_a_stream_counts_once() {
    let host = FakeHost::default();
    let mut root = root(&host, "");
    let (script, mut http) = (Script::get(), root.http());
    host.start(&script, &mut http);
    host.end(&script, &mut http);
    host.end(&script, &mut http);
    host.tick(&mut root);
    assert_eq!((host.spans().len(), host.stat("requests")), (1, 1));
}

#[test]
fn the_side_follows_role_direction_and_node() {
    let kind = |document: &str, direction: u64, node: &str| {
        let host = FakeHost::default();
        host.set_property("xds.node.id", node.as_bytes());
        let mut root = root(&host, document);
        let mut script = Script::get();
        script
            .properties
            .push(("xds.listener_direction", direction.to_le_bytes().to_vec()));
        host.play(&root, &script);
        host.tick(&mut root);
        host.spans()[0].kind()
    };
    let (sidecar, gateway) = ("sidecar~1.1.1.1~a.b~b.svc", "router~1.1.1.1~a.b~b.svc");
    assert_eq!(kind("", 0, sidecar), SpanKind::Server);
    assert_eq!(kind("", 1, sidecar), SpanKind::Server);
    assert_eq!(kind("", 2, sidecar), SpanKind::Client);
    assert_eq!(kind("", 2, gateway), SpanKind::Server);
    assert_eq!(kind(r#"{"role": "inbound"}"#, 2, sidecar), SpanKind::Server);
    assert_eq!(kind(r#"{"role": "gateway"}"#, 2, sidecar), SpanKind::Server);
    assert_eq!(
        kind(r#"{"role": "outbound"}"#, 1, sidecar),
        SpanKind::Client
    );
}

#[test]
fn a_root_context_serves_listeners_of_either_direction() {
    let host = FakeHost::default();
    let mut root = root(&host, "");
    for direction in [1u64, 2] {
        let mut script = Script::get();
        script
            .properties
            .push(("xds.listener_direction", direction.to_le_bytes().to_vec()));
        host.play(&root, &script);
    }
    host.tick(&mut root);
    let kinds: Vec<SpanKind> = host.spans().iter().map(Span::kind).collect();
    assert_eq!(kinds, [SpanKind::Server, SpanKind::Client]);
}

#[test]
fn what_envoy_gives_at_once_is_what_it_gives_one_by_one() {
    let records = |has_cel| {
        let host = FakeHost::default();
        host.has_cel.set(has_cel);
        let mut root = root(&host, "");
        host.play(&root, &Script::get());
        host.tick(&mut root);
        assert_eq!(host.stat("attributes.failed"), 0);
        (host.spans(), host.logs())
    };
    assert_eq!(records(true), records(false));
}

/// Plays a request on a gateway of Istio with CEL, whose filter state has these properties.
fn play_on_istio(version: &str) -> FakeHost {
    let host = FakeHost::default();
    host.has_cel.set(true);
    host.set_property("xds.node.id", b"router~10.0.0.7~gw-0.shop~shop.svc");
    let mut root = root(&host, "");
    let mut script = Script::get();
    let fields: [(&[u8], &[u8]); 3] = [
        (b"workload", b"cart-v1"),
        (b"namespace", b"shop"),
        (b"service", b"cart"),
    ];
    script
        .properties
        .push(("filter_state.upstream_peer", pairs(&fields).into_bytes()));
    if version == "1.29" {
        script
            .properties
            .push(("filter_state.upstream_peer_obj", Vec::new()));
        for (field, value) in [
            ("filter_state.upstream_peer_obj.workload", "cart-v1"),
            ("filter_state.upstream_peer_obj.namespace", "shop"),
            ("filter_state.upstream_peer_obj.service", "cart"),
            ("filter_state.upstream_peer_obj.revision", ""),
            ("filter_state.upstream_peer_obj.cluster", ""),
        ] {
            script.properties.push((field, value.into()));
        }
    }
    host.play(&root, &script);
    host.tick(&mut root);
    host
}

#[test]
fn istios_peers_of_every_version_are_named() {
    for version in ["1.25", "1.29"] {
        let host = play_on_istio(version);
        assert_eq!(host.stat("attributes.failed"), 0, "{version}");
        let spans = host.spans();
        let client = spans.iter().find(|span| span.kind() == SpanKind::Client);
        let found = |key| attribute(&client.unwrap().attributes, key);
        assert_eq!(found("service.peer.name").as_deref(), Some("cart"));
        assert_eq!(found("service.peer.namespace").as_deref(), Some("shop"));
        assert_eq!(found("spanmesh.peer.workload").as_deref(), Some("cart-v1"));
        assert_eq!(found("spanmesh.peer.revision"), None);
        let log = &host.logs()[0].attributes;
        assert_eq!(attribute(log, "service.peer.name"), None);
        let upstream = attribute(log, "spanmesh.upstream.peer.workload");
        assert_eq!(upstream.as_deref(), Some("cart-v1"));
    }
}

#[test]
fn an_expression_that_fails_is_counted_and_costs_no_record() {
    let host = FakeHost::default();
    host.has_cel.set(true);
    let mut root = root(&host, "");
    let mut script = Script::get();
    script
        .properties
        .retain(|(path, _)| *path != "response.flags");
    host.play(&root, &script);
    host.tick(&mut root);
    assert_eq!(host.stat("attributes.failed"), 1);
    assert_eq!((host.spans().len(), host.logs().len()), (1, 1));
}

#[test]
fn a_request_for_which_there_is_no_room_is_described_as_it_ends() {
    let host = FakeHost::default();
    let worker = worker();
    let mut root = Root::new(worker.clone());
    assert!(root.configure(&host, "spanmesh", b"", &Environment::default()));
    assert!(worker.kept_bytes.take(32 * 1024 * 1024, usize::MAX));
    host.play(&root, &Script::get());
    host.tick(&mut root);
    let span = &host.spans()[0];
    assert_eq!(
        attribute(&span.attributes, "url.path").as_deref(),
        Some("/items/1")
    );
}

#[test]
fn nothing_is_kept_of_requests_that_have_ended() {
    let host = FakeHost::default();
    let worker = worker();
    let mut root = Root::new(worker.clone());
    assert!(root.configure(&host, "spanmesh", b"", &Environment::default()));
    let mut http = root.http();
    host.start(&Script::get(), &mut http);
    assert!(worker.kept_bytes.held() > 0);
    host.end(&Script::get(), &mut http);
    assert_eq!(worker.kept_bytes.held(), 0);
    let mut aborted = root.http();
    host.start(&Script::get(), &mut aborted);
    drop(aborted);
    assert_eq!(worker.kept_bytes.held(), 0);
}

#[test]
fn a_full_batch_asks_for_a_flush() {
    let host = FakeHost::default();
    let root: Root = root(&host, r#"{"batch": {"max_records": 2}}"#);
    assert!(!host.play(&root, &Script::get()));
    assert!(host.play(&root, &Script::get()));
}

#[test]
fn what_is_no_utf8_harms_nobody() {
    let host = FakeHost::default();
    let mut root = root(&host, "");
    let script = Script::get();
    let mut http = root.http();
    host.headers
        .borrow_mut()
        .push((b"user-agent".to_vec(), b"a\xffb".to_vec()));
    host.headers
        .borrow_mut()
        .push((b":path".to_vec(), b"/\xc3".to_vec()));
    http.on_request_headers(&host);
    host.end(&script, &mut http);
    host.tick(&mut root);
    let span = &host.spans()[0];
    assert_eq!(
        attribute(&span.attributes, "user_agent.original").as_deref(),
        Some("a\u{fffd}b")
    );
    assert_eq!(
        attribute(&span.attributes, "url.path").as_deref(),
        Some("/\u{fffd}")
    );
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_rule_never_leaves_the_headers_and_the_log_has_the_callers_ids() {
    let mut script = Script::get();
    script.headers.push(("traceparent", PARENT));
    let rules = r#"{"sampler": {"parent_based": false, "rules": [
        {"match": {"path": "/items/{id}"}, "decision": "never"}]}}"#;
    let host = play(rules, &script);
    assert_eq!(host.header("traceparent"), [PARENT]);
    assert!(host.spans().is_empty());
    assert_eq!(hex(&host.logs()[0].span_id), "00f067aa0ba902b7");
}

/// Plays a request whose parent is not sampled, and returns its span, if there is one.
fn kept(keep: &str, change: impl Fn(&mut Script<'_>)) -> Option<String> {
    let mut script = Script::get();
    script.headers.push(("traceparent", UNSAMPLED));
    change(&mut script);
    let host = play(&format!(r#"{{"keep": {keep}}}"#), &script);
    let spans = host.spans();
    assert_eq!(host.stat("spans.kept"), spans.len() as i64);
    assert_eq!(host.stat("spans.sampled_out"), 1 - spans.len() as i64);
    assert!(host.header("traceparent")[0].ends_with("-00"));
    let span = spans.first()?;
    assert_eq!((span.flags & 0xff, span.trace_state.as_str()), (0, ""));
    attribute(&span.attributes, "spanmesh.kept")
}

#[test]
fn errors_and_slow_requests_can_be_kept() {
    let code = |code: u64| {
        move |script: &mut Script<'_>| {
            script
                .properties
                .push(("response.code", code.to_le_bytes().to_vec()));
        }
    };
    assert_eq!(kept("{}", code(500)), None);
    assert_eq!(
        kept(r#"{"errors": true}"#, code(500)).as_deref(),
        Some("error")
    );
    assert_eq!(kept(r#"{"errors": true}"#, code(404)), None);
    assert_eq!(
        kept(r#"{"slower_than": "10ms"}"#, code(200)).as_deref(),
        Some("slow")
    );
    assert_eq!(kept(r#"{"slower_than": "13ms"}"#, code(200)), None);
    assert_eq!(
        kept(r#"{"errors": true, "slower_than": "13ms"}"#, code(200)),
        None
    );
}

#[test]
fn what_is_meant_to_last_is_not_slow_unless_said() {
    let slow = r#"{"slower_than": "10ms"}"#;
    let with_streams = r#"{"slower_than": "10ms", "streams": true}"#;
    let upgrade = |code: u64| {
        move |script: &mut Script<'_>| {
            script.headers.push(("upgrade", "websocket"));
            script
                .properties
                .push(("response.code", code.to_le_bytes().to_vec()));
        }
    };
    assert_eq!(kept(slow, upgrade(101)), None);
    assert_eq!(kept(with_streams, upgrade(101)).as_deref(), Some("slow"));
    // It was not granted, and so it is a request like any other.
    assert_eq!(kept(slow, upgrade(200)).as_deref(), Some("slow"));
    let grpc = |script: &mut Script<'_>| {
        script
            .headers
            .retain(|(name, _)| !matches!(*name, ":method" | ":path"));
        script.headers.extend([
            (":method", "POST"),
            (":path", "/a.B/C"),
            ("content-type", "application/grpc"),
        ]);
    };
    assert_eq!(kept(slow, grpc), None);
    assert_eq!(kept(with_streams, grpc).as_deref(), Some("slow"));
}

#[test]
fn what_a_rule_never_traces_is_not_kept_either() {
    let mut script = Script::get();
    script
        .properties
        .push(("response.code", 500u64.to_le_bytes().to_vec()));
    let document = r#"{"keep": {"errors": true},
        "sampler": {"rules": [{"match": {}, "decision": "never"}]}}"#;
    assert!(play(document, &script).spans().is_empty());
}

#[test]
fn a_restart_begins_a_new_trace_with_a_link_to_the_old() {
    let mut script = Script::get();
    script.headers.extend([
        ("traceparent", PARENT),
        ("tracestate", "a=1"),
        ("b3", "0"),
        ("x-b3-flags", "1"),
        ("baggage", "a=b"),
    ]);
    let host = play(r#"{"trust": "restart"}"#, &script);
    let span = &host.spans()[0];
    assert!(span.parent_span_id.is_empty());
    assert_ne!(hex(&span.trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(span.flags, 0x103);
    let [link] = span.links.as_slice() else {
        panic!("{:?}", span.links)
    };
    assert_eq!(hex(&link.trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(
        (hex(&link.span_id).as_str(), link.flags),
        ("00f067aa0ba902b7", 0x301)
    );
    assert_eq!(host.header("tracestate"), ["ot=th:0"]);
    for gone in ["b3", "x-b3-flags"] {
        assert!(host.header(gone).is_empty(), "{gone}");
    }
    assert_eq!(host.header("baggage"), ["a=b"]);
}

#[test]
fn a_decision_that_is_not_believed_is_made_here() {
    let mut script = Script::get();
    script.headers.push(("traceparent", UNSAMPLED));
    let host = play(r#"{"trust": "ignore_sampling"}"#, &script);
    let span = &host.spans()[0];
    assert_eq!(hex(&span.parent_span_id), "00f067aa0ba902b7");
    assert!(host.header("traceparent")[0].ends_with("-01"));
    let mut script = Script::get();
    script
        .headers
        .push(("b3", "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-d"));
    let document = r#"{"trust": "ignore_sampling", "propagators": ["b3"],
        "sampler": {"ratio": 0}}"#;
    let host = play(document, &script);
    assert!(host.spans().is_empty());
    assert!(host.header("b3")[0].ends_with("-0"));
}

#[test]
fn the_first_case_of_the_boundary_whose_condition_holds_counts() {
    let action = |holds| {
        let host = FakeHost::default();
        host.has_cel.set(true);
        host.conditions
            .borrow_mut()
            .insert("stranger".to_owned(), holds);
        let document = r#"{"trust": [
            {"when": "stranger", "action": "restart", "baggage": "strip"},
            {"action": "continue"}]}"#;
        let mut root = root(&host, document);
        let mut script = Script::get();
        script
            .headers
            .extend([("traceparent", PARENT), ("baggage", "a=b")]);
        host.play(&root, &script);
        host.tick(&mut root);
        (host.spans()[0].links.len(), host.header("baggage").len())
    };
    assert_eq!(action(true), (1, 0));
    assert_eq!(action(false), (0, 1));
}

#[test]
fn a_gateway_has_a_span_for_each_side() {
    let mut script = Script::get();
    script.headers.push(("traceparent", PARENT));
    let host = play(r#"{"role": "gateway"}"#, &script);
    let spans = host.spans();
    let [server, client] = spans.as_slice() else {
        panic!("{spans:?}")
    };
    assert_eq!(
        (server.kind(), client.kind()),
        (SpanKind::Server, SpanKind::Client)
    );
    assert_eq!(client.parent_span_id, server.span_id);
    assert_eq!((server.flags, client.flags), (0x301, 0x101));
    assert_eq!(client.trace_id, server.trace_id);
    // The upstream continues the upstream's side, and the log is of the client's.
    assert!(host.header("traceparent")[0].contains(&hex(&client.span_id)));
    assert_eq!(host.logs()[0].span_id, server.span_id);
    assert_eq!(host.stat("spans.emitted"), 2);
}

#[test]
fn both_spans_that_a_gateway_keeps_are_counted() {
    let mut script = Script::get();
    script.headers.push(("traceparent", UNSAMPLED));
    let host = play(
        r#"{"role": "gateway", "keep": {"slower_than": "1ms"}}"#,
        &script,
    );
    assert_eq!(host.spans().len(), 2);
    assert_eq!(host.stat("spans.kept"), 2);
}

#[test]
fn a_gateway_that_tried_no_upstream_has_the_clients_side_only() {
    let mut script = Script::get();
    script
        .properties
        .retain(|(path, _)| *path != "upstream.address");
    let host = play(r#"{"role": "gateway"}"#, &script);
    assert_eq!(host.spans().len(), 1);
    assert_eq!(host.spans()[0].kind(), SpanKind::Server);
}

#[test]
fn an_invalid_header_counts_once_whether_or_not_there_is_a_span() {
    let mut script = Script::get();
    script.headers.push(("traceparent", "bad"));
    let never = r#"{"sampler": {"rules": [{"match": {}, "decision": "never"}]}}"#;
    for document in ["", never, r#"{"spans": {"enabled": false}}"#] {
        let host = play(document, &script);
        assert_eq!(
            host.stat("propagation.invalid.traceparent"),
            1,
            "{document}"
        );
    }
}
