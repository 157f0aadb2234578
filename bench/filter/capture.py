"""The OTLP requests of a few HTTP requests, byte by byte."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent import futures
from dataclasses import dataclass, field

import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from rig.envoy import Envoy
from rig.ports import free_port
from rig.process import Run, wait_for

from bench.filter.load import Load
from bench.filter.variants import Variant

_TRACES = "opentelemetry.proto.collector.trace.v1.TraceService"
_LOGS = "opentelemetry.proto.collector.logs.v1.LogsService"


@dataclass
class Captured:
    """Encoded export requests, by signal."""

    traces: list[bytes] = field(default_factory=list)
    logs: list[bytes] = field(default_factory=list)

    def spans(self) -> list[Span]:
        """Return all spans."""
        return [span for request in self.traces for span in spans(request)]

    def log_records(self) -> list[LogRecord]:
        """Return all log records."""
        return [
            record
            for request in self.logs
            for resource in ExportLogsServiceRequest.FromString(request).resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]


def spans(request: bytes) -> list[Span]:
    """Return the spans of an encoded export request."""
    return [
        span
        for resource in ExportTraceServiceRequest.FromString(request).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def names(records: Iterable[Span | LogRecord]) -> set[str]:
    """Return the names of the attributes of all spans or log records."""
    return {attribute.key for record in records for attribute in record.attributes}


def capture(run: Run, name: str, variant: Variant, requests: int) -> Captured:
    """Send requests through a fresh Envoy and return all telemetry that came of them."""
    captured = Captured()
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=2),
        options=[("grpc.max_receive_message_length", 64 << 20)],
    )
    server.add_generic_rpc_handlers(
        (_keeping(_TRACES, captured.traces), _keeping(_LOGS, captured.logs))
    )
    sink = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with Run(f"{run.directory.name}/{name}") as own:
            port, admin = free_port(), free_port()
            envoy = Envoy(
                own, "bench", variant.document(port, admin, sink), admin=admin, concurrency=1
            )
            envoy.wait_ready()
            Load(requests, 0, connections=1).run(requests, port)
            wait_for(
                lambda: (
                    len(captured.spans()) >= variant.spans * requests
                    and len(captured.log_records()) >= variant.logs * requests
                ),
                f"{variant.label}: the telemetry of {requests} requests",
            )
    finally:
        server.stop(grace=None).wait()
    return captured


def _keeping(service: str, kept: list[bytes]) -> grpc.GenericRpcHandler:
    def export(request: bytes, _: grpc.ServicerContext) -> bytes:
        kept.append(request)
        return b""

    unary: Callable[..., grpc.RpcMethodHandler] = grpc.unary_unary_rpc_method_handler
    return grpc.method_handlers_generic_handler(service, {"Export": unary(export)})
