"""What is taken, and how it arrives: the rules that hold for every transport and encoding."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from rig.conformance import Server
from rig.otlp import LOGS, METRICS, SIGNALS, TRACES, Grpc, Request, Signal, Wire
from rig.samples import small, unique, whole

INVALID = grpc.StatusCode.INVALID_ARGUMENT


def refused(wire: Wire, signal: Signal, body: bytes) -> list[str]:
    """Send what has to be refused for good; return the fields that the answer names."""
    answer = wire.send(signal, body)
    assert answer.code is INVALID, answer
    assert answer.http_status in {None, 400}
    assert answer.retry_delay is None
    assert "retry-after" not in answer.headers
    return answer.fields


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda s: s.name)
def test_every_field_of_every_message_arrives(server: Server, wire: Wire, signal: Signal) -> None:
    request = whole(signal)
    server.take(wire, signal, request)
    assert server.last(signal) == request


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda s: s.name)
def test_an_empty_request_succeeds(server: Server, wire: Wire, signal: Signal) -> None:
    server.take(wire, signal, signal.request())


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda s: s.name)
def test_empty_envelopes_succeed(server: Server, wire: Wire, signal: Signal) -> None:
    request: Any = signal.request()
    [top] = request.DESCRIPTOR.fields
    resources = getattr(request, top.name)
    resources.add()
    [scopes] = (f for f in resources.add().DESCRIPTOR.fields if f.name.startswith("scope_"))
    getattr(resources[1], scopes.name).add()
    server.take(wire, signal, request)


def with_id(signal: Signal, name: str, value: bytes) -> Request:
    """Return a request with this value for one of its ids."""
    request: Any = small(signal)
    holder: Any
    if signal is TRACES:
        holder = request.resource_spans[0].scope_spans[0].spans[0]
        if name.startswith("link."):
            holder = holder.links.add()
    elif signal is LOGS:
        holder = request.resource_logs[0].scope_logs[0].log_records[0]
    else:
        metric = request.resource_metrics[0].scope_metrics[0].metrics[0]
        holder = metric.gauge.data_points[0].exemplars.add()
    setattr(holder, name.removeprefix("link."), value)
    return request


IDS = [
    (TRACES, "trace_id", 16),
    (TRACES, "span_id", 8),
    (TRACES, "parent_span_id", 8),
    (TRACES, "link.trace_id", 16),
    (TRACES, "link.span_id", 8),
    (LOGS, "trace_id", 16),
    (LOGS, "span_id", 8),
    (METRICS, "trace_id", 16),
    (METRICS, "span_id", 8),
]


@pytest.mark.parametrize(
    ("signal", "name", "length"), IDS, ids=[f"{signal.name}-{name}" for signal, name, _ in IDS]
)
def test_ids_have_16_and_8_bytes_or_none(
    server: Server, wire: Wire, signal: Signal, name: str, length: int
) -> None:
    for value in (b"", unique(length)):
        server.take(wire, signal, with_id(signal, name, value))
    for wrong in (1, length - 1, length + 1, 2 * length):
        request = with_id(signal, name, b"\x01" * wrong)
        [field] = refused(wire, signal, wire.encode(request))
        # As protobuf or as JSON writes it.
        assert field.rsplit(".")[-1].lower().replace("_", "") == name.rsplit(".")[-1].replace(
            "_", ""
        )


def test_enumerators_of_later_versions_are_kept(server: Server, wire: Wire) -> None:
    request: Any = small(TRACES)
    request.resource_spans[0].scope_spans[0].spans[0].kind = 77
    server.take(wire, TRACES, request)
    assert server.last(TRACES) == request


def nested(depth: int) -> Request:
    """Return a log record whose body is an array in an array, and so on."""
    request: Any = small(LOGS)
    value = request.resource_logs[0].scope_logs[0].log_records[0].body
    for _ in range(depth):
        value = value.array_value.values.add()
    value.int_value = 1
    return request


def test_values_nest_but_not_without_end(server: Server, wire: Wire) -> None:
    # Above the body are four messages; each array has two.
    request = nested(40)
    server.take(wire, LOGS, request)
    assert server.last(LOGS) == request
    # Python's own library makes nothing deeper than a hundred messages.
    if wire.name == "http-json":
        deep = b'{"arrayValue":{"values":[' * 2000 + b"{}" + b"]}}" * 2000
        record = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":' + deep + b"}]}]}]}"
    else:
        deep = b""
        for _ in range(2000):
            deep = field(5, field(1, deep))
        record = field(1, field(2, field(2, field(5, deep))))
    refused(wire, LOGS, record)


def varint(value: int) -> bytes:
    """Encode an unsigned number."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def tag(number: int, wire_type: int) -> bytes:
    """Encode the tag of a field."""
    return varint(number << 3 | wire_type)


def field(number: int, content: bytes) -> bytes:
    """Encode a field that has a length."""
    return tag(number, 2) + varint(len(content)) + content


def span(content: bytes) -> bytes:
    """Encode a request with one span of this content."""
    return field(1, field(2, field(2, content)))


NAME, KIND, START, ATTRIBUTES, UNKNOWN = 5, 6, 7, 9, 500

MALFORMED = {
    "a tag that is cut off": span(b"\x80"),
    "field number 0": span(b"\x02\x00"),
    "a field number beyond 29 bits": span(varint(1 << 32 | 2) + b"\x00"),
    "a group": span(tag(UNKNOWN, 3) + tag(UNKNOWN, 4)),
    "a group in a known field": span(tag(NAME, 3) + tag(NAME, 4)),
    "a group that only ends": span(tag(UNKNOWN, 4)),
    "wire type 6": span(tag(UNKNOWN, 6)),
    "wire type 7": span(tag(UNKNOWN, 7)),
    "a known field of another wire type": span(tag(NAME, 0) + b"\x01"),
    "a message as a number": span(tag(ATTRIBUTES, 0) + b"\x01"),
    "a length beyond the end": span(tag(NAME, 2) + b"\x05abc"),
    "a length beyond its message": field(1, field(2, tag(2, 2) + b"\x7f")) + b"\x00" * 200,
    "a length beyond 2 GiB": span(tag(NAME, 2) + varint(1 << 33)),
    "a number of more than ten bytes": span(tag(KIND, 0) + b"\x80" * 10 + b"\x01"),
    "half a fixed64": span(tag(START, 1) + b"\x00" * 4),
    "an unknown field that is cut off": span(tag(UNKNOWN, 2) + b"\x05abc"),
    "a string that is not UTF-8": span(field(NAME, b"\xff\xfe")),
    "a surrogate in a string": span(field(NAME, b"\xed\xa0\x80")),
    "an overlong NUL": span(field(NAME, b"\xc0\x80")),
    "a key that is not UTF-8": span(field(ATTRIBUTES, field(1, b"\xc3\x28"))),
    "text": b"not protobuf",
    "JSON": b'{"resourceSpans":[]}',
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_protobuf_is_refused(protobuf_wire: Wire, body: bytes) -> None:
    refused(protobuf_wire, TRACES, body)


NOTED = {
    "an unknown number": tag(UNKNOWN, 0) + b"\x07",
    "an unknown fixed64": tag(UNKNOWN, 1) + b"\x07" * 8,
    "an unknown message": field(UNKNOWN, b"\x0a\x02hi"),
    "an unknown fixed32": tag(UNKNOWN, 5) + b"\x07" * 4,
    "the largest field number": field((1 << 29) - 1, b""),
    "a field of protobuf's own range": field(19_500, b"x"),
}


@pytest.mark.parametrize("content", NOTED.values(), ids=NOTED)
def test_unknown_fields_are_kept(server: Server, protobuf_wire: Wire, content: bytes) -> None:
    for body in (span(field(NAME, b"x") + content), content + span(field(2, unique(8)))):
        server.take_encoded(protobuf_wire, TRACES, body, 1)
        assert server.last_bytes(TRACES) == body


ALLOWED = {
    "a field given twice: the last one counts": (
        span(field(NAME, b"a") + field(NAME, b"b")),
        {"name": "b"},
    ),
    "a message in two pieces": (
        span(tag(15, 2) + b"\x02\x18\x02" + field(15, field(2, b"why"))),
        {"status.code": 2, "status.message": "why"},
    ),
    "fields in any order": (span(field(NAME, b"a") + field(2, b"12345678")), {"name": "a"}),
    "a number that is longer than it has to be": (
        span(tag(KIND, 0) + b"\x82\x80\x00"),
        {"kind": 2},
    ),
    "a tag that is longer than it has to be": (span(b"\xaa\x80\x00\x01x"), {"name": "x"}),
    "an empty string": (span(field(NAME, b"")), {"name": ""}),
}


@pytest.mark.parametrize(("body", "expected"), ALLOWED.values(), ids=ALLOWED)
def test_what_protobuf_allows_is_taken(
    server: Server, protobuf_wire: Wire, body: bytes, expected: dict[str, Any]
) -> None:
    server.take_encoded(protobuf_wire, TRACES, body, 1)
    found = server.last(TRACES).resource_spans[0].scope_spans[0].spans[0]
    assert {path: reach(found, path) for path in expected} == expected


def reach(message: Message, path: str) -> Any:
    """Return a field of a field."""
    found: Any = message
    for name in path.split("."):
        found = getattr(found, name)
    return found


@pytest.mark.parametrize("packed", [True, False])
def test_numbers_that_repeat_come_packed_or_not(
    server: Server, protobuf_wire: Wire, packed: bool
) -> None:
    counts = [(6 + n).to_bytes(8, "little") for n in range(3)]
    bucket_counts = (
        field(6, b"".join(counts)) if packed else b"".join(tag(6, 1) + one for one in counts)
    )
    metric = field(1, b"m") + field(9, field(1, bucket_counts))
    server.take_encoded(protobuf_wire, METRICS, field(1, field(2, field(2, metric))), 1)
    [arrived] = server.last(METRICS).resource_metrics[0].scope_metrics[0].metrics
    assert arrived.histogram.data_points[0].bucket_counts == [6, 7, 8]


def test_requests_at_the_same_time_do_not_disturb_each_other(server: Server, wire: Wire) -> None:
    good = [small(signal, 3) for _ in range(40) for signal in SIGNALS]
    bad = with_id(TRACES, "trace_id", b"\x01")

    def send(number: int) -> None:
        if number % 5 == 0:
            refused(wire, TRACES, wire.encode(bad))
        signal = SIGNALS[number % 3]
        answer = wire.send(signal, wire.encode(good[number]))
        assert answer.code is grpc.StatusCode.OK

    with ThreadPoolExecutor(24) as clients:
        list(clients.map(send, range(len(good))))
    server.accepted += 3 * len(good)
    server.settle()
    for signal in SIGNALS:
        arrived = server.mirror.bodies(signal)
        for request in good[SIGNALS.index(signal) :: 3]:
            assert arrived.count(request.SerializeToString()) == 1


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_servers_support_none_and_gzip(server: Server, compression: grpc.Compression) -> None:
    request = small(TRACES, 100)
    wire = Grpc(server.ports)
    answer = wire.send(TRACES, request.SerializeToString(), compression)
    wire.close()
    assert answer.code is grpc.StatusCode.OK
    server.accepted += 100
    assert server.last(TRACES) == request
