//! A worker's life in an order that the fuzzer chooses: configurations, updates, streams, ticks,
//! answers, and the end of all of it. Afterwards the account has to be even.

use std::time::Duration;

use arbitrary::Unstructured;
use spanmesh_filter::config::Environment;
use spanmesh_filter::export::Budget;
use spanmesh_filter::host::Answer;
use spanmesh_filter::http::Http;
use spanmesh_filter::random::Random;
use spanmesh_filter::root::{Root, Worker};

use crate::host::{FuzzHost, Headers};

/// Longer inputs only repeat what shorter ones do.
const MAX_STEPS: usize = 200;

/// Documents that reach what a random one does not.
const DOCUMENTS: [&str; 15] = [
    r#"{"capture": {"request_headers": ["user-agent", "cookie"], "response_headers": ["a"], "baggage": ["k"]}, "propagators": ["tracecontext", "baggage"]}"#,
    r#"{"access_log": {"filter": "a", "body": "b", "attributes": {"c": "d"}}}"#,
    "",
    r#"{"exporter": {"protocol": "http", "clusters": ["a", "b"], "headers": {"c": "d"}}, "batch": {"max_records": 3}}"#,
    "{}",
    r#"{"propagators": ["b3", "b3multi", "tracecontext"], "batch": {"max_records": 2}}"#,
    r#"{"propagators": ["b3multi"], "sampler": {"ratio": 0.5}, "role": "outbound"}"#,
    r#"{"spans": {"enabled": false}}"#,
    r#"{"access_log": {"enabled": false}, "exporter": {"clusters": ["a", "go", "b"]}}"#,
    r#"{"limits": {"attribute_value_bytes": 16}, "role": "gateway", "keep": {"errors": true, "slower_than": "1ms"}}"#,
    r#"{"sampler": {"max_per_second": 1}, "keep": {"streams": true, "slower_than": "1ms"}}"#,
    r#"{"sampler": {"parent_based": false, "rules": [{"match": {"path": "/items/{id}", "method": "GET"}, "decision": "never"}, {"match": {"when": "x == 1"}, "max_per_second": 2}, {"match": {"header": {"name": "a", "value": "b"}}, "ratio": 0.001}]}}"#,
    r#"{"trust": [{"when": "x", "action": "restart"}, {"when": "y", "action": "ignore_sampling"}], "spans": {"routes": ["/items/{id}", "/{all*}"]}}"#,
    r#"{"trust": "restart", "propagators": ["tracecontext", "b3"], "batch": {"max_queue_bytes": 65536}}"#,
    r#"{"sampler": {"ratio": 7}}"#,
];

/// What Envoy has on every stream.
const ALWAYS: [&str; 4] = [
    "request.time",
    "response.flags",
    "request.size",
    "response.size",
];

/// Headers that reach what random ones do not.
const HEADERS: [(&[u8], &[u8]); 34] = [
    (b"baggage", b"k=a%20%ff%2,k=b;c=d,=,\xff"),
    (b"cookie", b"session=secret"),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":method", b"G\xcbT"),
    (b":path", b"/items/1?sig=secret"),
    (b":path", b"/pkg.Service/Method"),
    (b":path", b"/v1/traces"),
    (b":path", b"*"),
    (b":authority", b"cart.shop:8080"),
    (b":authority", b"user:secret@[::1"),
    (b":scheme", b"http"),
    (b"content-type", b"application/grpc"),
    (b"upgrade", b"websocket"),
    (
        b"traceparent",
        b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ),
    (
        b"traceparent",
        b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
    ),
    (b"traceparent", b"ff-\xff\xfe-01"),
    (b"tracestate", b"ot=th:8;rv:00000000000000,a=1"),
    (b"tracestate", b",,,=,ot=;;,\x00"),
    (b"tracestate", b"a=1, ,b=2"),
    (
        b"b3",
        b"4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-d",
    ),
    (b"b3", b"0"),
    (b"x-b3-traceid", b"4bf92f3577b34da6"),
    (b"x-b3-spanid", b"00f067aa0ba902b7"),
    (b"x-b3-spanid", b"\xc3\x28"),
    (b"x-b3-flags", b"1"),
    (b"x-b3-sampled", b"0"),
    (b"x-b3-parentspanid", b"00f067aa0ba902b7"),
    (b"forwarded", b"for=\"[2001:db8::1]:x\";;host=,"),
    (b"x-forwarded-for", b"1.2.3.4,\x00, ::"),
    (b"x-forwarded-proto", b"\xff"),
    (b"user-agent", b"\xe2\x82\xe2\x82\xac"),
    (b"a", b"b"),
    (b"", b""),
];

const TEXTS: [&str; 15] = [
    "filter_state.upstream_peer",
    "filter_state.downstream_peer",
    "connection.uri_san_peer_certificate",
    "upstream.uri_san_peer_certificate",
    "response.headers.a",
    "response.headers.x-envoy-upstream-service-time",
    "response.code_details",
    "request.protocol",
    "source.address",
    "upstream.address",
    "upstream.transport_failure_reason",
    "xds.route_name",
    "xds.cluster_name",
    "xds.node.id",
    "xds.node.metadata.NAME",
];
const NUMBERS: [&str; 10] = [
    "request.time",
    "request.duration",
    "response.code",
    "response.flags",
    "response.grpc_status",
    "request.size",
    "response.size",
    "upstream.request_attempt_count",
    "response.backend_latency",
    "xds.listener_direction",
];

/// A root context, and the streams that it serves.
struct Served {
    root: Root,
    streams: Vec<Http>,
    is_draining: bool,
}

/// Plays what `data` says.
///
/// # Panics
/// If the filter does, or if what it emitted is not what it sent, dropped or was refused.
pub fn play(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let malice = input.arbitrary::<u8>().unwrap_or(0);
    // Most inputs spoil little, or nothing gets far.
    let malice = if malice < 128 { 0 } else { malice - 127 };
    let host = FuzzHost::new(input, malice);
    let worker = Worker {
        random: Random::new([7; 32]),
        budget: Budget::default(),
        kept_bytes: Budget::default(),
    };
    let mut roots = vec![serve(&host, &worker)];
    for _ in 0..MAX_STEPS {
        if host.is_at_end() {
            break;
        }
        step(&host, &worker, &mut roots);
    }
    for mut served in roots {
        for http in &mut served.streams {
            http.on_log(&host);
        }
        if !served.is_draining {
            served.root.on_done(&host);
        }
        // Past any drain; a clock that is spoiled may need another look.
        for _ in 0..8 {
            host.advance(Duration::from_secs(100_000));
            served.root.on_tick(&host);
        }
    }
    if malice == 0 {
        for signal in ["spans", "logs"] {
            let stat = |name: &str| host.metric(&format!("spanmesh.{signal}.{name}"));
            let dropped: i64 = ["queue_full", "export_failed", "shutdown"]
                .iter()
                .map(|reason| stat(&format!("dropped.{reason}")))
                .sum();
            assert_eq!(stat("emitted"), stat("sent") + stat("rejected") + dropped);
        }
        assert_eq!(host.metric("spanmesh.queue_bytes"), 0);
    }
    assert_eq!((worker.budget.held(), worker.kept_bytes.held()), (0, 0));
}

fn step(host: &FuzzHost<'_>, worker: &Worker, roots: &mut Vec<Served>) {
    let count = roots.len();
    let at = usize::from(host.byte()) % count;
    let Some(served) = roots.get_mut(at) else {
        return;
    };
    match host.byte() % 16 {
        0..4 => {
            let mut http = served.root.http();
            read_stream(host);
            if host.byte() > 16 {
                http.on_request_headers(host);
            }
            served.streams.push(http);
        }
        4..8 => {
            read_stream(host);
            if let Some(mut http) = served.streams.pop()
                && http.on_log(host)
            {
                served.root.on_tick(host);
            }
        }
        8..10 => {
            host.advance(Duration::from_millis(u64::from(host.byte()) * 50));
            served.root.on_tick(host);
        }
        10..14 => {
            let number = host.byte();
            let mut calls = host.calls.borrow_mut();
            let at = usize::from(number) % calls.len().max(1);
            let call = (at < calls.len()).then(|| calls.remove(at));
            drop(calls);
            if let Some(call) = call {
                let answer = answer(host, call.is_http);
                // Which root made the call is for the proxy to know; here all are asked.
                for served in roots {
                    served.root.on_answer(host, call.token, answer);
                }
            }
        }
        14 if count < 4 => {
            let served = serve(host, worker);
            roots.push(served);
        }
        _ => {
            if !served.is_draining {
                served.is_draining = true;
                served.root.on_done(host);
            }
        }
    }
}

/// The next answer; a proxy that is not honest takes one kind of call for the other.
fn answer(host: &FuzzHost<'_>, is_http: bool) -> Answer {
    let size = usize::from(host.byte()) * 1000;
    let status = host.byte() % 20;
    match (is_http, status) {
        (false, 0) => Answer::GrpcMessage { size },
        (false, 19) | (true, 0) => Answer::HttpFailure,
        (false, 18) | (true, 1..19) => Answer::HttpResponse { body_size: size },
        (_, status) => Answer::GrpcStatus(u32::from(status)),
    }
}

/// A new root context with the next configuration.
fn serve(host: &FuzzHost<'_>, worker: &Worker) -> Served {
    let mut root = Root::new(worker.clone());
    let number = usize::from(host.byte());
    let document = match DOCUMENTS.get(number % (DOCUMENTS.len() + 1)) {
        Some(document) => document.as_bytes().to_vec(),
        None => host.bytes(),
    };
    root.configure(host, "spanmesh", &document, &Environment::default());
    Served {
        root,
        streams: Vec::new(),
        is_draining: false,
    }
}

/// The headers and properties of the next stream.
fn read_stream(host: &FuzzHost<'_>) {
    let mut headers = Headers::new();
    for _ in 0..host.byte() % 12 {
        let number = usize::from(host.byte());
        headers.push(match HEADERS.get(number % (HEADERS.len() + 8)) {
            Some((name, value)) => (name.to_vec(), value.to_vec()),
            // A header of one name, with a value of the fuzzer.
            None => match HEADERS.get(usize::from(host.byte()) % HEADERS.len()) {
                Some((name, _)) => (name.to_vec(), host.bytes()),
                None => (host.bytes(), host.bytes()),
            },
        });
    }
    host.headers.replace(headers);
    let mut properties = host.properties.borrow_mut();
    properties.clear();
    for path in ALWAYS {
        properties.insert(path.to_owned(), 0u64.to_le_bytes().to_vec());
    }
    for _ in 0..host.byte() % 8 {
        let number = usize::from(host.byte());
        if let Some(path) = NUMBERS.get(number % 32) {
            let value = u64::from(host.byte()) << (host.byte() % 64);
            properties.insert((*path).to_owned(), value.to_le_bytes().to_vec());
        } else if let Some(path) = TEXTS.get(number % 32 - NUMBERS.len()) {
            properties.insert((*path).to_owned(), host.bytes());
        }
    }
}
