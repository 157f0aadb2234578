//! The load's payloads: spans and log records as a web service's SDK makes them, about 600 and 300
//! bytes each.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span};
use prost::Message;
use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use spanmesh_otlp::Signal;

/// 2026-01-01T00:00:00Z, in nanoseconds since the epoch.
const START: u64 = 1_767_225_600_000_000_000;

/// Returns an encoded export request of `items` spans or log records of one resource; the same `seed`
/// gives the same bytes.
///
/// # Panics
///
/// There is no load of metrics.
#[must_use]
pub fn request(signal: Signal, items: usize, seed: u64) -> Vec<u8> {
    let mut random = SplitMix64::seed_from_u64(seed);
    let scope = Some(InstrumentationScope {
        name: "bench-load".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    });
    match signal {
        Signal::Traces => ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(resource()),
                scope_spans: vec![ScopeSpans {
                    scope,
                    spans: (0..items).map(|_| span(&mut random)).collect(),
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }],
        }
        .encode_to_vec(),
        Signal::Logs => ExportLogsServiceRequest {
            resource_logs: vec![ResourceLogs {
                resource: Some(resource()),
                scope_logs: vec![ScopeLogs {
                    scope,
                    log_records: (0..items).map(|_| log_record(&mut random)).collect(),
                    ..ScopeLogs::default()
                }],
                ..ResourceLogs::default()
            }],
        }
        .encode_to_vec(),
        Signal::Metrics => panic!("there is no load of metrics"),
    }
}

fn resource() -> Resource {
    Resource {
        attributes: vec![
            text("service.name", "checkout"),
            text("service.namespace", "shop"),
            text("service.version", "2.7.1"),
            text("service.instance.id", "checkout-7d4b9c6f5-x2x7q"),
            text("telemetry.sdk.language", "java"),
            text("telemetry.sdk.name", "opentelemetry"),
            text("telemetry.sdk.version", "1.52.0"),
        ],
        ..Resource::default()
    }
}

fn log_record(random: &mut SplitMix64) -> LogRecord {
    let time = START + random.next_u64() % 3_600_000_000_000;
    let order = random.next_u64() % 1_000_000;
    let body = format!(
        "order {order} is paid, {} items are on their way",
        order % 17
    );
    LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: time + 1_000,
        severity_number: SeverityNumber::Info.into(),
        severity_text: "INFO".to_owned(),
        body: Some(AnyValue {
            value: Some(any_value::Value::StringValue(body)),
        }),
        attributes: vec![
            text("code.function.name", "shop.checkout.Payment.confirm"),
            integer("code.line.number", 217),
            text("thread.name", &format!("worker-{}", order % 64)),
            text("enduser.id", &format!("user-{:016x}", random.next_u64())),
        ],
        flags: 1,
        trace_id: id::<16>(random),
        span_id: id::<8>(random),
        ..LogRecord::default()
    }
}

fn span(random: &mut SplitMix64) -> Span {
    let begin = START + random.next_u64() % 3_600_000_000_000;
    let order = random.next_u64() % 1_000_000;
    Span {
        trace_id: id::<16>(random),
        span_id: id::<8>(random),
        parent_span_id: id::<8>(random),
        flags: 0x301,
        name: "GET /orders/{id}/items".to_owned(),
        kind: span::SpanKind::Server.into(),
        start_time_unix_nano: begin,
        end_time_unix_nano: begin + random.next_u64() % 250_000_000,
        attributes: vec![
            text("http.request.method", "GET"),
            integer("http.response.status_code", 200),
            text("http.route", "/orders/{id}/items"),
            text("url.path", &format!("/orders/{order}/items")),
            text("url.scheme", "https"),
            text("server.address", "checkout.shop.svc.cluster.local"),
            integer("server.port", 8443),
            text(
                "client.address",
                &format!("10.{}.{}.17", order % 200, order % 251),
            ),
            text("network.protocol.version", "2"),
            text(
                "user_agent.original",
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101",
            ),
            text("enduser.id", &format!("user-{:016x}", random.next_u64())),
            text(
                "url.query",
                &format!("cursor={:016x}&limit=50", random.next_u64()),
            ),
            integer("thread.id", (order % 64) as i64),
        ],
        status: Some(Status::default()),
        ..Span::default()
    }
}

fn id<const N: usize>(random: &mut SplitMix64) -> Vec<u8> {
    let mut id = vec![0; N];
    random.fill_bytes(&mut id);
    id
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, any_value::Value::StringValue(value.to_owned()))
}

fn integer(key: &str, value: i64) -> KeyValue {
    attribute(key, any_value::Value::IntValue(value))
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

#[cfg(test)]
mod tests {
    use spanmesh_otlp::check;

    use super::*;

    #[test]
    fn a_request_holds_its_items() {
        for signal in [Signal::Traces, Signal::Logs] {
            let request = request(signal, 100, 1);
            assert_eq!(check(signal, &request).unwrap().items, 100);
        }
    }

    #[test]
    fn items_have_the_size_that_is_said() {
        for (signal, size) in [(Signal::Traces, 600), (Signal::Logs, 300)] {
            let bytes = request(signal, 1_000, 1).len() / 1_000;
            assert!((size - 50..size + 50).contains(&bytes), "{bytes} bytes");
        }
    }

    #[test]
    fn requests_differ_by_their_seed_only() {
        let request = |seed| request(Signal::Traces, 10, seed);
        assert_eq!(request(1), request(1));
        assert_ne!(request(1), request(2));
    }
}
