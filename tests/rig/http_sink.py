"""An OTLP/HTTP server of the rig's own, which keeps what it receives and can be told to fail."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from rig import records
from rig.records import Telemetry

_PROTOBUF = "application/x-protobuf"


@dataclass(frozen=True)
class HttpBehaviour:
    """What the sink does with a request; it takes it unless something is set."""

    status: int = 200
    retry_after: int | None = None
    """Seconds."""
    warning_bytes: int = 0
    """How long a warning comes with full success, of traces."""
    close: bool = False
    """Whether the connection ends without an answer."""


class HttpSink:
    """Receives traces and logs as protobuf on a loopback port."""

    def __init__(self) -> None:
        self.behaviour = HttpBehaviour()
        self.headers: list[dict[str, str]] = []
        """Those of each request, with lower-case names."""
        self._lock = threading.Lock()
        self._telemetry = Telemetry()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:  # noqa: N802
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                sink._handle(self, headers, body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]

    def __enter__(self) -> HttpSink:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def telemetry(self) -> Telemetry:
        """Return a copy of what has been kept so far."""
        with self._lock:
            kept = self._telemetry
            return replace(kept, spans=list(kept.spans), logs=list(kept.logs))

    @property
    def requests(self) -> int:
        """How many there were, whatever became of them."""
        with self._lock:
            return len(self.headers)

    def _handle(
        self, connection: BaseHTTPRequestHandler, headers: dict[str, str], body: bytes
    ) -> None:
        behaviour = self.behaviour
        with self._lock:
            self.headers.append(headers)
        if behaviour.close:
            connection.close_connection = True
            return
        answer: bytes
        if behaviour.status != 200:
            answer = Status(code=13, message="told to fail by the test").SerializeToString()
        else:
            with self._lock:
                answer = self._keep(connection.path, headers["content-type"], body)
        connection.send_response(behaviour.status)
        connection.send_header("content-type", _PROTOBUF)
        connection.send_header("content-length", str(len(answer)))
        if behaviour.retry_after is not None:
            connection.send_header("retry-after", str(behaviour.retry_after))
        connection.end_headers()
        connection.wfile.write(answer)

    def _keep(self, path: str, content_type: str, body: bytes) -> bytes:
        assert content_type == _PROTOBUF, content_type
        if path == "/v1/traces":
            self._telemetry.spans += records.spans_of(ExportTraceServiceRequest.FromString(body))
            answer = ExportTraceServiceResponse()
            if self.behaviour.warning_bytes:
                answer.partial_success.error_message = "x" * self.behaviour.warning_bytes
            return answer.SerializeToString()
        assert path == "/v1/logs", path
        self._telemetry.logs += records.logs_of(ExportLogsServiceRequest.FromString(body))
        return ExportLogsServiceResponse().SerializeToString()
