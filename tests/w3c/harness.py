"""A harness of our own: sends a request with headers and captures what the service passes on."""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from rig import http
from rig.ports import free_port

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")

HeaderList = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Outgoing:
    """The trace context of a request that left the mesh. Creating it checks that it is valid."""

    version: str
    trace_id: str
    parent_id: str
    flags: int
    members: tuple[tuple[str, str], ...]
    """The entries of tracestate in their order, over all its headers."""

    @classmethod
    def parse(cls, headers: HeaderList) -> Outgoing:
        """Parse it from the headers that arrived."""
        parents = [value for name, value in headers if name.lower() == "traceparent"]
        assert len(parents) == 1, f"expected one traceparent, got {parents}"
        found = _TRACEPARENT.fullmatch(parents[0])
        assert found is not None, f"not a traceparent: {parents[0]!r}"
        version, trace_id, parent_id, flags = found.groups()
        assert version == "00", f"version {version} was emitted"
        assert trace_id != "0" * 32
        assert parent_id != "0" * 16
        members = []
        for name, value in headers:
            if name.lower() != "tracestate":
                continue
            for member in value.split(","):
                entry = member.strip(" \t")
                # Empty entries are legal, and mean nothing.
                if not entry:
                    continue
                key, separator, content = entry.partition("=")
                assert separator, f"not a tracestate: {value!r}"
                members.append((key, content))
        return cls(version, trace_id, parent_id, int(flags, 16), tuple(members))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.captured: dict[str, list[tuple[str, str]]] = {}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:  # noqa: N802, the name that the base class calls
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.captured[self.path] = list(self.headers.items())
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002, the base class's name
        pass


class Harness:
    """Listens for the service's requests on a loopback port."""

    def __init__(self) -> None:
        self.port = free_port()
        self._server = _Server(self.port)
        self._names = itertools.count()
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def send(self, inbound: int, headers: HeaderList, calls: int = 1) -> list[Outgoing]:
        """Send a request that makes the service call back `calls` times; return the contexts."""
        name = next(self._names)
        paths = [f"/callback/{name}.{index}" for index in range(calls)]
        wanted = [{"url": f"http://127.0.0.1:{self.port}{p}", "arguments": []} for p in paths]
        answer = http.request(
            inbound,
            "/test",
            method="POST",
            headers=[("content-type", "application/json"), *headers],
            body=json.dumps(wanted).encode(),
        )
        assert answer.status == 200, answer
        return [Outgoing.parse(self._server.captured.pop(path)) for path in paths]
