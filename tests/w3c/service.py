"""The service behind the sidecar under test: it makes the requests that it is asked to make.

A POST brings a JSON array of `{"url": …, "arguments": …}`. For each element the service POSTs the
arguments to the URL, with the trace headers that it received itself, through the sidecar's
outbound listener. It copies headers and understands none of them, as a service in a mesh does.
"""

from __future__ import annotations

import argparse
import http.client
import json
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

COPIED = ("traceparent", "tracestate")


class Handler(BaseHTTPRequestHandler):
    """Serves one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    via = ""

    def do_POST(self) -> None:  # noqa: N802, the name that the base class calls
        """Make the requests that the body lists, then answer."""
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        for wanted in json.loads(body):
            self._call(wanted["url"], json.dumps(wanted["arguments"]).encode())
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def _call(self, url: str, body: bytes) -> None:
        target = urlsplit(url)
        connection = http.client.HTTPConnection(self.via, timeout=10)
        try:
            connection.putrequest("POST", target.path, skip_host=True)
            connection.putheader("host", target.netloc)
            connection.putheader("content-type", "application/json")
            connection.putheader("content-length", str(len(body)))
            for name in COPIED:
                for value in self.headers.get_all(name) or []:
                    connection.putheader(name, value)
            connection.endheaders(body)
            connection.getresponse().read()
        finally:
            connection.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002, the base class's name
        """Say nothing; a failed request shows in the caller."""


def main() -> None:
    """Run the service until it is asked to end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--via", required=True, metavar="HOST:PORT", help="the outbound listener")
    arguments = parser.parse_args()
    Handler.via = arguments.via
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ThreadingHTTPServer(("127.0.0.1", arguments.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
