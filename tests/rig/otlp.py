"""OTLP by hand: requests of every signal, sent over each transport in each encoding."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from rig import http
from rig.collector import Ports

Request = Any
"""An `Export…ServiceRequest`."""

PROTOBUF = "application/x-protobuf"
JSON = "application/json"

_IDS = {"traceId", "spanId", "parentSpanId"}

_PATIENCE = 30
"""Seconds that an answer may take: there are requests of 64 MiB, and busy machines."""


@dataclass(frozen=True)
class Signal:
    """A signal and its names."""

    name: str
    service: str
    items: str
    """What the collector's metrics call its records."""
    request: type[Message]
    response: type[Message]

    @property
    def http_path(self) -> str:
        """Where OTLP/HTTP takes it."""
        return f"/v1/{self.name}"

    @property
    def grpc_path(self) -> str:
        """Where OTLP/gRPC takes it."""
        return f"/{self.service}/Export"


def _signal(name: str, service: str, items: str, module: Any) -> Signal:
    return Signal(
        name,
        f"opentelemetry.proto.collector.{service.lower()}.v1.{service}Service",
        items,
        getattr(module, f"Export{service}ServiceRequest"),
        getattr(module, f"Export{service}ServiceResponse"),
    )


TRACES = _signal("traces", "Trace", "spans", trace_service_pb2)
LOGS = _signal("logs", "Logs", "log_records", logs_service_pb2)
METRICS = _signal("metrics", "Metrics", "metric_points", metrics_service_pb2)
SIGNALS = (TRACES, LOGS, METRICS)


class Items:
    """Counts the records of a request."""

    _BELOW = {
        "resource_spans": "scope_spans",
        "scope_spans": "spans",
        "resource_logs": "scope_logs",
        "scope_logs": "log_records",
        "resource_metrics": "scope_metrics",
        "scope_metrics": "metrics",
    }

    @classmethod
    def count(cls, request: Request) -> int:
        """Count spans, log records or data points."""
        [top] = request.DESCRIPTOR.fields
        return sum(cls._count(one, cls._BELOW[top.name]) for one in getattr(request, top.name))

    @classmethod
    def _count(cls, message: Message, name: str) -> int:
        below = getattr(message, name)
        if name == "metrics":
            points = (getattr(m, m.WhichOneof("data")) for m in below if m.WhichOneof("data"))
            return sum(len(data.data_points) for data in points)
        if name not in cls._BELOW:
            return len(below)
        return sum(cls._count(one, cls._BELOW[name]) for one in below)


def to_json(message: Message) -> bytes:
    """Encode a message as OTLP does: protobuf's JSON with enums as numbers and ids in hex."""
    document = json_format.MessageToDict(message, use_integers_for_enums=True)
    return json.dumps(_ids_to_hex(document), ensure_ascii=False).encode()


def _ids_to_hex(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: base64.b64decode(value).hex() if key in _IDS else _ids_to_hex(value)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_ids_to_hex(item) for item in node]
    return node


@dataclass(frozen=True)
class Answer:
    """What a server said, read in the encoding that it said it in."""

    code: grpc.StatusCode
    """The code of the `Status`, OK without one."""
    http_status: int | None = None
    """None over gRPC."""
    status: status_pb2.Status = field(default_factory=status_pb2.Status)
    response: Message | None = None
    headers: dict[str, str] = field(default_factory=dict)
    """Of an answer over HTTP; with lower-case names."""

    @property
    def retry_delay(self) -> float | None:
        """The seconds of its `RetryInfo`."""
        info = error_details_pb2.RetryInfo()
        found = any(detail.Unpack(info) for detail in self.status.details)
        return info.retry_delay.ToTimedelta().total_seconds() if found else None

    @property
    def fields(self) -> list[str]:
        """The fields that its `BadRequest` names."""
        bad = error_details_pb2.BadRequest()
        found = any(detail.Unpack(bad) for detail in self.status.details)
        return [violation.field for violation in bad.field_violations] if found else []


class Wire(Protocol):
    """A transport and an encoding."""

    name: str
    transport: str
    """What the collector's metrics call it."""

    def encode(self, request: Request) -> bytes:
        """Encode a request."""

    def send(self, signal: Signal, body: bytes) -> Answer:
        """Send an encoded request, and read the answer in the encoding of the request."""


class Grpc:
    """OTLP/gRPC, with grpcio as the client."""

    name = "grpc"
    transport = "grpc"

    def __init__(self, ports: Ports) -> None:
        # A client takes answers of 4 MiB at most, and sends what it is told to.
        options = [
            ("grpc.max_receive_message_length", 4 << 20),
            ("grpc.max_send_message_length", -1),
        ]
        self._channel = grpc.insecure_channel(f"127.0.0.1:{ports.grpc}", options)

    def encode(self, request: Request) -> bytes:
        """Encode as protobuf."""
        return request.SerializeToString()

    def send(
        self, signal: Signal, body: bytes, compression: grpc.Compression | None = None
    ) -> Answer:
        """Call Export."""
        call = self._channel.unary_unary(signal.grpc_path)
        try:
            content = call(body, timeout=_PATIENCE, compression=compression, wait_for_ready=True)
        except grpc.RpcError as error:
            return _failed(error)
        return Answer(grpc.StatusCode.OK, response=signal.response.FromString(content))

    def close(self) -> None:
        """End the connection."""
        self._channel.close()


def _failed(error: Any) -> Answer:
    metadata = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(metadata.get("grpc-status-details-bin", b""))
    if status.ByteSize():
        assert (status.code, status.message) == (error.code().value[0], error.details())
    return Answer(error.code(), status=status)


class Http:
    """OTLP/HTTP in one of its encodings."""

    transport = "http"

    def __init__(self, ports: Ports, content_type: str) -> None:
        self.name = "http-json" if content_type == JSON else "http-protobuf"
        self.content_type = content_type
        self._port = ports.http

    def encode(self, request: Request) -> bytes:
        """Encode as protobuf or JSON."""
        return to_json(request) if self.content_type == JSON else request.SerializeToString()

    def send(self, signal: Signal, body: bytes, *, more: Sequence[tuple[str, str]] = ()) -> Answer:
        """Post to the signal's path, with more headers."""
        headers = [("content-type", self.content_type), *more]
        answer = http.request(
            self._port,
            signal.http_path,
            method="POST",
            headers=headers,
            body=body,
            timeout=_PATIENCE,
        )
        return self.read(signal, answer.status, dict(answer.headers), answer.body)

    def read(self, signal: Signal, status: int, headers: dict[str, str], body: bytes) -> Answer:
        """Read an answer, which has to be in the encoding of the request."""
        headers = {name.lower(): value for name, value in headers.items()}
        assert headers.get("content-type") == self.content_type, (status, headers, body)
        if status == 200:
            response = self._decode(body, signal.response())
            return Answer(grpc.StatusCode.OK, 200, response=response, headers=headers)
        detail = self._decode(body, status_pb2.Status())
        assert detail.message, "a Status says what was wrong"
        code = getattr(grpc.StatusCode, code_pb2.Code.Name(detail.code))
        return Answer(code, status, status=detail, headers=headers)

    def _decode(self, body: bytes, into: Any) -> Any:
        if self.content_type == JSON:
            return json_format.Parse(body, into)
        into.ParseFromString(body)
        return into
