"""Spans by the hundred thousand: sent fast, and counted one by one where they arrive.

The number of a span is its id, so that a byte for each number tells how often it arrived.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent import futures

import grpc
from opentelemetry.proto.trace.v1 import trace_pb2

from rig.load import Sender
from rig.otlp import TRACES
from rig.ports import free_port, open_when_free

SIZE = 100
"""Spans in a request."""


def _head(number: int, length: int) -> bytes:
    """Encode what stands before the content of a field of so many bytes."""
    head = bytearray([number << 3 | 2])
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head)


def _rest_of_a_span() -> bytes:
    """Return all of a span but its ids: twelve attributes, as instrumented servers set them."""
    span = trace_pb2.Span(name="GET /stock/{item}", kind=2)
    span.start_time_unix_nano = 1_700_000_000_000_000_001
    span.end_time_unix_nano = 1_700_000_000_012_345_678
    for number in range(9):
        one = span.attributes.add(key=f"http.request.part.{number}")
        one.value.string_value = "some value"
    for number in range(3):
        span.attributes.add(key=f"server.port.{number}").value.int_value = 8080
    return span.SerializeToString()


_REST = _rest_of_a_span()
# Around the span's number, which is its id and the end of its trace's.
_TRACE_ID, _SPAN_ID = b"\x0a\x10" + bytes(8), b"\x12\x08"
_SPAN_BYTES = len(_TRACE_ID) + 8 + len(_SPAN_ID) + 8 + len(_REST)
_BEFORE = _head(2, _SPAN_BYTES) + _TRACE_ID
_SCOPE_BYTES = SIZE * (len(_BEFORE) - len(_TRACE_ID) + _SPAN_BYTES)
_SCOPE = _head(2, _SCOPE_BYTES)
_REQUEST = _head(1, len(_SCOPE) + _SCOPE_BYTES) + _SCOPE


def numbers(request: int) -> range:
    """Return the numbers of a request's spans."""
    return range(request * SIZE + 1, (request + 1) * SIZE + 1)


def encoded(request: int) -> bytes:
    """Return a request, encoded."""
    ids = (number.to_bytes(8, "big") for number in numbers(request))
    return _REQUEST + b"".join(_BEFORE + one + _SPAN_ID + one + _REST for one in ids)


class BulkLoad(Sender[int]):
    """Sends requests by their numbers, each once. It starts at once."""

    def __init__(self, port: int, *, requests: int, rate: float | None = None) -> None:
        """Send so many requests to a port, so many spans a second, or as fast as they are taken."""
        super().__init__(port)
        self._turns = self._take_turns(requests, rate)
        self._start(threads=4)

    @property
    def spans(self) -> int:
        """How many spans were acknowledged."""
        return SIZE * len(self.acknowledged)

    def _take_turns(self, requests: int, rate: float | None) -> Iterator[int]:
        begin = time.monotonic()
        for request in range(requests):
            if self._stopping.is_set():
                return
            if rate is not None:
                due = begin + request * SIZE / rate
                time.sleep(max(0.0, due - time.monotonic()))
            yield request

    def _turn(self) -> int | None:
        with self._lock:
            return next(self._turns, None)

    def _run(self) -> None:
        with grpc.insecure_channel(self._target) as channel:
            call = channel.unary_unary(TRACES.grpc_path)
            while (request := self._turn()) is not None:
                try:
                    answer = call(encoded(request), timeout=30)
                except grpc.RpcError as error:
                    self._failed(error, [request])
                    continue
                self._answered(answer, [request])


class Tally:
    """An OTLP/gRPC server that counts each span. May be stopped and started again."""

    def __init__(self, requests: int) -> None:
        """Choose a port; count the spans of so many requests."""
        self.port = free_port()
        self.total = 0
        """Spans that arrived, duplicates included."""
        self.started = 0.0
        """When it began to listen."""
        self.first: float | None = None
        """When the first request since then came."""
        self._times = bytearray(requests * SIZE + 1)
        self._lock = threading.Lock()
        self._server: grpc.Server | None = None

    def start(self) -> Tally:
        """Begin to listen."""
        options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 64 << 20)]
        server = grpc.server(futures.ThreadPoolExecutor(max_workers=4), options=options)
        handler = grpc.unary_unary_rpc_method_handler(self._export)
        handlers = grpc.method_handlers_generic_handler(TRACES.service, {"Export": handler})
        server.add_generic_rpc_handlers([handlers])
        open_when_free(server.add_insecure_port, self.port)
        self.first = None
        server.start()
        self.started = time.monotonic()
        self._server = server
        return self

    def stop(self) -> None:
        """Stop listening, once what is on its way is counted and answered."""
        if self._server is not None:
            self._server.stop(grace=10).wait()
            self._server = None

    def __enter__(self) -> Tally:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def times(self, requests: set[int]) -> dict[int, int]:
        """Return how many spans of these requests arrived not at all, once, twice and so on."""
        found: dict[int, int] = {}
        with self._lock:
            for request in requests:
                spans = numbers(request)
                arrived = self._times[spans.start : spans.stop]
                for times in set(arrived):
                    found[times] = found.get(times, 0) + arrived.count(times)
        return found

    @property
    def distinct(self) -> int:
        """How many different spans arrived."""
        with self._lock:
            return len(self._times) - self._times.count(0)

    def _export(self, body: bytes, _: grpc.ServicerContext) -> bytes:
        came = time.monotonic()
        request = TRACES.request.FromString(body)
        ids = [
            int.from_bytes(span.span_id, "big")
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        with self._lock:
            if self.first is None:
                self.first = came
            self.total += len(ids)
            for number in ids:
                self._times[number] += 1
        return b""
