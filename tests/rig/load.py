"""Clients that keep sending spans to a collector, and know what became of each of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeVar

import grpc
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

if TYPE_CHECKING:
    from typing import Self

SPANS = 20
"""In each request."""

Id = TypeVar("Id")


class Sender(Generic[Id]):
    """Sends over OTLP/gRPC from several threads, and notes by id what became of everything.

    Used as a context, it ends with the block.
    """

    def __init__(self, port: int) -> None:
        """Send to a port, once it is started."""
        self.acknowledged: set[Id] = set()
        """The ids of what was taken."""
        self.refused: set[Id] = set()
        """The ids of what was refused with a hint when to come again."""
        self.unanswered: set[Id] = set()
        """The ids of what had no answer, and may have been taken or not."""
        self.problems: list[str] = []
        """What no server may answer: a refusal of good data without a hint, half a success."""
        self._target = f"127.0.0.1:{port}"
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Send nothing more, and wait for the last answers."""
        self._stopping.set()
        self.wait()

    def wait(self) -> None:
        """Wait until everything is sent."""
        for thread in self._threads:
            thread.join()
        assert not self.problems, self.problems[:5]

    def _start(self, threads: int) -> None:
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        raise NotImplementedError

    def _answered(self, answer: bytes, ids: Iterable[Id]) -> None:
        with self._lock:
            if answer:
                self.problems.append(f"partly taken: {answer!r}")
            self.acknowledged.update(ids)

    def _failed(self, error: grpc.RpcError, ids: Iterable[Id]) -> None:
        refusal = is_refusal(error)
        with self._lock:
            if refusal is None:
                self.unanswered.update(ids)
                return
            self.refused.update(ids)
            if not refusal:
                self.problems.append(f"refused without a hint: {error}")


class Load(Sender[bytes]):
    """Sends spans of ids of their own until it is stopped. It starts at once."""

    def __init__(self, port: int, threads: int = 4, pause: float = 0.0) -> None:
        """Start to send to a port, each thread with so many seconds between its requests."""
        super().__init__(port)
        self._pause = pause
        self._next = 0
        self._start(threads)

    def _run(self) -> None:
        options = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 50)]
        with grpc.insecure_channel(self._target, options) as channel:
            stub = trace_service_pb2_grpc.TraceServiceStub(channel)
            while not self._stopping.is_set():
                request, ids = self._request()
                try:
                    answer = stub.Export(request, timeout=30)
                except grpc.RpcError as error:
                    self._failed(error, ids)
                    time.sleep(0.01)
                    continue
                self._answered(answer.SerializeToString(), ids)
                time.sleep(self._pause)

    def _request(self) -> tuple[trace_service_pb2.ExportTraceServiceRequest, list[bytes]]:
        with self._lock:
            first = self._next + 1
            self._next += SPANS
        return spans(range(first, first + SPANS))


def is_refusal(error: grpc.RpcError) -> bool | None:
    """Whether a server refused good data as it has to: for now, with a hint when to come again.

    None if the server said nothing: the connection broke, or the client itself gave up.
    """
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    if details is None:
        return None
    status = status_pb2.Status.FromString(details)
    hints = [d for d in status.details if d.Is(error_details_pb2.RetryInfo.DESCRIPTOR)]
    return error.code() is grpc.StatusCode.UNAVAILABLE and bool(hints)


def spans(
    numbers: range, name: str = "work"
) -> tuple[trace_service_pb2.ExportTraceServiceRequest, list[bytes]]:
    """Return a request with a span for each number, which becomes its id; and the ids."""
    request = trace_service_pb2.ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    ids = [number.to_bytes(8, "big") for number in numbers]
    for span_id in ids:
        span = scope.spans.add(name=name, span_id=span_id, trace_id=span_id * 2)
        span.start_time_unix_nano = 1
        span.end_time_unix_nano = 2
    return request, ids
