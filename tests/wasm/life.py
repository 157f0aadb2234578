"""A worker of the proxy: a VM, its root contexts, and requests, one after the other."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from rig.records import Telemetry, logs_of, spans_of

from wasm.host import Headers, Host, headers, properties
from wasm.vm import Vm

_CONTINUE = 0


class Worker:
    """A VM with one root context, which is not configured yet."""

    def __init__(self, module: Path, host: Host | None = None) -> None:
        self.host = Host() if host is None else host
        self.vm = Vm(module, self.host)
        self._last = 0
        self._answered = 0
        self.root = self.new_root()
        assert self.vm.start(self.root)

    def new_context(self, root: int) -> int:
        """Create a context of a request, or a root context."""
        self._last += 1
        self.vm.create(self._last, root)
        return self._last

    def new_root(self) -> int:
        """Create a root context."""
        return self.new_context(0)

    def configure(self, root: int | None = None, /, **options: Any) -> bool:
        """Give a root context its configuration; tells whether it accepts."""
        return self.configure_text(json.dumps(options).encode(), root)

    def configure_text(self, document: bytes, root: int | None = None) -> bool:
        """Give a root context a configuration as it is written."""
        self.host.configuration = document
        return self.vm.configure(self.root if root is None else root, len(document))

    def request(
        self,
        request: Headers | None = None,
        stream: dict[str, bytes] | None = None,
        *,
        root: int | None = None,
        rejected_earlier: bool = False,
    ) -> Counter[str]:
        """Play a request; returns how often it called each function of the proxy."""
        before = self.vm.calls.copy()
        context = self.new_context(self.root if root is None else root)
        self.host.headers = headers() if request is None else list(request)
        self.host.stream = properties() if stream is None else stream
        if not rejected_earlier:
            assert self.vm.request_headers(context, len(self.host.headers)) == _CONTINUE
        self.vm.log(context)
        assert self.vm.done(context)
        self.vm.delete(context)
        self.host.stream = {}
        return self.vm.calls - before

    def tick(self, seconds: float = 1, root: int | None = None) -> None:
        """Let time pass, then the root context's tick."""
        self.host.advance(seconds)
        self.vm.tick(self.root if root is None else root)

    def answer_all(self, message: bytes = b"", status: int = 0, root: int | None = None) -> None:
        """Answer all calls that have no answer, with a message or a status."""
        root = self.root if root is None else root
        while self._answered < len(self.host.calls):
            call = self.host.calls[self._answered]
            self._answered += 1
            self.host.message = message
            if call.is_http:
                http_status = b"200" if status == 0 else b"503"
                self.host.response_headers = [(b":status", http_status)]
                self.vm.http_response(root, call.token, 1, len(message))
            elif status == 0:
                self.vm.receive(root, call.token, len(message))
            else:
                self.vm.close(root, call.token, status)

    def telemetry(self) -> Telemetry:
        """Return what all calls carried."""
        found = Telemetry()
        for call in self.host.calls:
            if "TraceService" in call.path or call.path.endswith("/v1/traces"):
                found.spans += spans_of(ExportTraceServiceRequest.FromString(call.message))
            else:
                found.logs += logs_of(ExportLogsServiceRequest.FromString(call.message))
        return found

    def stats(self) -> dict[str, int]:
        """Return the filter's stats that are not 0."""
        return {
            name.removeprefix("spanmesh."): value
            for name, value in self.host.metrics.items()
            if value
        }
