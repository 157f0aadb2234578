use super::*;
use crate::{Problem, wire};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::{metric, number_data_point};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

fn span_json(fields: &str) -> String {
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{fields}}}]}}]}}]}}"#)
}

/// The span with these JSON fields, as the oracle reads it.
fn span(fields: &str) -> Span {
    let payload = request_to_protobuf(Signal::Traces, span_json(fields).as_bytes()).unwrap();
    let request = ExportTraceServiceRequest::decode(&payload[..]).unwrap();
    request.resource_spans[0].scope_spans[0].spans[0].clone()
}

/// The error for a span with these JSON fields, without the path to the span and the place.
fn span_error(fields: &str) -> String {
    let error = request_to_protobuf(Signal::Traces, span_json(fields).as_bytes()).unwrap_err();
    let path = error.path();
    let path = path.strip_prefix("resourceSpans[0].scopeSpans[0].spans[0]");
    format!("{}: {}", path.unwrap(), error.reason())
}

/// The value with this JSON as the first attribute of a span.
fn value(json: &str) -> Option<Value> {
    let span = span(&format!(r#""attributes":[{{"key":"k","value":{json}}}]"#));
    span.attributes[0].value.clone().unwrap().value
}

#[test]
fn a_whole_trace_is_read() {
    let json = br#"{
      "resourceSpans": [{
        "resource": {
          "attributes": [{"key": "service.name", "value": {"stringValue": "cart"}}],
          "droppedAttributesCount": 2,
          "entityRefs": [{"type": "service", "idKeys": ["service.name"], "descriptionKeys": []}]
        },
        "scopeSpans": [{
          "scope": {"name": "shop.cart", "version": "2.1", "attributes": []},
          "spans": [{
            "traceId": "0AF7651916CD43DD8448EB211C80319C",
            "spanId": "b7ad6b7169203331",
            "parentSpanId": "",
            "traceState": "vendor=1",
            "flags": 257,
            "name": "checkout",
            "kind": 2,
            "startTimeUnixNano": "1700000000000000000",
            "endTimeUnixNano": 1700000000100000000,
            "attributes": [{"key": "http.response.status_code", "value": {"intValue": "200"}}],
            "events": [{"timeUnixNano": "1700000000050000000", "name": "paid"}],
            "links": [{"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "00F067AA0BA902B7"}],
            "status": {"code": 1}
          }]
        }],
        "schemaUrl": "https://example.com/1"
      }]
    }"#;
    let payload = request_to_protobuf(Signal::Traces, json).unwrap();
    assert_eq!(crate::check(Signal::Traces, &payload).unwrap().items, 1);
    let request = ExportTraceServiceRequest::decode(&payload[..]).unwrap();
    let resource_spans = &request.resource_spans[0];
    let resource = resource_spans.resource.as_ref().unwrap();
    assert_eq!(resource.dropped_attributes_count, 2);
    assert_eq!(resource.entity_refs[0].id_keys, ["service.name"]);
    assert_eq!(resource_spans.schema_url, "https://example.com/1");
    let span = &resource_spans.scope_spans[0].spans[0];
    assert_eq!(
        span.trace_id,
        0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes()
    );
    assert_eq!(span.span_id, 0xb7ad_6b71_6920_3331_u64.to_be_bytes());
    assert!(span.parent_span_id.is_empty());
    assert_eq!(span.start_time_unix_nano, 1_700_000_000_000_000_000);
    assert_eq!(span.end_time_unix_nano, 1_700_000_000_100_000_000);
    assert_eq!(
        span.links[0].span_id,
        0x00f0_67aa_0ba9_02b7_u64.to_be_bytes()
    );
    assert_eq!(span.status.as_ref().unwrap().code, 1);
}

#[test]
fn a_log_record_is_read() {
    let json = br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{
        "timeUnixNano":"1","observedTimeUnixNano":"2","severityNumber":9,"severityText":"INFO",
        "body":{"kvlistValue":{"values":[{"key":"a","value":{"boolValue":false}}]}},
        "flags":1,"traceId":"","spanId":null,"eventName":"http.access"}]}]}]}"#;
    let payload = request_to_protobuf(Signal::Logs, json).unwrap();
    let request = ExportLogsServiceRequest::decode(&payload[..]).unwrap();
    let log = &request.resource_logs[0].scope_logs[0].log_records[0];
    assert_eq!((log.time_unix_nano, log.observed_time_unix_nano), (1, 2));
    assert_eq!((log.severity_number, log.flags), (9, 1));
    assert_eq!(log.event_name, "http.access");
    let Some(Value::KvlistValue(list)) = &log.body.as_ref().unwrap().value else {
        panic!("{:?}", log.body);
    };
    let value = list.values[0].value.as_ref().unwrap();
    assert_eq!(value.value, Some(Value::BoolValue(false)));
}

#[test]
fn metrics_of_every_kind_are_read() {
    let json = br#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[
      {"name":"g","unit":"1","gauge":{"dataPoints":[{"asDouble":0.5},{"asInt":"-3"},{"asInt":4}]}},
      {"name":"s","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[
        {"asInt":0,"exemplars":[{"asDouble":"NaN","traceId":"0af7651916cd43dd8448eb211c80319c"}]}]}},
      {"name":"h","histogram":{"aggregationTemporality":1,"dataPoints":[
        {"count":"3","sum":0,"bucketCounts":["1",2],"explicitBounds":[1,"Infinity"],"min":-1.5}]}},
      {"name":"e","exponentialHistogram":{"dataPoints":[
        {"scale":-2,"zeroCount":1,"positive":{"offset":-7,"bucketCounts":["1","18446744073709551615"]},
         "zeroThreshold":1e-9}]}},
      {"name":"q","summary":{"dataPoints":[{"quantileValues":[{"quantile":0.99,"value":7}]}]}}
    ]}]}]}"#;
    let payload = request_to_protobuf(Signal::Metrics, json).unwrap();
    assert_eq!(crate::check(Signal::Metrics, &payload).unwrap().items, 7);
    let request = ExportMetricsServiceRequest::decode(&payload[..]).unwrap();
    let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
    let data: Vec<_> = metrics
        .iter()
        .filter_map(|metric| metric.data.as_ref())
        .collect();
    let [
        metric::Data::Gauge(gauge),
        metric::Data::Sum(sum),
        metric::Data::Histogram(histogram),
        metric::Data::ExponentialHistogram(exponential),
        metric::Data::Summary(summary),
    ] = data[..]
    else {
        panic!("{data:?}");
    };
    let values: Vec<_> = gauge.data_points.iter().map(|point| point.value).collect();
    assert_eq!(
        values,
        [
            Some(number_data_point::Value::AsDouble(0.5)),
            Some(number_data_point::Value::AsInt(-3)),
            Some(number_data_point::Value::AsInt(4)),
        ]
    );
    assert!(sum.is_monotonic);
    // A member of a oneof is there even if it is zero.
    let zero = Some(number_data_point::Value::AsInt(0));
    assert_eq!(sum.data_points[0].value, zero);
    let point = &histogram.data_points[0];
    assert_eq!(
        (point.count, point.sum, point.min),
        (3, Some(0.0), Some(-1.5))
    );
    assert_eq!(point.max, None);
    assert_eq!(point.bucket_counts, [1, 2]);
    assert_eq!(point.explicit_bounds, [1.0, f64::INFINITY]);
    let point = &exponential.data_points[0];
    assert_eq!((point.scale, point.zero_count), (-2, 1));
    let positive = point.positive.as_ref().unwrap();
    assert_eq!(
        (positive.offset, &positive.bucket_counts[..]),
        (-7, &[1, u64::MAX][..])
    );
    assert_eq!(summary.data_points[0].quantile_values[0].value, 7.0);
}

#[test]
fn values_are_read_in_every_form_that_the_mapping_allows() {
    let int = |int| Some(Value::IntValue(int));
    let double = |double| Some(Value::DoubleValue(double));
    let bytes = |bytes: &[u8]| Some(Value::BytesValue(bytes.to_vec()));
    let cases = [
        (r#"{"intValue":"42"}"#, int(42)),
        (r#"{"intValue":42}"#, int(42)),
        (r#"{"intValue":42.0}"#, int(42)),
        (r#"{"intValue":4.2e1}"#, int(42)),
        (r#"{"intValue":"4.2e1"}"#, int(42)),
        (r#"{"intValue":"-9223372036854775808"}"#, int(i64::MIN)),
        (r#"{"intValue":9223372036854775807}"#, int(i64::MAX)),
        (r#"{"intValue":0}"#, int(0)),
        (r#"{"doubleValue":1}"#, double(1.0)),
        (r#"{"doubleValue":-1}"#, double(-1.0)),
        (r#"{"doubleValue":"1.5"}"#, double(1.5)),
        (r#"{"doubleValue":"-Infinity"}"#, double(f64::NEG_INFINITY)),
        (r#"{"doubleValue":0.1}"#, double(0.1)),
        (r#"{"boolValue":false}"#, Some(Value::BoolValue(false))),
        (
            r#"{"stringValue":""}"#,
            Some(Value::StringValue(String::new())),
        ),
        (
            r#"{"stringValue":"\u00fc\n\ud83d\ude00"}"#,
            Some(Value::StringValue("ü\n😀".into())),
        ),
        (r#"{"bytesValue":"/+8="}"#, bytes(&[0xff, 0xef])),
        (r#"{"bytesValue":"/+8"}"#, bytes(&[0xff, 0xef])),
        (r#"{"bytesValue":"_-8="}"#, bytes(&[0xff, 0xef])),
        (r#"{"bytesValue":"_-8"}"#, bytes(&[0xff, 0xef])),
        (r#"{"bytesValue":""}"#, bytes(&[])),
        (
            r#"{"stringValueStrindex":-1}"#,
            Some(Value::StringValueStrindex(-1)),
        ),
        ("{}", None),
        (r#"{"stringValue":null}"#, None),
        (r#"{"string_value":"a"}"#, None),
        (r#"{"newValue":[{"deep":[1,"x",null]}]}"#, None),
    ];
    for (json, expected) in cases {
        assert_eq!(value(json), expected, "{json}");
    }
    let nan = value(r#"{"doubleValue":"NaN"}"#);
    assert!(matches!(nan, Some(Value::DoubleValue(double)) if double.is_nan()));
}

#[test]
fn null_is_absent() {
    let absent = r#""name":null,"kind":null,"attributes":null,"status":null,"traceId":null"#;
    assert_eq!(span(absent), Span::default());
    assert_eq!(
        request_to_protobuf(Signal::Logs, br#"{"resourceLogs":null}"#),
        Ok(Vec::new())
    );
}

#[test]
fn an_empty_object_is_present() {
    assert!(span(r#""status":{}"#).status.is_some());
}

#[test]
fn unknown_and_snake_case_names_are_ignored() {
    let unknown = r#""name":"a","span_id":5,"startTime":{"x":[1,{}]},"":0,"events":[]"#;
    let expected = Span {
        name: "a".into(),
        ..Span::default()
    };
    assert_eq!(span(unknown), expected);
}

#[test]
fn the_last_of_equal_keys_wins() {
    let twice = span(
        r#""name":"a","attributes":[{"key":"x"},{"key":"y"}],"status":{"code":2},"kind":1,
           "name":"b","attributes":[{"key":"z"}],"status":{"message":"m"},"kind":0"#,
    );
    assert_eq!(twice.name, "b");
    assert_eq!(twice.kind, 0);
    assert_eq!(twice.attributes.len(), 1);
    assert_eq!(twice.attributes[0].key, "z");
    let status = twice.status.unwrap();
    assert_eq!((status.code, status.message.as_str()), (0, "m"));
    assert_eq!(span(r#""name":"a","name":null"#), Span::default());
}

#[test]
fn the_last_member_of_a_oneof_wins() {
    let cases = [
        (r#"{"stringValue":"a","intValue":1}"#, Value::IntValue(1)),
        (
            r#"{"intValue":1,"stringValue":"a"}"#,
            Value::StringValue("a".into()),
        ),
        (r#"{"intValue":1,"stringValue":null}"#, Value::IntValue(1)),
        (
            r#"{"intValue":1,"boolValue":true,"intValue":2}"#,
            Value::IntValue(2),
        ),
    ];
    for (json, expected) in cases {
        assert_eq!(value(json), Some(expected), "{json}");
    }
    let json = br#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[
        {"gauge":{"dataPoints":[{},{}]},"name":"m","sum":{"dataPoints":[{}]}}]}]}]}"#;
    let payload = request_to_protobuf(Signal::Metrics, json).unwrap();
    // Points that no reader sees are not counted either.
    assert_eq!(crate::count(Signal::Metrics, &payload), 1);
}

#[test]
fn a_value_of_another_type_is_refused_with_its_path() {
    let cases = [
        (
            r#""kind":"SPAN_KIND_SERVER""#,
            r#".kind: expected an integer of 32 bits, not a name or a string, but found string "SPAN_KIND_SERVER""#,
        ),
        (
            r#""kind":"2""#,
            r#".kind: expected an integer of 32 bits, not a name or a string, but found string "2""#,
        ),
        (
            r#""traceId":"0af7""#,
            r#".traceId: expected a string of 0 or 32 hexadecimal digits, but found string "0af7""#,
        ),
        (
            r#""spanId":"b7ad6b716920333g""#,
            r#".spanId: expected a string of 0 or 16 hexadecimal digits, but found string "b7ad6b716920333g""#,
        ),
        (
            r#""spanId":7"#,
            ".spanId: expected a string of 0 or 16 hexadecimal digits, but found integer `7`",
        ),
        (
            r#""name":1"#,
            ".name: expected a string, but found integer `1`",
        ),
        (
            r#""name":["a"]"#,
            ".name: expected a string, but found sequence",
        ),
        (
            r#""flags":-1"#,
            ".flags: expected an integer of 32 bits that is not negative, but found integer `-1`",
        ),
        (
            r#""flags":4294967296"#,
            ".flags: expected an integer of 32 bits that is not negative, but found integer `4294967296`",
        ),
        (
            r#""startTimeUnixNano":"-1""#,
            r#".startTimeUnixNano: expected an integer of 64 bits that is not negative, but found string "-1""#,
        ),
        (
            r#""startTimeUnixNano":1.5"#,
            ".startTimeUnixNano: expected an integer of 64 bits that is not negative, but found floating point `1.5`",
        ),
        (
            r#""endTimeUnixNano":"18446744073709551616""#,
            r#".endTimeUnixNano: expected an integer of 64 bits that is not negative, but found string "18446744073709551616""#,
        ),
        (
            r#""attributes":{"key":"a"}"#,
            ".attributes: expected an array, but found map",
        ),
        (
            r#""attributes":[{"key":"a"},null]"#,
            ".attributes[1]: expected an object, but found null",
        ),
        (
            r#""attributes":[{"key":"a","value":"b"}]"#,
            r#".attributes[0].value: expected an object, but found string "b""#,
        ),
        (
            r#""attributes":"a""#,
            r#".attributes: expected an array, but found string "a""#,
        ),
        (
            r#""attributes":1"#,
            ".attributes: expected an array, but found integer `1`",
        ),
        (
            r#""status":[]"#,
            ".status: expected an object, but found sequence",
        ),
        (
            r#""attributes":[{"value":{"boolValue":"true"}}]"#,
            r#".attributes[0].value.boolValue: expected true or false, but found string "true""#,
        ),
        (
            r#""attributes":[{"value":{"bytesValue":"a*"}}]"#,
            r#".attributes[0].value.bytesValue: expected a base64 string, but found string "a*""#,
        ),
        (
            r#""attributes":[{"value":{"intValue":true}}]"#,
            ".attributes[0].value.intValue: expected an integer of 64 bits, but found boolean `true`",
        ),
        (
            r#""attributes":[{"value":{"intValue":""}}]"#,
            r#".attributes[0].value.intValue: expected an integer of 64 bits, but found string """#,
        ),
        (
            r#""attributes":[{"value":{"doubleValue":"inf"}}]"#,
            r#".attributes[0].value.doubleValue: expected a number, "NaN", "Infinity" or "-Infinity", but found string "inf""#,
        ),
    ];
    for (fields, expected) in cases {
        assert_eq!(span_error(fields), expected);
    }
}

#[test]
fn an_error_shows_no_more_than_the_beginning_of_a_text() {
    let error = span_error(&format!(r#""kind":"{}""#, "ü".repeat(1_000_000)));
    assert!(error.ends_with(&format!("but found string \"{}\"", "ü".repeat(64))));
}

#[test]
fn an_error_names_line_and_column() {
    let json = b"{\n  \"resourceSpans\": [\n    {\"schemaUrl\": 5}\n  ]\n}";
    let error = request_to_protobuf(Signal::Traces, json).unwrap_err();
    assert_eq!(error.path(), "resourceSpans[0].schemaUrl");
    assert_eq!((error.line(), error.column()), (3, 19));
    assert_eq!(
        error.to_string(),
        concat!(
            "resourceSpans[0].schemaUrl: expected a string, but found integer `5` ",
            "at line 3 column 19"
        )
    );
}

#[test]
fn what_is_no_json_object_is_refused() {
    let cases: &[&[u8]] = &[
        b"",
        b"null",
        b"[]",
        b"5",
        b"\"\"",
        b"{",
        b"{\"resourceSpans\"",
        b"{} {}",
        b"{\"resourceSpans\":[{]}",
        b"{\"x\":\"\xff\"}",
        b"{\"resourceSpans\":[{\"schemaUrl\":\"\xff\"}]}",
        b"{\"resourceSpans\":[{\"schemaUrl\":\"\\ud800\"}]}",
        b"\x0a\x00",
    ];
    for json in cases {
        let result = request_to_protobuf(Signal::Traces, json);
        assert!(result.is_err(), "{}", String::from_utf8_lossy(json));
    }
}

#[test]
fn bytes_that_are_not_utf8_are_refused_wherever_they_stand() {
    let error = request_to_protobuf(Signal::Logs, b"{\n\"x\":\"\xff\"}").unwrap_err();
    assert_eq!(
        error.to_string(),
        "expected UTF-8, but found other bytes at line 2 column 6"
    );
}

/// A log record whose body is that many messages deep inside the request.
fn nested(depth: usize) -> String {
    // ResourceLogs, ScopeLogs, LogRecord and the body, then AnyValue and ArrayValue in turns.
    let pairs = (depth - 4) / 2;
    let open = r#"{"arrayValue":{"values":["#.repeat(pairs);
    let close = "]}}".repeat(pairs);
    format!(
        r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{open}{{}}{close}}}]}}]}}]}}"#
    )
}

#[test]
fn messages_nest_as_deep_as_in_protobuf() {
    let deep = nested(crate::MAX_DEPTH);
    let payload = request_to_protobuf(Signal::Logs, deep.as_bytes()).unwrap();
    let back = request_to_json(Signal::Logs, &payload).unwrap();
    assert_eq!(String::from_utf8(back).unwrap(), deep);
    for deeper in [crate::MAX_DEPTH + 2, 100_000] {
        let error = request_to_protobuf(Signal::Logs, nested(deeper).as_bytes()).unwrap_err();
        assert_eq!(
            error.reason(),
            "expected messages to nest at most 100 deep, but found deeper ones"
        );
    }
}

#[test]
fn unknown_values_may_nest_at_will() {
    let json = format!(r#"{{"x":{}{}}}"#, "[".repeat(200_000), "]".repeat(200_000));
    assert_eq!(
        request_to_protobuf(Signal::Logs, json.as_bytes()),
        Ok(Vec::new())
    );
}

#[test]
fn json_is_written_in_the_canonical_form() {
    let json = concat!(
        r#"{"resourceSpans":[{"resource":{"attributes":["#,
        r#"{"key":"i","value":{"intValue":"-5"}},{"key":"d","value":{"doubleValue":0.5}},"#,
        r#"{"key":"n","value":{"doubleValue":"NaN"}},{"key":"b","value":{"bytesValue":"/+8="}},"#,
        r#"{"key":"z","value":{"boolValue":false}},{"key":"e"}],"droppedAttributesCount":1},"#,
        r#""scopeSpans":[{"scope":{},"spans":[{"traceId":"0af7651916cd43dd8448eb211c80319c","#,
        r#""spanId":"b7ad6b7169203331","flags":257,"name":"\"\\\n\r\t\u0001ü","kind":2,"#,
        r#""startTimeUnixNano":"18446744073709551615","status":{}},{}]}]}]}"#
    );
    let payload = request_to_protobuf(Signal::Traces, json.as_bytes()).unwrap();
    let back = request_to_json(Signal::Traces, &payload).unwrap();
    assert_eq!(String::from_utf8(back).unwrap(), json);
}

#[test]
fn fields_in_any_order_and_in_pieces_are_written_as_one() {
    use crate::encode::{put_bytes, put_uint};
    let wrap = |field, content: &[u8]| {
        let mut out = Vec::new();
        put_bytes(&mut out, field, content);
        out
    };
    let mut span = Vec::new();
    put_bytes(&mut span, 9, &wrap(1, b"a"));
    put_bytes(&mut span, 15, &wrap(2, b"m"));
    put_bytes(&mut span, 5, b"first");
    put_bytes(&mut span, 9, &wrap(1, b"b"));
    put_bytes(&mut span, 5, b"last");
    put_bytes(&mut span, 15, &[0x18, 2]);
    // oneof: an int, a string, another int.
    let mut any = Vec::new();
    put_uint(&mut any, 3, 1);
    put_bytes(&mut any, 1, b"s");
    put_uint(&mut any, 3, 2);
    put_bytes(&mut span, 9, &wrap(2, &any));
    let payload = wrap(1, &wrap(2, &wrap(2, &span)));
    let json = request_to_json(Signal::Traces, &payload).unwrap();
    assert_eq!(
        String::from_utf8(json).unwrap(),
        span_json(concat!(
            r#""name":"last","attributes":[{"key":"a"},{"key":"b"},{"value":{"intValue":"2"}}],"#,
            r#""status":{"message":"m","code":2}"#
        ))
    );
}

#[test]
fn malformed_protobuf_is_not_written() {
    let error = request_to_json(Signal::Traces, &[0x0a, 3]).unwrap_err();
    let wire = wire::Error::LengthPastEnd { length: 3, left: 0 };
    assert_eq!(error.problem(), Problem::Wire(wire));
}

#[test]
fn integers_beyond_64_bits_are_refused() {
    let read = |number: &str| {
        let request = format!(
            r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"attributes":[{{"key":"a","value":{{"intValue":{number}}}}}]}}]}}]}}]}}"#
        );
        request_to_protobuf(Signal::Traces, request.as_bytes())
    };
    for number in [
        "-9223372036854775808",
        "9223372036854775807",
        "1e3",
        "\"-1\"",
    ] {
        assert!(read(number).is_ok(), "{number}");
    }
    for number in [
        "-9223372036854775809",
        "-9223372036854775809.0",
        "9223372036854775808",
        "\"-9223372036854775809\"",
        "1e300",
    ] {
        assert!(read(number).is_err(), "{number}");
    }
}
