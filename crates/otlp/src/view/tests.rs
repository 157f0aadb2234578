use super::*;
use crate::encode::{
    put_bool_attribute, put_bytes, put_double_attribute, put_fixed32, put_fixed64,
    put_int_attribute, put_string_attribute, put_uint,
};

fn message(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

fn shown(attributes: impl Iterator<Item = KeyValue<'static>>) -> Vec<String> {
    attributes
        .map(|attribute| format!("{}={}", attribute.key(), attribute.value()))
        .collect()
}

fn leak(message: Vec<u8>) -> &'static [u8] {
    message.leak()
}

#[test]
fn resources_and_scopes_have_names_and_attributes() {
    let resource = message(|out| put_string_attribute(out, 1, "service.name", b"cart"));
    let scope = message(|out| {
        put_bytes(out, 1, b"lib");
        put_bytes(out, 2, b"1.2");
        put_int_attribute(out, 3, "k", 7);
    });
    let scope_spans = message(|out| {
        put_bytes(out, 1, &scope);
        put_bytes(out, 2, b"");
        put_bytes(out, 2, b"");
        put_bytes(out, 3, b"scope/url");
    });
    let resource_spans = message(|out| {
        put_bytes(out, 1, &resource);
        put_bytes(out, 2, &scope_spans);
        put_bytes(out, 3, b"resource/url");
    });
    let request = leak(message(|out| put_bytes(out, 1, &resource_spans)));

    let resources: Vec<_> = resources(request).collect();
    assert_eq!(resources.len(), 1);
    assert_eq!(resources[0].as_bytes(), resource_spans);
    assert_eq!(resources[0].schema_url(), "resource/url");
    assert_eq!(shown(resources[0].attributes()), ["service.name=cart"]);
    let scopes: Vec<_> = resources[0].scopes().collect();
    assert_eq!(scopes.len(), 1);
    assert_eq!(scopes[0].as_bytes(), scope_spans);
    assert_eq!((scopes[0].name(), scopes[0].version()), ("lib", "1.2"));
    assert_eq!(scopes[0].schema_url(), "scope/url");
    assert_eq!(shown(scopes[0].attributes()), ["k=7"]);
    assert_eq!(scopes[0].items().count(), 2);
}

#[test]
fn a_span_has_all_its_fields() {
    let event = message(|out| {
        put_fixed64(out, 1, 5);
        put_bytes(out, 2, b"exception");
        put_bool_attribute(out, 3, "escaped", true);
    });
    let status = message(|out| {
        put_bytes(out, 2, b"reset");
        put_uint(out, 3, 2);
    });
    let bytes = leak(message(|out| {
        put_bytes(out, 1, &[1; 16]);
        put_bytes(out, 2, &[2; 8]);
        put_bytes(out, 3, b"a=b");
        put_bytes(out, 4, &[3; 8]);
        put_bytes(out, 5, b"GET");
        put_uint(out, 6, 3);
        put_fixed64(out, 7, 10);
        put_fixed64(out, 8, 20);
        put_double_attribute(out, 9, "d", 0.5);
        put_bytes(out, 11, &event);
        put_bytes(out, 15, &status);
        put_fixed32(out, 16, 0x101);
    }));
    let span = Span::new(bytes);
    assert_eq!(span.as_bytes(), bytes);
    assert_eq!(span.trace_id, [1; 16]);
    assert_eq!(span.span_id, [2; 8]);
    assert_eq!(span.parent_span_id, [3; 8]);
    assert_eq!((span.trace_state, span.name), ("a=b", "GET"));
    assert_eq!((span.kind, span.flags), (3, 0x101));
    assert_eq!(
        (span.start_time_unix_nano, span.end_time_unix_nano),
        (10, 20)
    );
    assert_eq!((span.status_code, span.status_message), (2, "reset"));
    assert_eq!(shown(span.attributes()), ["d=0.5"]);
    let events: Vec<_> = span.events().collect();
    assert_eq!((events[0].time_unix_nano, events[0].name), (5, "exception"));
    assert_eq!(shown(events[0].attributes()), ["escaped=true"]);
}

#[test]
fn a_log_record_has_all_its_fields() {
    let bytes = leak(message(|out| {
        put_fixed64(out, 1, 1);
        put_uint(out, 2, 17);
        put_bytes(out, 3, b"ERROR");
        put_bytes(out, 5, &message(|out| put_bytes(out, 1, b"no route")));
        put_string_attribute(out, 6, "k", b"v");
        put_fixed32(out, 8, 1);
        put_bytes(out, 9, &[1; 16]);
        put_bytes(out, 10, &[2; 8]);
        put_fixed64(out, 11, 2);
        put_bytes(out, 12, b"http.access");
    }));
    let log = LogRecord::new(bytes);
    assert_eq!(log.as_bytes(), bytes);
    assert_eq!((log.time_unix_nano, log.observed_time_unix_nano), (1, 2));
    assert_eq!((log.severity_number, log.severity_text), (17, "ERROR"));
    assert_eq!(log.body(), AnyValue::String("no route"));
    assert_eq!(shown(log.attributes()), ["k=v"]);
    assert_eq!(log.flags, 1);
    assert_eq!((log.trace_id, log.span_id), (&[1; 16][..], &[2; 8][..]));
    assert_eq!(log.event_name, "http.access");
    assert_eq!(LogRecord::new(&[]).body(), AnyValue::Empty);
}

#[test]
fn a_metric_of_every_kind_has_data_points() {
    let kinds = [
        (5, MetricKind::Gauge),
        (7, MetricKind::Sum),
        (9, MetricKind::Histogram),
        (10, MetricKind::ExponentialHistogram),
        (11, MetricKind::Summary),
    ];
    for (field, kind) in kinds {
        let bytes = message(|out| {
            put_bytes(out, 1, b"requests");
            put_bytes(out, 2, b"How many");
            put_bytes(out, 3, b"{request}");
            put_bytes(out, field, &message(|out| put_bytes(out, 1, b"")));
        });
        let metric = Metric::new(&bytes);
        assert_eq!(
            (metric.name, metric.description, metric.unit),
            ("requests", "How many", "{request}")
        );
        assert_eq!(metric.kind, Some(kind));
        assert_eq!(metric.data_points().count(), 1);
    }
    assert_eq!(Metric::new(&[]).kind, None);
}

#[test]
fn values_are_shown_for_people() {
    let number = message(|out| put_uint(out, 3, -5i64 as u64));
    let string = message(|out| put_bytes(out, 1, b"a \"b\""));
    let bytes = message(|out| put_bytes(out, 7, &[0, 0xff]));
    let index = message(|out| put_uint(out, 8, 3));
    let array = message(|out| {
        for element in [&number, &string, &bytes, &index, &Vec::new()] {
            put_bytes(out, 1, element);
        }
    });
    let array = message(|out| put_bytes(out, 5, &array));
    let entry = message(|out| {
        put_bytes(out, 1, b"k");
        put_bytes(out, 2, &array);
    });
    let list = message(|out| {
        put_bytes(out, 1, &entry);
        put_int_attribute(out, 1, "n", 1);
    });
    let list = message(|out| put_bytes(out, 6, &list));
    assert_eq!(AnyValue::new(&string).to_string(), "a \"b\"");
    assert_eq!(AnyValue::new(&[]).to_string(), "");
    assert_eq!(
        AnyValue::new(&list).to_string(),
        r#"{"k": [-5, "a \"b\"", 00ff, string 3, null], "n": 1}"#
    );
    assert_eq!(AnyValue::new(&list).entries().count(), 2);
    assert_eq!(AnyValue::new(&list).elements().count(), 0);
    assert_eq!(format!("{:?}", AnyValue::new(&string)), r#""a \"b\"""#);
}
