"""Spans and log records, decoded with `opentelemetry-proto`: the oracle that is not our code."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

SERVER = 2
"""`Span.Kind` of what a service answers."""
CLIENT = 3
"""`Span.Kind` of what a service asks for."""

KIND_NAMES = {SERVER: "SERVER", CLIENT: "CLIENT"}

Attributes = dict[str, Any]


@dataclass(frozen=True)
class Span:
    """A span with its resource and scope. Ids are lowercase hex, times nanoseconds."""

    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    kind: int
    start: int
    end: int
    attributes: Attributes
    status: int
    """0 unset, 1 ok, 2 error."""
    status_message: str
    flags: int
    trace_state: str
    resource: Attributes
    scope: str
    scope_version: str
    schema_url: str

    @property
    def service(self) -> str:
        """The resource's `service.name`."""
        return str(self.resource.get("service.name", ""))

    @property
    def request(self) -> str | None:
        """The driver's mark of the request, if the URL carries it."""
        return _mark(self.attributes)


@dataclass(frozen=True)
class LogRecord:
    """A log record with its resource and scope."""

    trace_id: str
    span_id: str
    flags: int
    time: int
    observed_time: int
    severity: int
    severity_text: str
    event_name: str
    body: Any
    attributes: Attributes
    resource: Attributes
    scope: str
    scope_version: str
    schema_url: str

    @property
    def service(self) -> str:
        """The resource's `service.name`."""
        return str(self.resource.get("service.name", ""))

    @property
    def request(self) -> str | None:
        """The driver's mark of the request, if the URL carries it."""
        return _mark(self.attributes)


@dataclass
class Telemetry:
    """Everything that arrived somewhere, in the order of arrival."""

    spans: list[Span] = field(default_factory=list)
    logs: list[LogRecord] = field(default_factory=list)

    def trace(self, trace_id: str) -> list[Span]:
        """Return the spans of a trace, by start time."""
        return sorted((s for s in self.spans if s.trace_id == trace_id), key=lambda s: s.start)

    def of_request(self, mark: str) -> list[Span]:
        """Return the spans whose URL carries the driver's mark."""
        return [span for span in self.spans if span.request == mark]

    def logs_of_request(self, mark: str) -> list[LogRecord]:
        """Return the log records whose URL carries the driver's mark."""
        return [record for record in self.logs if record.request == mark]


def _mark(attributes: Attributes) -> str | None:
    query = attributes.get("url.query") or urlsplit(str(attributes.get("url.full", ""))).query
    return next(iter(parse_qs(str(query)).get("request", [])), None)


def value_of(value: AnyValue) -> Any:
    """Return an attribute's value as the Python value of its type."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [value_of(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return attributes_of(value.kvlist_value.values)
    return getattr(value, kind)


def attributes_of(pairs: Any) -> Attributes:
    """Return attributes as a dictionary; a key that is given twice is an error."""
    attributes: Attributes = {}
    pair: KeyValue
    for pair in pairs:
        if pair.key in attributes:
            raise ValueError(f"the attribute {pair.key} is given twice")
        attributes[pair.key] = value_of(pair.value)
    return attributes


def spans_of(message: ExportTraceServiceRequest) -> Iterator[Span]:
    """Decode the spans of a request."""
    for outer in message.resource_spans:
        resource = attributes_of(outer.resource.attributes)
        for inner in outer.scope_spans:
            for span in inner.spans:
                yield Span(
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_span_id=span.parent_span_id.hex(),
                    name=span.name,
                    kind=span.kind,
                    start=span.start_time_unix_nano,
                    end=span.end_time_unix_nano,
                    attributes=attributes_of(span.attributes),
                    status=span.status.code,
                    status_message=span.status.message,
                    flags=span.flags,
                    trace_state=span.trace_state,
                    resource=resource,
                    scope=inner.scope.name,
                    scope_version=inner.scope.version,
                    schema_url=inner.schema_url or outer.schema_url,
                )


def logs_of(message: ExportLogsServiceRequest) -> Iterator[LogRecord]:
    """Decode the log records of a request."""
    for outer in message.resource_logs:
        resource = attributes_of(outer.resource.attributes)
        for inner in outer.scope_logs:
            for record in inner.log_records:
                yield LogRecord(
                    trace_id=record.trace_id.hex(),
                    span_id=record.span_id.hex(),
                    flags=record.flags,
                    time=record.time_unix_nano,
                    observed_time=record.observed_time_unix_nano,
                    severity=record.severity_number,
                    severity_text=record.severity_text,
                    event_name=record.event_name,
                    body=value_of(record.body),
                    attributes=attributes_of(record.attributes),
                    resource=resource,
                    scope=inner.scope.name,
                    scope_version=inner.scope.version,
                    schema_url=inner.schema_url or outer.schema_url,
                )


def _ids_to_base64(node: Any) -> Any:
    """Turn the ids of OTLP's JSON, which are hex, into what protobuf's own JSON has."""
    if isinstance(node, dict):
        return {
            key: base64.b64encode(bytes.fromhex(value)).decode()
            if key in {"traceId", "spanId", "parentSpanId"}
            else _ids_to_base64(value)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_ids_to_base64(item) for item in node]
    return node


def read_json_lines(path: Path) -> Telemetry:
    """Read what the collector's `file` exporter wrote: one OTLP request in JSON on each line."""
    found = Telemetry()
    if not path.exists():
        return found
    # The last line may be half written, and end within a character.
    for line in path.read_bytes().split(b"\n")[:-1]:
        document = _ids_to_base64(json.loads(line))
        if "resourceSpans" in document:
            traces = json_format.ParseDict(document, ExportTraceServiceRequest())
            found.spans += spans_of(traces)
        elif "resourceLogs" in document:
            logs = json_format.ParseDict(document, ExportLogsServiceRequest())
            found.logs += logs_of(logs)
    return found
