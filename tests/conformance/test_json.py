"""OTLP's JSON: protobuf's, with ids in hex, enums as numbers, and lowerCamelCase only."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from rig.conformance import Server
from rig.otlp import JSON, LOGS, METRICS, TRACES, Answer, Http, Signal

TRACE = "5B8efff798038103d269b633813FC60c"
SPAN = "eEE19b7ec3c1b174"


@pytest.fixture
def http(server: Server) -> Iterator[Http]:
    yield Http(server.ports, JSON)


def request(span: str) -> bytes:
    """Return a request with a span of these members."""
    return ('{"resourceSpans":[{"scopeSpans":[{"spans":[{' + span + "}]}]}]}").encode()


def refused(http: Http, body: bytes, signal: Signal = TRACES) -> Answer:
    answer = http.send(signal, body)
    assert (answer.http_status, answer.code) == (400, grpc.StatusCode.INVALID_ARGUMENT)
    return answer


SPANS = {
    "ids are hex in either case": (
        f'"traceId": "{TRACE}", "spanId": "{SPAN}"',
        {"trace_id": bytes.fromhex(TRACE), "span_id": bytes.fromhex(SPAN)},
    ),
    "an id may be empty": ('"parentSpanId": ""', {"parent_span_id": b""}),
    "an enum is a number": ('"kind": 3', {"kind": 3}),
    "an enum of a later version": ('"kind": 77', {"kind": 77}),
    "64 bits as a string": (
        '"startTimeUnixNano": "18446744073709551615"',
        {"start_time_unix_nano": 2**64 - 1},
    ),
    "64 bits as a number": (
        '"startTimeUnixNano": 18446744073709551615',
        {"start_time_unix_nano": 2**64 - 1},
    ),
    "32 bits as a number": (
        '"droppedEventsCount": 4294967295',
        {"dropped_events_count": 2**32 - 1},
    ),
    "32 bits as a string": ('"droppedEventsCount": "7"', {"dropped_events_count": 7}),
    "a number with an exponent": ('"droppedEventsCount": 1.2e1', {"dropped_events_count": 12}),
    "a snake_case name is unknown": (
        '"trace_id": "zz", "name": "a"',
        {"trace_id": b"", "name": "a"},
    ),
    "names are as written": ('"NAME": "b", "Name": "c", "name": "a"', {"name": "a"}),
    "an unknown member of any type": (
        '"new": {"deep": [1, "x", {"y": null}]}, "name": "a", "newer": 1e400',
        {"name": "a"},
    ),
    "null is absent": ('"name": null, "kind": null, "events": null, "status": null', {"name": ""}),
    "escapes": (r'"name": "\u00f3\n\ud834\udd1e\u0000"', {"name": "ó\n𝄞\0"}),
    "text outside of ASCII": ('"name": "żółw 𝄞"', {"name": "żółw 𝄞"}),
    "white space": ('\n\t "name" \r\n : "a" ', {"name": "a"}),
}


@pytest.mark.parametrize(("members", "expected"), SPANS.values(), ids=SPANS)
def test_what_a_span_may_say(
    server: Server, http: Http, members: str, expected: dict[str, Any]
) -> None:
    server.take_encoded(http, TRACES, request(members), 1)
    [found] = server.last(TRACES).resource_spans[0].scope_spans[0].spans
    assert {name: getattr(found, name) for name in expected} == expected


NO_SPANS = {
    "an id in base64": '"traceId": "W47/95gDgQPSabYzgT/GDA=="',
    "an id of half a byte": f'"traceId": "{TRACE[:-1]}"',
    "an id that is too short": f'"traceId": "{TRACE[:-2]}"',
    "an id that is no hex": f'"spanId": "{SPAN[:-2]}xy"',
    "an id that is a number": '"spanId": 12',
    "the name of an enumerator": '"kind": "SPAN_KIND_SERVER"',
    "an enum with a fraction": '"kind": 2.5',
    "an enum beyond 32 bits": '"kind": 2147483648',
    "64 bits and more": '"startTimeUnixNano": "18446744073709551616"',
    "less than zero": '"startTimeUnixNano": "-1"',
    "a number with a fraction": '"droppedEventsCount": 1.5',
    "32 bits and more": '"droppedEventsCount": 4294967296',
    "a number in words": '"startTimeUnixNano": "one"',
    "a number with a space": '"startTimeUnixNano": " 1"',
    "text as a number": '"name": 1',
    "a list as one": '"status": []',
    "one as a list": '"events": {}',
    "null in a list": '"events": [null]',
    "half a surrogate": r'"name": "\ud834"',
    "an unknown escape": r'"name": "\x41"',
    "a control character": '"name": "a\nb"',
}


@pytest.mark.parametrize("members", NO_SPANS.values(), ids=NO_SPANS)
def test_what_a_span_may_not_say(http: Http, members: str) -> None:
    answer = refused(http, request(members))
    # JSON itself is wrong nowhere in particular.
    assert all(
        field.startswith("resourceSpans[0].scopeSpans[0].spans[0]") for field in answer.fields
    )


VALUES = {
    "text": ('{"stringValue": "a"}', AnyValue(string_value="a")),
    "empty text": ('{"stringValue": ""}', AnyValue(string_value="")),
    "a flag": ('{"boolValue": false}', AnyValue(bool_value=False)),
    "an integer as a string": (
        '{"intValue": "-9223372036854775808"}',
        AnyValue(int_value=-(2**63)),
    ),
    "an integer as a number": ('{"intValue": 9007199254740993}', AnyValue(int_value=2**53 + 1)),
    "an integer with an exponent": ('{"intValue": 1e3}', AnyValue(int_value=1000)),
    "zero": ('{"intValue": 0}', AnyValue(int_value=0)),
    "a fraction": ('{"doubleValue": 0.1}', AnyValue(double_value=0.1)),
    "a fraction as a string": ('{"doubleValue": "0.1"}', AnyValue(double_value=0.1)),
    "no end": ('{"doubleValue": "-Infinity"}', AnyValue(double_value=-math.inf)),
    "bytes in base64": ('{"bytesValue": "+/8="}', AnyValue(bytes_value=b"\xfb\xff")),
    "bytes in base64url": ('{"bytesValue": "-_8"}', AnyValue(bytes_value=b"\xfb\xff")),
    "nothing": ("{}", AnyValue()),
}


def log(body: str) -> bytes:
    """Return a request with a log record of this body."""
    return ('{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":' + body + "}]}]}]}").encode()


@pytest.mark.parametrize(("value", "expected"), VALUES.values(), ids=VALUES)
def test_what_a_value_may_be(server: Server, http: Http, value: str, expected: AnyValue) -> None:
    server.take_encoded(http, LOGS, log(value), 1)
    [found] = server.last(LOGS).resource_logs[0].scope_logs[0].log_records
    assert found.body == expected
    assert found.body.WhichOneof("value") == expected.WhichOneof("value")


NO_VALUES = {
    "an integer beyond 64 bits": '{"intValue": "9223372036854775808"}',
    "an integer with a fraction": '{"intValue": 1.5}',
    "bytes that are no base64": '{"bytesValue": "a"}',
    "a flag as text": '{"boolValue": "true"}',
    "a flag as a number": '{"boolValue": 1}',
    "text without its type": '"a"',
}


@pytest.mark.parametrize("value", NO_VALUES.values(), ids=NO_VALUES)
def test_what_a_value_may_not_be(http: Http, value: str) -> None:
    refused(http, log(value), LOGS)


NO_JSON = {
    "nothing": b"",
    "a list": b"[]",
    "null": b"null",
    "a number": b"1",
    "half of it": b'{"resourceSpans": [',
    "something behind it": b"{} {}",
    "a comma too much": b'{"resourceSpans": [],}',
    "single quotes": b"{'resourceSpans': []}",
    "a comment": b"{} // nothing",
    "NaN": b'{"new": NaN}',
    "a name without quotes": b"{resourceSpans: []}",
    "not UTF-8": b'{"resourceSpans": [{"schemaUrl": "\xff"}]}',
    "UTF-16": '{"resourceSpans": []}'.encode("utf-16"),
    "protobuf": b"\x0a\x00",
}


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON)
def test_what_is_no_json_is_refused(http: Http, body: bytes) -> None:
    refused(http, body)


def test_unknown_members_are_ignored_at_every_depth(server: Server, http: Http) -> None:
    new = {"new": [{"a": 1}]}
    scope = {"scope": {"name": "s", **new}, "spans": [{"name": "n", **new}], **new}
    resource = {"attributes": [{"key": "k", "value": {"intValue": "1", **new}, **new}], **new}
    document = {"resourceSpans": [{"resource": resource, "scopeSpans": [scope], **new}], **new}
    server.take_encoded(http, TRACES, json.dumps(document).encode(), 1)
    [found] = server.last(TRACES).resource_spans
    assert found.resource.attributes[0].value.int_value == 1
    assert (found.scope_spans[0].scope.name, found.scope_spans[0].spans[0].name) == ("s", "n")


def test_the_enums_of_metrics_and_logs_are_numbers(server: Server, http: Http) -> None:
    def metric(temporality: str) -> bytes:
        total = f'"sum":{{"aggregationTemporality":{temporality},"dataPoints":[{{"asInt":"5"}}]}}'
        return f'{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{{total}}}]}}]}}]}}'.encode()

    server.take_encoded(http, METRICS, metric("2"), 1)
    [found] = server.last(METRICS).resource_metrics[0].scope_metrics[0].metrics
    assert (found.sum.aggregation_temporality, found.sum.data_points[0].as_int) == (2, 5)
    refused(http, metric('"AGGREGATION_TEMPORALITY_DELTA"'), METRICS)
    severity = log('{}, "severityNumber": 9')
    server.take_encoded(http, LOGS, severity, 1)
    assert server.last(LOGS).resource_logs[0].scope_logs[0].log_records[0].severity_number == 9
    refused(http, log('{}, "severityNumber": "SEVERITY_NUMBER_INFO"'), LOGS)
