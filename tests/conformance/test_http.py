"""OTLP/HTTP: paths, methods, content types, encodings, connections, over HTTP/1.1 and HTTP/2."""

from __future__ import annotations

import gzip
import http.client
import socket
import zlib
from collections.abc import Callable
from contextlib import closing

import pytest
from rig.conformance import SMALL_BYTES, Server
from rig.http import Headers, exchange
from rig.http2 import Connection
from rig.otlp import JSON, PROTOBUF, TRACES, Answer, Http
from rig.samples import small


class Client:
    """Speaks one version of HTTP, on a connection for each request."""

    def __init__(self, port: int, version: str, content_type: str) -> None:
        self.port = port
        self.version = version
        self.content_type = content_type

    def request(
        self, method: str, path: str, headers: Headers, body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Make a request; return status, headers and body of the answer."""
        if self.version == "2":
            with Connection(self.port) as connection:
                reply = connection.request(method, path, headers, [body] if body else [])
            return reply.status, reply.headers, reply.body
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)) as one:
            answer = exchange(one, path, method=method, headers=headers, body=body)
        return answer.status, dict(answer.headers), answer.body

    def ask(
        self,
        server: Server,
        body: bytes = b"",
        *,
        method: str = "POST",
        path: str = TRACES.http_path,
        content_type: str | None = None,
        more: Headers = (),
    ) -> Answer:
        """Make a request and read its answer, which has to be in the encoding of the request."""
        headers = [("content-type", content_type or self.content_type), *more]
        wire = Http(server.ports, self.content_type)
        return wire.read(TRACES, *self.request(method, path, headers, body))


@pytest.fixture(params=[(v, t) for v in ("1.1", "2") for t in (PROTOBUF, JSON)], ids="-".join)
def client(request: pytest.FixtureRequest, server: Server) -> Client:
    version, content_type = request.param
    return Client(server.ports.http, version, content_type)


def encoded(server: Server, client: Client, items: int = 1) -> bytes:
    """Return a request in the client's encoding, and count it as taken."""
    server.accepted += items
    return Http(server.ports, client.content_type).encode(small(TRACES, items))


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/trace", "/v1/traces/", "/V1/traces", "//v1/traces"]
)
def test_unknown_paths_are_404(server: Server, client: Client, path: str) -> None:
    answer = client.ask(server, path=path)
    assert answer.http_status == 404
    assert "retry-after" not in answer.headers


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_methods_are_405(server: Server, client: Client, method: str) -> None:
    answer = client.ask(server, method=method)
    assert answer.http_status == 405
    assert answer.headers["allow"] == "POST"


def test_a_query_changes_nothing(server: Server, client: Client) -> None:
    answer = client.ask(server, encoded(server, client), path="/v1/traces?a=b")
    assert answer.http_status == 200


TYPES = [
    "text/plain",
    "application/protobuf",
    "application/octet-stream",
    "application/x-www-form-urlencoded",
    "application/jsonl",
    "application/x-protobuf+json",
]


@pytest.mark.parametrize("content_type", TYPES)
def test_other_content_types_are_415(server: Server, content_type: str) -> None:
    for version in ("1.1", "2"):
        # There is no encoding of the request to follow.
        answer = Client(server.ports.http, version, PROTOBUF).ask(server, content_type=content_type)
        assert answer.http_status == 415


@pytest.mark.parametrize("parameter", ["; charset=utf-8", ";charset=UTF-8", " ; a=b; c=d"])
def test_parameters_of_the_content_type_change_nothing(
    server: Server, client: Client, parameter: str
) -> None:
    content_type = client.content_type.upper() + parameter
    body = encoded(server, client)
    assert client.ask(server, body, content_type=content_type).http_status == 200


def zlib_of(body: bytes) -> bytes:
    return zlib.compress(body)


def gzip_in_two(body: bytes) -> bytes:
    half = len(body) // 2
    return gzip.compress(body[:half]) + gzip.compress(body[half:])


ENCODINGS = {
    "gzip": ("gzip", gzip.compress),
    "gzip in two members": ("gzip", gzip_in_two),
    "GZIP": ("GZIP", gzip.compress),
    "deflate": ("deflate", zlib_of),
    "identity": ("identity", bytes),
}


@pytest.mark.parametrize(("name", "compress"), ENCODINGS.values(), ids=ENCODINGS)
def test_content_encodings(
    server: Server, client: Client, name: str, compress: Callable[[bytes], bytes]
) -> None:
    body = compress(encoded(server, client, 50))
    answer = client.ask(server, body, more=[("content-encoding", name)])
    assert answer.http_status == 200


NO_GZIP = {
    "plain": lambda body: body,
    "cut off": lambda body: gzip.compress(body)[:-9],
    "another checksum": lambda body: gzip.compress(body)[:-8] + b"\x00" * 8,
    "something behind it": lambda body: gzip.compress(body) + b"more",
    "half a header": lambda body: b"\x1f\x8b",
    "nothing": lambda body: b"",
}


@pytest.mark.parametrize("compress", NO_GZIP.values(), ids=NO_GZIP)
def test_what_cannot_be_decompressed_is_400(
    server: Server, client: Client, compress: Callable[[bytes], bytes]
) -> None:
    body = compress(Http(server.ports, client.content_type).encode(small(TRACES)))
    answer = client.ask(server, body, more=[("content-encoding", "gzip")])
    assert answer.http_status == 400
    assert answer.retry_delay is None


@pytest.mark.parametrize("name", ["br", "compress", "gzip, br", "aws-chunked"])
def test_other_content_encodings_are_415(server: Server, client: Client, name: str) -> None:
    answer = client.ask(server, b"x", more=[("content-encoding", name)])
    assert answer.http_status == 415
    assert "gzip" in answer.headers["accept-encoding"]


def head(client: Client, *more: str) -> bytes:
    """Return the head of a request over HTTP/1.1."""
    lines = ["POST /v1/traces HTTP/1.1", "host: a", f"content-type: {client.content_type}", *more]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.fixture(params=[PROTOBUF, JSON], ids=["protobuf", "json"])
def http1(request: pytest.FixtureRequest, server: Server) -> Client:
    return Client(server.ports.http, "1.1", request.param)


def status_line(connection: socket.socket) -> bytes:
    """Read the status of an answer and leave the rest."""
    line = b""
    while not line.endswith(b"\r\n"):
        line += connection.recv(1)
    return line


def test_bodies_may_come_in_chunks(server: Server, http1: Client) -> None:
    body = encoded(server, http1)
    chunks = [b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:])]
    with socket.create_connection(("127.0.0.1", http1.port), timeout=10) as one:
        one.sendall(head(http1, "transfer-encoding: chunked") + b"".join(chunks) + b"0\r\n\r\n")
        assert status_line(one).startswith(b"HTTP/1.1 200")


def test_a_client_may_ask_before_it_sends(server: Server, http1: Client) -> None:
    body = encoded(server, http1)
    with socket.create_connection(("127.0.0.1", http1.port), timeout=10) as one:
        one.sendall(head(http1, f"content-length: {len(body)}", "expect: 100-continue"))
        assert status_line(one).startswith(b"HTTP/1.1 100")
        assert status_line(one) == b"\r\n"
        one.sendall(body)
        assert status_line(one).startswith(b"HTTP/1.1 200")


def test_who_asks_hears_that_it_is_too_much_before_sending_it(
    server: Server, http1: Client
) -> None:
    with socket.create_connection(("127.0.0.1", server.small.http), timeout=10) as one:
        announced = f"content-length: {SMALL_BYTES + 1}"
        one.sendall(head(http1, announced, "expect: 100-continue"))
        assert status_line(one).startswith(b"HTTP/1.1 413")


def test_a_body_that_ends_early_is_not_taken(server: Server, http1: Client) -> None:
    body = Http(server.ports, http1.content_type).encode(small(TRACES))
    with socket.create_connection(("127.0.0.1", http1.port), timeout=10) as one:
        one.sendall(head(http1, f"content-length: {len(body) + 1}") + body)
        one.shutdown(socket.SHUT_WR)
        assert b"HTTP/1.1 200" not in one.recv(65_536)


def test_connections_are_kept_also_after_errors(server: Server, http1: Client) -> None:
    wire = Http(server.ports, http1.content_type)
    with closing(http.client.HTTPConnection("127.0.0.1", http1.port, timeout=15)) as one:
        one.connect()
        kept = one.sock
        for number in range(60):
            wrong = number % 3 == 0
            body = b"\xff{" if wrong else encoded(server, http1)
            path = "/nowhere" if number % 5 == 0 and wrong else TRACES.http_path
            headers = [("content-type", http1.content_type)]
            answer = exchange(one, path, method="POST", headers=headers, body=body)
            wire.read(TRACES, answer.status, dict(answer.headers), answer.body)
            assert answer.status == (404 if path == "/nowhere" else 400 if wrong else 200)
            assert one.sock is kept, "the server closed the connection"


def test_requests_may_follow_each_other_without_waiting(server: Server, http1: Client) -> None:
    bodies = [encoded(server, http1) for _ in range(20)]
    whole = b"".join(head(http1, f"content-length: {len(body)}") + body for body in bodies)
    with socket.create_connection(("127.0.0.1", http1.port), timeout=10) as one:
        one.sendall(whole)
        received = b""
        while received.count(b"HTTP/1.1 200 OK") < len(bodies):
            data = one.recv(65_536)
            assert data, received
            received += data
    assert received.count(b"HTTP/1.1") == len(bodies)


def test_many_requests_share_a_connection_of_http2(server: Server) -> None:
    wire = Http(server.ports, PROTOBUF)
    with Connection(server.ports.http) as one:
        for _ in range(100):
            body = small(TRACES).SerializeToString()
            reply = one.post("/v1/traces", [("content-type", PROTOBUF)], [body[:9], body[9:]])
            assert wire.read(TRACES, reply.status, reply.headers, reply.body).http_status == 200
            server.accepted += 1
        one.ping()
