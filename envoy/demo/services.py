"""The demo's HTTP services: frontend asks cart, cart asks inventory.

Each is this program with another `--name`. It forwards the trace headers of the request that it
serves to the request that it makes, which is all that a service behind a sidecar has to do. The
query string is forwarded too, and tells the last service how to behave:

    delay_ms=N   answer after N milliseconds
    fail=CODE    answer with that status
    reset=1      close the connection without an answer
    header=N:V   add this header to the answer; may be there several times

`/headers` on each service answers with the headers that it received, as JSON. Standard library
only, so that the container image needs nothing but Python.
"""

from __future__ import annotations

import argparse
import http.client
import json
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PROPAGATED = (
    "traceparent",
    "tracestate",
    "baggage",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-sampled",
    "x-b3-flags",
    "x-request-id",
)
"""The headers that a service copies from what it serves to what it asks for."""

# Seconds. Longer than any delay that the demo or a test asks for.
UPSTREAM_TIMEOUT = 20.0


class Service(ThreadingHTTPServer):
    """One service and the address of the next one, if it has one."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], name: str, following: str | None, via: str | None
    ) -> None:
        super().__init__(address, Handler)
        self.name = name
        self.following = urlsplit(following) if following else None
        self.via = via or (self.following.netloc if self.following else "")


class Handler(BaseHTTPRequestHandler):
    """Serves one connection."""

    protocol_version = "HTTP/1.1"
    # Headers and body are two writes; without this the second waits for an acknowledgement.
    disable_nagle_algorithm = True
    server: Service

    def do_GET(self) -> None:  # noqa: N802, the name that the base class calls
        """Answer, after asking the next service if there is one."""
        length = int(self.headers.get("content-length") or 0)
        if length:
            self.rfile.read(length)
        url = urlsplit(self.path)
        if url.path == "/headers":
            self._answer(200, {"headers": self.headers.items()})
            return
        if self.server.following is None:
            self._serve(parse_qs(url.query))
            return
        try:
            status, below = self._ask(url.query)
        except (OSError, http.client.HTTPException) as error:
            self._answer(502, {"service": self.server.name, "error": str(error)})
            return
        self._answer(status, {"service": self.server.name, "next": below})

    do_POST = do_GET  # noqa: N815, the name that the base class calls

    def _serve(self, wishes: dict[str, list[str]]) -> None:
        """Answer as the last service of the chain, in the way that the request asks for."""
        if "delay_ms" in wishes:
            time.sleep(int(wishes["delay_ms"][0]) / 1_000)
        if "reset" in wishes:
            # With a linger time of zero, close sends a reset.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            # Taken from the handler first, so that it does not send an orderly end itself.
            self.wfile.close()
            self.rfile.close()
            self.connection.close()
            return
        added = [header.split(":", 1) for header in wishes.get("header", [])]
        content = {"service": self.server.name}
        self._answer(int(wishes.get("fail", ["200"])[0]), content, added)

    def _ask(self, query: str) -> tuple[int, object]:
        """Ask the next service and return its status and answer."""
        following = self.server.following
        assert following is not None
        headers = {
            name: self.headers[name] for name in PROPAGATED if self.headers[name] is not None
        }
        # The authority names the service; the connection goes to the own Envoy.
        headers["host"] = following.netloc
        connection = http.client.HTTPConnection(self.server.via, timeout=UPSTREAM_TIMEOUT)
        try:
            path = f"{following.path}?{query}" if query else following.path
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        try:
            return response.status, json.loads(body)
        except ValueError:
            return response.status, body.decode(errors="replace")

    def _answer(
        self, status: int, content: Mapping[str, object], added: Iterable[Sequence[str]] = ()
    ) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        for name, value in added:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002, the base class's name
        """Write one line a request to standard output."""
        print(f"{self.server.name}: {format % args}", flush=True)


def main() -> None:
    """Run one service until it is asked to end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", required=True, help="frontend, cart or inventory")
    parser.add_argument("--listen", default="127.0.0.1:8080", metavar="HOST:PORT")
    parser.add_argument("--next", metavar="URL", help="what to ask for before answering")
    parser.add_argument(
        "--via", metavar="HOST:PORT", help="where to send that request: the own Envoy"
    )
    arguments = parser.parse_args()
    host, _, port = arguments.listen.rpartition(":")
    try:
        service = Service((host, int(port)), arguments.name, arguments.next, arguments.via)
    except OSError as error:
        sys.exit(f"{arguments.name}: cannot listen on {arguments.listen}: {error.strerror}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"{arguments.name}: listening on {arguments.listen}", flush=True)
    service.serve_forever()


if __name__ == "__main__":
    main()
