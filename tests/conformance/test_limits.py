"""Limits and refusals: what is too large for good, and what may come again, with a hint when."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from rig.conformance import SMALL_BYTES, Server
from rig.otlp import LOGS, METRICS, PROTOBUF, SIGNALS, TRACES, Grpc, Http, Request, Signal, Wire
from rig.samples import small


def sized(wire: Wire, size: int) -> bytes:
    """Return a request that has so many bytes in the encoding."""
    request: Any = small(TRACES)
    span = request.resource_spans[0].scope_spans[0].spans[0]
    # Long enough that the lengths before it need no further byte.
    span.name = "x" * (size - 1_000)
    span.name += "x" * (size - len(wire.encode(request)))
    body = wire.encode(request)
    assert len(body) == size
    return body


def too_large(answer: Any) -> None:
    assert answer.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert answer.http_status in {None, 413}
    # With one, the client would send the same again.
    assert answer.retry_delay is None
    assert "retry-after" not in answer.headers


def test_the_limit_itself_is_allowed_and_a_byte_more_is_not(
    server: Server, small_wire: Wire
) -> None:
    server.take_encoded(small_wire, TRACES, sized(small_wire, SMALL_BYTES), 1)
    too_large(small_wire.send(TRACES, sized(small_wire, SMALL_BYTES + 1)))
    # The one that follows is served.
    server.take(small_wire, TRACES, small(TRACES))


def test_the_limit_holds_for_what_is_decompressed(server: Server, small_wire: Wire) -> None:
    for size, allowed in ((SMALL_BYTES, True), (SMALL_BYTES + 1, False), (30 * SMALL_BYTES, False)):
        body = sized(small_wire, size)
        if isinstance(small_wire, Grpc):
            answer = small_wire.send(TRACES, body, grpc.Compression.Gzip)
        else:
            assert isinstance(small_wire, Http)
            packed = gzip.compress(body, 1)
            assert len(packed) < SMALL_BYTES
            more = [("content-encoding", "gzip")]
            answer = small_wire.send(TRACES, packed, more=more)
        if allowed:
            assert answer.code is grpc.StatusCode.OK
            server.accepted += 1
        else:
            too_large(answer)


@pytest.mark.parametrize("name", ["deflate", "gzip"])
def test_a_bomb_costs_no_more_than_the_limit(server: Server, name: str) -> None:
    wire = Http(server.small, PROTOBUF)
    before = server.collector.process.peak_bytes
    compressor = zlib.compressobj(9, wbits=31 if name == "gzip" else 15)
    part = b"\x00" * (1 << 20)
    bomb = b"".join(compressor.compress(part) for _ in range(800)) + compressor.flush()
    assert len(bomb) < SMALL_BYTES
    too_large(wire.send(TRACES, bomb, more=[("content-encoding", name)]))
    # 800 MiB it would have been.
    assert server.collector.process.peak_bytes - before < 100 << 20


def test_requests_of_64_mib_are_taken_by_default(server: Server, wire: Wire) -> None:
    too_large(wire.send(TRACES, sized(wire, (64 << 20) + 1)))
    large = sized(wire, 64 << 20)
    if wire.name == "grpc":
        server.take_encoded(wire, TRACES, large, 1)


@pytest.fixture(scope="module", autouse=True)
def full(suite_server: Server) -> Iterator[None]:
    """Fill the queue of the destination that is down."""
    for signal in SIGNALS:
        answer = Http(suite_server.full, PROTOBUF).send(signal, encoded(signal))
        assert answer.http_status in {200, 503}
    yield


def encoded(signal: Signal) -> bytes:
    request: Request = small(signal)
    return request.SerializeToString()


@pytest.mark.parametrize("signal", [TRACES, LOGS, METRICS], ids=lambda s: s.name)
def test_a_full_queue_is_refused_with_a_hint(full_wire: Wire, signal: Signal) -> None:
    for _ in range(3):
        answer = full_wire.send(signal, full_wire.encode(small(signal, 5)))
        assert answer.code is grpc.StatusCode.UNAVAILABLE
        assert answer.http_status in {None, 503}
        assert answer.retry_delay is not None and answer.retry_delay > 0
        if answer.http_status:
            assert int(answer.headers["retry-after"]) >= 1


def test_wrong_requests_are_refused_for_good_also_when_the_queue_is_full(full_wire: Wire) -> None:
    answer = full_wire.send(TRACES, b"\xff\xff")
    assert answer.code is grpc.StatusCode.INVALID_ARGUMENT
    assert answer.retry_delay is None
