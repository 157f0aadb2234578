"""How often a request calls the proxy, by its class: each call costs a crossing of the VM's border.

The tables are exact, so that a change which adds a call, or spares one, changes them too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from rig.programs import filter_module

from wasm.host import Headers, Host, headers, number, properties
from wasm.life import Worker

SAMPLED = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
UNSAMPLED = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")
B3 = ("b3", "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1")
B3_MULTI = [
    ("x-b3-traceid", "4bf92f3577b34da6a3ce929d0e0e4736"),
    ("x-b3-spanid", "00f067aa0ba902b7"),
    ("x-b3-sampled", "1"),
]
OTLP_EXPORT = [
    (b":method", b"POST"),
    (b":path", b"/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
    (b"content-type", b"application/grpc"),
]
GRPC = [
    (b":method", b"POST"),
    (b":path", b"/shop.Cart/Add"),
    (b":authority", b"cart"),
    (b"content-type", b"application/grpc"),
]
FAILED = properties() | {"response.code": number(503)}
KEEP = {"access_log": {"enabled": False}, "keep": {"errors": True, "slower_than": "1s"}}
NO_SPANS = {"spans": {"enabled": False}}
NO_LOGS = {"access_log": {"enabled": False}}

READ = "proxy_get_header_map_pairs"
LOOK = "proxy_get_header_map_value"
SET = "proxy_replace_header_map_value"
REMOVE = "proxy_remove_header_map_value"
ATTRIBUTES = "proxy_call_foreign_function"
PROPERTY = "proxy_get_property"
CLOCK = "clock_time_get"
EXPORT = "proxy_grpc_call"
STAT = "proxy_increment_metric"
LATENCY = "proxy_record_metric"
MESSAGE = "proxy_get_buffer_bytes"
SHARE = "proxy_set_shared_data"
TICK_PERIOD = "proxy_set_tick_period_milliseconds"


@dataclass
class Class:
    """A class of requests, and the calls of one, from its headers to its end."""

    calls: dict[str, int]
    request: Headers = field(default_factory=headers)
    options: dict[str, Any] = field(default_factory=dict)
    stream: dict[str, bytes] = field(default_factory=properties)
    times: int = 2
    rejected_earlier: bool = False
    has_cel: bool = True


CLASSES = {
    # traceparent, and tracestate for the sampling threshold.
    "a new trace": Class({READ: 1, SET: 2, ATTRIBUTES: 1}),
    "a sampled parent": Class({READ: 1, SET: 1, ATTRIBUTES: 1}, headers(SAMPLED)),
    "a sampled parent with tracestate": Class(
        {READ: 1, SET: 1, ATTRIBUTES: 1}, headers(SAMPLED, ("tracestate", "a=1"))
    ),
    "an invalid parent with tracestate": Class(
        {READ: 1, SET: 2, ATTRIBUTES: 1}, headers(("traceparent", "x"), ("tracestate", "a=1"))
    ),
    "two parents": Class({READ: 1, SET: 2, REMOVE: 1, ATTRIBUTES: 1}, headers(SAMPLED, SAMPLED)),
    "an unsampled parent": Class({READ: 1, SET: 1, ATTRIBUTES: 1}, headers(UNSAMPLED)),
    "an unsampled parent without logs": Class({READ: 1, SET: 1}, headers(UNSAMPLED), NO_LOGS),
    "b3": Class({READ: 1, SET: 1, ATTRIBUTES: 1}, headers(B3), {"propagators": ["b3"]}),
    "b3multi": Class(
        {READ: 1, SET: 3, ATTRIBUTES: 1}, headers(*B3_MULTI), {"propagators": ["b3multi"]}
    ),
    "both formats": Class(
        {READ: 1, SET: 2, ATTRIBUTES: 1},
        headers(SAMPLED),
        {"propagators": ["tracecontext", "b3"]},
    ),
    # The upstream's side costs nothing more.
    "a gateway": Class({READ: 1, SET: 1, ATTRIBUTES: 1}, headers(SAMPLED), {"role": "gateway"}),
    # What decides is read first where nothing else may be needed.
    "a kept error": Class({READ: 1, SET: 1, ATTRIBUTES: 2}, headers(UNSAMPLED), KEEP, FAILED),
    "an unsampled parent with keep": Class(
        {READ: 1, SET: 1, ATTRIBUTES: 1}, headers(UNSAMPLED), KEEP
    ),
    "gRPC": Class({READ: 1, SET: 2, ATTRIBUTES: 1}, GRPC),
    "an upgrade": Class({READ: 1, SET: 2, ATTRIBUTES: 1}, headers(("upgrade", "websocket"))),
    "a sampling rule by CEL": Class(
        {READ: 1, SET: 2, ATTRIBUTES: 2},
        options={"sampler": {"rules": [{"match": {"when": "a == b"}, "decision": "always"}]}},
    ),
    "an access log with a filter": Class(
        {READ: 1, SET: 1, ATTRIBUTES: 2}, headers(SAMPLED), {"access_log": {"filter": "a == b"}}
    ),
    "captured headers": Class(
        {READ: 1, SET: 1, ATTRIBUTES: 1},
        headers(SAMPLED, ("baggage", "k=v")),
        {"capture": {"request_headers": ["x"], "response_headers": ["y"], "baggage": ["k"]}},
    ),
    "a limited root": Class(
        {READ: 1, SET: 1, ATTRIBUTES: 1},
        options={"sampler": {"max_per_second": 10_000}},
    ),
    "rejected by an earlier filter": Class({READ: 1, ATTRIBUTES: 1}, rejected_earlier=True),
    "telemetry": Class({READ: 1}, OTLP_EXPORT),
    "without spans": Class({READ: 1, ATTRIBUTES: 1}, headers(SAMPLED), NO_SPANS),
    "without logs": Class({READ: 1, SET: 2, ATTRIBUTES: 1}, options=NO_LOGS),
    "without either": Class({READ: 1}, headers(SAMPLED), NO_SPANS | NO_LOGS),
    "a refused configuration": Class({}, headers(SAMPLED), {"unknown": 1}),
    "a proxy without CEL": Class({READ: 1, SET: 2, PROPERTY: 21}, has_cel=False),
    "the last of a batch": Class(
        {READ: 1, SET: 2, ATTRIBUTES: 1, LOOK: 1, CLOCK: 3, EXPORT: 2, STAT: 4},
        options={"batch": {"max_records": 1}},
        times=1,
    ),
}


@pytest.mark.parametrize("name", CLASSES)
def test_a_request_calls_the_proxy_so_often(name: str) -> None:
    request = CLASSES[name]
    host = Host(has_cel=request.has_cel, conditions={"a == b": True})
    worker = Worker(filter_module(), host)
    assert worker.configure(**request.options)
    worker.tick()
    # The first one pays for what many share.
    worker.request()
    for _ in range(request.times):
        calls = worker.request(
            request.request, request.stream, rejected_earlier=request.rejected_earlier
        )
        assert dict(calls) == request.calls


def test_one_of_many_requests_pays_for_all() -> None:
    """It looks at its header again, and takes the tokens of a limit."""
    worker = Worker(filter_module())
    assert worker.configure(sampler={"max_per_second": 10_000})
    worker.tick()
    first, *others = [worker.request() for _ in range(100)]
    shared = {LOOK: 1, CLOCK: 1, "proxy_get_shared_data": 1, SHARE: 1}
    assert all(dict(first - other) == shared for other in others)


def test_a_tick_calls_the_proxy_so_often() -> None:
    worker = Worker(filter_module())

    def calls() -> dict[str, int]:
        before = worker.vm.calls.copy()
        worker.tick()
        return dict(worker.vm.calls - before)

    assert worker.configure()
    assert calls() == {CLOCK: 1, TICK_PERIOD: 1, SHARE: 1}
    assert calls() == {CLOCK: 1}
    for _ in range(100):
        worker.request()
    # The stats are requests, and of each signal what was emitted, and the bytes in the queue.
    assert calls() == {CLOCK: 3, EXPORT: 2, STAT: 4}
    worker.answer_all()
    assert calls() == {CLOCK: 1, STAT: 3}


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_an_answer_calls_the_proxy_so_often(protocol: str) -> None:
    worker = Worker(filter_module(), Host(clusters={b"o"}))
    exporter = {"protocol": protocol, "clusters": ["o"]}
    assert worker.configure(exporter=exporter, access_log={"enabled": False})
    for message in [b"", b"\x0a\x00"]:
        worker.request()
        worker.tick()
        before = worker.vm.calls.copy()
        worker.answer_all(message)
        headers = {"http": {READ: 1}, "grpc": {}}[protocol]
        # An HTTP response says how long its body is, a gRPC one with an empty message does not.
        read = {MESSAGE: 1} if message or protocol == "grpc" else {}
        assert dict(worker.vm.calls - before) == {CLOCK: 1, LATENCY: 1} | read | headers
