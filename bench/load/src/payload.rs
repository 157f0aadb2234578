//! The load's payloads: spans as a web service's SDK makes them, about 600 bytes each.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span};
use prost::Message;
use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// 2026-01-01T00:00:00Z, in nanoseconds since the epoch.
const START: u64 = 1_767_225_600_000_000_000;

/// Returns an encoded export request of `spans` spans of one resource; the same `seed` gives the
/// same bytes.
#[must_use]
pub fn request(spans: usize, seed: u64) -> Vec<u8> {
    let mut random = SplitMix64::seed_from_u64(seed);
    let scope_spans = ScopeSpans {
        scope: Some(InstrumentationScope {
            name: "bench-load".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        }),
        spans: (0..spans).map(|_| span(&mut random)).collect(),
        ..ScopeSpans::default()
    };
    let resource = Resource {
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
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![scope_spans],
            ..ResourceSpans::default()
        }],
    }
    .encode_to_vec()
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
    use spanmesh_otlp::{Signal, check};

    use super::*;

    #[test]
    fn a_request_holds_its_spans() {
        assert_eq!(check(Signal::Traces, &request(100, 1)).unwrap().items, 100);
    }

    #[test]
    fn a_span_has_about_600_bytes() {
        let bytes = request(1_000, 1).len() / 1_000;
        assert!((550..650).contains(&bytes), "{bytes} bytes");
    }

    #[test]
    fn requests_differ_by_their_seed_only() {
        assert_eq!(request(10, 1), request(10, 1));
        assert_ne!(request(10, 1), request(10, 2));
    }
}
