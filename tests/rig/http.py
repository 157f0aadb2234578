"""A small HTTP/1.1 client that sends headers as they are given, repeats and spaces included."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True)
class Response:
    """An HTTP response, its body read."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(errors="replace")

    def header(self, name: str) -> str | None:
        """The first value of a header, by its lowercase name."""
        return next((value for key, value in self.headers if key.lower() == name), None)


def request(
    port: int,
    path: str,
    *,
    method: str = "GET",
    host: str | None = None,
    headers: Headers = (),
    body: bytes = b"",
    timeout: float = 30.0,
    address: str = "127.0.0.1",
) -> Response:
    """Make one request to a port of this machine on a connection of its own."""
    connection = http.client.HTTPConnection(address, port, timeout=timeout)
    try:
        return exchange(connection, path, method=method, host=host, headers=headers, body=body)
    finally:
        connection.close()


def exchange(
    connection: http.client.HTTPConnection,
    path: str,
    *,
    method: str = "GET",
    host: str | None = None,
    headers: Headers = (),
    body: bytes = b"",
) -> Response:
    """Make one request on an open connection."""
    connection.putrequest(method, path, skip_host=host is not None, skip_accept_encoding=True)
    if host is not None:
        connection.putheader("host", host)
    for name, value in headers:
        connection.putheader(name, value)
    if body or method in {"POST", "PUT", "PATCH"}:
        connection.putheader("content-length", str(len(body)))
    connection.endheaders(body or None)
    answer = connection.getresponse()
    content = answer.read()
    return Response(answer.status, tuple(answer.getheaders()), content)
