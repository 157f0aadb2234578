"""An OTLP/gRPC server of the rig's own, which keeps what it receives and can be told to fail."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent import futures
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import (
    metrics_service_pb2,
    metrics_service_pb2_grpc,
)
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from rig import records
from rig.certificates import Identity
from rig.ports import free_port, open_when_free
from rig.records import Telemetry


@dataclass(frozen=True)
class Behaviour:
    """What the sink does with a request; the first of them that is set."""

    hang: float = 0.0
    """Seconds to wait first; a request that its client gives up meanwhile is not kept."""
    fail: grpc.StatusCode | None = None
    retry_after: float | None = None
    """Seconds of a RetryInfo that comes with the failure."""
    reject: int = 0
    """How many records to refuse in a partial success; the first of the request are kept."""
    warning_bytes: int = 0
    """How long a warning comes with full success."""
    only: str | None = None
    """The one signal that this is about, `traces`, `logs` or `metrics`; others are taken."""


ACCEPT = Behaviour()


class Sink:
    """Receives traces, logs and metrics on a loopback port. May be stopped and started again."""

    def __init__(
        self,
        port: int | None = None,
        max_message_bytes: int = 64 << 20,
        identity: Identity | None = None,
    ) -> None:
        """Prepare one, which speaks TLS if it has an identity."""
        self.port = port or free_port()
        self._identity = identity
        self._max_message_bytes = max_message_bytes
        self.behaviour = ACCEPT
        self.requests = 0
        """Export requests seen, whatever became of them."""
        self.metadata: list[dict[str, str]] = []
        """What came along with each of the requests."""
        self._lock = threading.Lock()
        self._telemetry = Telemetry()
        self._metric_points = 0
        self._server: grpc.Server | None = None

    def start(self) -> Sink:
        """Begin to listen."""
        server = grpc.server(
            futures.ThreadPoolExecutor(max_workers=16),
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", self._max_message_bytes),
            ],
        )
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(_Traces(self), server)
        logs_service_pb2_grpc.add_LogsServiceServicer_to_server(_Logs(self), server)
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(_Metrics(self), server)
        listen = server.add_insecure_port
        if self._identity is not None:
            credentials = self._identity.credentials()
            listen = partial(server.add_secure_port, server_credentials=credentials)
        open_when_free(listen, self.port)
        server.start()
        self._server = server
        return self

    def stop(self) -> None:
        """Stop listening and break what is in flight."""
        if self._server is not None:
            self._server.stop(grace=None).wait()
            self._server = None

    def __enter__(self) -> Sink:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def telemetry(self) -> Telemetry:
        """Return a copy of what has been kept so far."""
        with self._lock:
            return replace(
                self._telemetry,
                spans=list(self._telemetry.spans),
                logs=list(self._telemetry.logs),
            )

    @property
    def metric_points(self) -> int:
        """How many metrics have been kept so far."""
        with self._lock:
            return self._metric_points

    def handle(
        self, signal: str, context: grpc.ServicerContext, keep: Callable[[Telemetry], int]
    ) -> tuple[int, str]:
        """Act on one request; return how many of its records are refused, and why."""
        behaviour = self.behaviour
        if behaviour.only not in {None, signal}:
            behaviour = ACCEPT
        with self._lock:
            self.requests += 1
            self.metadata.append(
                {k: v for k, v in context.invocation_metadata() if isinstance(v, str)}
            )
        if behaviour.hang:
            deadline = time.monotonic() + behaviour.hang
            while time.monotonic() < deadline and context.is_active():
                time.sleep(0.02)
            if not context.is_active():
                return 0, ""
        if behaviour.fail is not None:
            _abort(context, behaviour.fail, behaviour.retry_after)
        received = Telemetry()
        count = keep(received)
        refused = min(behaviour.reject, count)
        kept = count - refused
        with self._lock:
            self._telemetry.spans += received.spans[:kept]
            self._telemetry.logs += received.logs[:kept]
        warning = "x" * behaviour.warning_bytes
        return refused, "refused by the test" if refused else warning

    def keep_metrics(self, count: int) -> None:
        """Count metrics."""
        with self._lock:
            self._metric_points += count


def _abort(context: grpc.ServicerContext, code: grpc.StatusCode, retry_after: float | None) -> None:
    """End the call with a status, with a RetryInfo if one is wanted."""
    if retry_after is None:
        context.abort(code, "told to fail by the test")
    delay = Duration()
    delay.FromNanoseconds(int((retry_after or 0) * 1e9))
    detail = AnyMessage()
    detail.Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    status = status_pb2.Status(
        code=code.value[0], message="told to fail by the test", details=[detail]
    )
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, "told to fail by the test")


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802, D102
        def keep(into: Telemetry) -> int:
            into.spans += records.spans_of(request)
            return len(into.spans)

        refused, why = self._sink.handle("traces", context, keep)
        answer = trace_service_pb2.ExportTraceServiceResponse()
        if why:
            answer.partial_success.rejected_spans = refused
            answer.partial_success.error_message = why
        return answer


class _Logs(logs_service_pb2_grpc.LogsServiceServicer):
    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802, D102
        def keep(into: Telemetry) -> int:
            into.logs += records.logs_of(request)
            return len(into.logs)

        refused, why = self._sink.handle("logs", context, keep)
        answer = logs_service_pb2.ExportLogsServiceResponse()
        if refused:
            answer.partial_success.rejected_log_records = refused
            answer.partial_success.error_message = why
        return answer


class _Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802, D102
        count = sum(
            len(scope.metrics)
            for outer in request.resource_metrics
            for scope in outer.scope_metrics
        )
        self._sink.handle("metrics", context, lambda _: 0)
        self._sink.keep_metrics(count)
        return metrics_service_pb2.ExportMetricsServiceResponse()
