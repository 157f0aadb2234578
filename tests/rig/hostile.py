"""Requests that no honest client makes, sent over raw sockets; all from fixed seeds."""

from __future__ import annotations

import asyncio
import functools
import random
import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from rig.loops import serve_beside
from rig.ports import free_port
from rig.process import Run

Header = tuple[bytes, bytes]

TRACE = b"4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = b"00f067aa0ba902b7"

_VALID: dict[bytes, list[bytes]] = {
    b"traceparent": [b"00-" + TRACE + b"-" + SPAN + flags for flags in (b"-01", b"-00", b"-03")],
    b"tracestate": [b"ot=th:8;rv:0123456789abcd,a=b", b"a@b=c,d=e", b"ot=th:0"],
    b"b3": [TRACE + b"-" + SPAN + b"-1", TRACE + b"-" + SPAN + b"-d", b"0"],
    b"x-b3-traceid": [TRACE, TRACE[16:]],
    b"x-b3-spanid": [SPAN],
    b"x-b3-sampled": [b"1", b"0", b"true"],
    b"x-b3-flags": [b"1"],
    b"baggage": [b"a=b;c=d,e=f"],
    b"forwarded": [b'for="[2001:db8::1]:4711";host=a;proto=https, for=10.0.0.9'],
    b"x-forwarded-for": [b"192.0.2.1, 10.0.0.1"],
    b"user-agent": [b"rig/1"],
}

# What Envoy lets through in a value: no control characters but the tab.
_LEGAL = bytes([9, *range(0x20, 0x7F), *range(0x80, 0x100)])


def _mutated(value: bytes, chance: random.Random) -> bytes:
    """Change a valid value in one to four places."""
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(0, len(value))
        junk = bytes(chance.choices(_LEGAL, k=chance.choice([1, 1, 2, 7, 40])))
        value = chance.choice(
            [
                value[:at],
                value[at:],
                value[:at] + junk + value[at:],
                value[:at] + junk + value[at + len(junk) :],
                value[:at] + value[at:].upper(),
                value + b"," + value,
                value * chance.choice([2, 30]),
                junk,
                b"",
            ]
        )
    # Spaces at the ends are no part of a value, and a raw one at the start of a line folds it.
    return value.strip(b" \t")


def trace_headers(count: int, seed: int = 20261121) -> Iterator[list[Header]]:
    """Yield lists of damaged headers of every kind that the filter reads."""
    chance = random.Random(seed)
    names = list(_VALID)
    for _ in range(count):
        headers: list[Header] = []
        for name in chance.choices(names, k=chance.randint(1, 6)):
            value = chance.choice(_VALID[name])
            # Some are whole, so that a valid context meets damaged company.
            headers.append((name, value if chance.random() < 0.2 else _mutated(value, chance)))
        yield headers


def get(target: str, headers: Sequence[Header] = (), host: bytes = b"a.example") -> bytes:
    """Return a GET as it goes over the wire."""
    lines = [b"GET " + target.encode() + b" HTTP/1.1", b"host: " + host]
    lines += [name + b": " + value for name, value in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def smuggling() -> dict[str, bytes]:
    """Return requests that two parsers may read as different ones, or that are none."""

    def post(*lines: bytes, body: bytes = b"", target: bytes = b"/") -> bytes:
        head = b"\r\n".join([b"POST " + target + b" HTTP/1.1", b"host: a", *lines])
        return head + b"\r\n\r\n" + body

    second = b"GET /second HTTP/1.1\r\nhost: a\r\n\r\n"
    chunked = b"transfer-encoding: chunked"
    none = b"0\r\n\r\n"
    cases = {
        "two equal lengths": post(b"content-length: 5", b"content-length: 5", body=b"hello"),
        "two lengths": post(b"content-length: 5", b"content-length: 6", body=b"hello!"),
        "lengths in a list": post(b"content-length: 5, 6", body=b"hello!"),
        "negative length": post(b"content-length: -1"),
        "signed length": post(b"content-length: +5", body=b"hello"),
        "length is no number": post(b"content-length: 5x", body=b"hello"),
        "length in hex": post(b"content-length: 0x5", body=b"hello"),
        "huge length": post(b"content-length: 18446744073709551616", body=b"hello"),
        "length and chunks": post(b"content-length: 5", chunked, body=none + second),
        "chunks and length": post(chunked, b"content-length: 5", body=none + second),
        "chunked twice": post(chunked, chunked, body=none),
        "chunked in a list": post(b"transfer-encoding: identity, chunked", body=none),
        "chunked is not last": post(b"transfer-encoding: chunked, identity", body=none),
        "unknown coding": post(b"transfer-encoding: xchunked", body=none),
        "tab before chunked": post(b"transfer-encoding:\tchunked", body=none),
        "space before the colon": post(b"transfer-encoding : chunked", body=none),
        "vertical tab": post(b"transfer-encoding: \x0bchunked", body=none),
        "quoted coding": post(b'transfer-encoding: "chunked"', body=none),
        "folded coding": post(b"transfer-encoding:\r\n chunked", body=none),
        "folded value": post(b"x-a: b\r\n c", b"content-length: 0"),
        "fold first": post(b" x-a: b", b"content-length: 0"),
        "bad chunk size": post(chunked, body=b"zz\r\nhello\r\n0\r\n\r\n"),
        "negative chunk": post(chunked, body=b"-1\r\nhello\r\n0\r\n\r\n"),
        "huge chunk": post(chunked, body=b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        "chunk without end": post(chunked, body=b"5\r\nhelloX0\r\n\r\n"),
        "chunk extension": post(chunked, body=b"5;a=b\r\nhello\r\n0\r\n\r\n"),
        "trailers": post(chunked, body=b"5\r\nhello\r\n0\r\ntraceparent: x\r\n\r\n"),
        "bare line feeds": b"GET / HTTP/1.1\nhost: a\n\n",
        "bare line feed in the head": b"GET / HTTP/1.1\r\nhost: a\nx-a: b\r\n\r\n",
        "carriage return in a value": get("/", [(b"x-a", b"b\rc")]),
        "carriage return in traceparent": get("/", [(b"traceparent", b"00-\r-01")]),
        "line feed in a value": get("/", [(b"traceparent", b"a\nx-b: c")]),
        "split response": get("/", [(b"tracestate", b"a\r\n\r\nHTTP/1.1 200 OK")]),
        "null in a value": get("/", [(b"traceparent", b"00-\x00-01")]),
        "null in a name": get("/", [(b"trace\x00parent", b"x")]),
        "delete in a value": get("/", [(b"b3", b"\x7f")]),
        "escape in a value": get("/", [(b"user-agent", b"\x1b[2J")]),
        "not UTF-8": get("/", [(b"traceparent", b"\xff\xfe"), (b"user-agent", b"\xc3\x28\xa0")]),
        "name is not UTF-8": get("/", [(b"x-\xff", b"y")]),
        "empty name": get("/", [(b"", b"y")]),
        "space in a name": get("/", [(b"trace parent", b"y")]),
        "no colon": b"GET / HTTP/1.1\r\nhost: a\r\ntraceparent\r\n\r\n",
        "no host": b"GET / HTTP/1.1\r\n\r\n",
        "two hosts": get("/", [(b"host", b"b")]),
        "host is not UTF-8": get("/", host=b"\xff\xfe"),
        "host with userinfo": get("/", host=b"user:password@a"),
        "host with a path": get("/", host=b"a/../b"),
        "null in the path": b"GET /\x00 HTTP/1.1\r\nhost: a\r\n\r\n",
        "path is not UTF-8": b"GET /\xff\xfe?\xff HTTP/1.1\r\nhost: a\r\n\r\n",
        "space in the path": b"GET /a b HTTP/1.1\r\nhost: a\r\n\r\n",
        "fragment": get("/a#b?c"),
        "absolute": b"GET http://b.example/c?d HTTP/1.1\r\nhost: a\r\n\r\n",
        "absolute without a path": b"GET http://b.example HTTP/1.1\r\nhost: a\r\n\r\n",
        "other scheme": b"GET ftp://b.example/c HTTP/1.1\r\nhost: a\r\n\r\n",
        "dots": get("/a/../../../etc/passwd"),
        "escaped slashes": get("/a%2f..%5c..%00"),
        "asterisk": b"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET asterisk": b"GET * HTTP/1.1\r\nhost: a\r\n\r\n",
        "CONNECT": b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n",
        "CONNECT without a port": b"CONNECT a HTTP/1.1\r\nhost: a\r\n\r\n",
        "upgrade": get("/", [(b"connection", b"upgrade"), (b"upgrade", b"websocket")]),
        "upgrade to HTTP/2": get(
            "/",
            [
                (b"connection", b"upgrade, http2-settings"),
                (b"upgrade", b"h2c"),
                (b"http2-settings", b"AAMAAABkAARAAAAAAAIAAAAA"),
            ],
        ),
        "connection names traceparent": get("/", [(b"connection", b"traceparent")]),
        "method is not UTF-8": b"\xff\xfe / HTTP/1.1\r\nhost: a\r\n\r\n",
        "long method": b"A" * 5000 + b" / HTTP/1.1\r\nhost: a\r\n\r\n",
        "HTTP/1.0": b"GET / HTTP/1.0\r\n\r\n",
        "HTTP/0.9": b"GET /\r\n\r\n",
        "HTTP/3.7": b"GET / HTTP/3.7\r\nhost: a\r\n\r\n",
        "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "half a preface": b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        "pipelined": get("/a") + get("/b") + get("/c"),
        "expect": post(b"expect: 100-continue", b"content-length: 5", body=b"hello"),
        "unknown expectation": post(b"expect: magic", b"content-length: 5", body=b"hello"),
        "internal headers": get(
            "/", [(b"x-envoy-original-path", b"/x"), (b"x-envoy-internal", b"true")]
        ),
    }
    large = b"\xe9" + b"A" * 60_000
    cases["a thousand headers"] = get("/", [(b"x-%d" % n, b"y") for n in range(1_000)])
    cases["a thousand of one"] = get("/", [(b"tracestate", b"a%d=b" % n) for n in range(1_000)])
    cases["a thousand parents"] = get("/", [(b"traceparent", TRACE)] * 1_000)
    cases["too many headers"] = get("/", [(b"x-%d" % n, b"y") for n in range(3_000)])
    cases["twenty large values"] = get("/", [(b"x-%d" % n, large) for n in range(20)])
    for name in _VALID:
        cases[f"large {name.decode()}"] = get("/", [(name, large)])
    cases["large path"] = get("/" + "a" * 60_000)
    cases["large query"] = get("/?sig=" + "a" * 60_000)
    cases["large host"] = get("/", host=b"a" * 60_000)
    cases["too large"] = get("/", [(b"x-%d" % n, large) for n in range(80)])
    return cases


_STATUS = re.compile(rb"^HTTP/1\.[01] (\d{3}) ", re.M)


@dataclass(frozen=True)
class Reply:
    """What a proxy answered: the status codes, and whether it closed the connection."""

    statuses: tuple[int, ...]
    closed: bool


def send(port: int, request: bytes, quiet: float = 0.4) -> Reply:
    """Send bytes; return what came until the end, or until nothing came for `quiet` seconds."""
    received = bytearray()
    closed = False
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        try:
            client.sendall(request)
            client.settimeout(quiet)
            while data := client.recv(65_536):
                received += data
            closed = True
        except TimeoutError:
            pass
        except OSError:
            closed = True
    return Reply(tuple(int(code) for code in _STATUS.findall(bytes(received))), closed)


def http2_requests() -> dict[str, list[Header]]:
    """Return HTTP/2 header lists that break the rules, or bend them."""
    usual: list[Header] = [
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":path", b"/"),
        (b":authority", b"a"),
    ]
    large = b"\xe9" + b"A" * 60_000
    return {
        "usual": usual,
        "upper case": [*usual, (b"TraceParent", b"x")],
        "line feed": [*usual, (b"traceparent", b"a\nb")],
        "carriage return": [*usual, (b"b3", b"a\rb: c")],
        "null": [*usual, (b"tracestate", b"a\x00b")],
        "not UTF-8": [*usual, (b"traceparent", b"\xff"), (b"user-agent", b"\xc3\x28")],
        "connection": [*usual, (b"connection", b"close")],
        "transfer-encoding": [*usual, (b"transfer-encoding", b"chunked")],
        "te": [*usual, (b"te", b"gzip")],
        "host differs": [*usual, (b"host", b"b")],
        "no path": usual[:2] + usual[3:],
        "empty path": [*usual[:2], (b":path", b""), usual[3]],
        "two paths": [*usual, (b":path", b"/b")],
        "no method": usual[1:],
        "no scheme": [usual[0], *usual[2:]],
        "late pseudo header": [*usual[:3], (b"x-a", b"b"), usual[3]],
        "unknown pseudo header": [*usual, (b":traceparent", b"x")],
        "length without a body": [*usual, (b"content-length", b"5")],
        "two lengths": [*usual, (b"content-length", b"0"), (b"content-length", b"1")],
        "empty name": [*usual, (b"", b"x")],
        "a thousand headers": [*usual, *((b"x-%d" % n, b"y") for n in range(1_000))],
        "a thousand states": [*usual, *((b"tracestate", b"a%d=b" % n) for n in range(1_000))],
        "too many headers": [*usual, *((b"x-%d" % n, b"y") for n in range(3_000))],
        "large value": [*usual, (b"tracestate", large)],
        "many large values": [*usual, *((b"x-%d" % n, large) for n in range(20))],
        "large path": [*usual[:2], (b":path", b"/" + b"a" * 60_000), usual[3]],
        "CONNECT": [(b":method", b"CONNECT"), (b":authority", b"a:1")],
    }


def send_http2(port: int, headers: Sequence[Header], quiet: float = 15.0) -> str:
    """Send one HTTP/2 request unchecked; return how it ended."""
    configuration = h2.config.H2Configuration(
        client_side=True,
        header_encoding=False,
        validate_outbound_headers=False,
        normalize_outbound_headers=False,
        validate_inbound_headers=False,
    )
    connection = h2.connection.H2Connection(configuration)
    # In Python, Huffman's code takes seconds for large values.
    connection.encoder.encode = functools.partial(connection.encoder.encode, huffman=False)
    connection.initiate_connection()
    with socket.create_connection(("127.0.0.1", port), timeout=quiet) as client:
        try:
            connection.send_headers(1, headers, end_stream=True)
            client.sendall(connection.data_to_send())
            while data := client.recv(65_536):
                for event in connection.receive_data(data):
                    if isinstance(event, h2.events.ResponseReceived):
                        return f"status {dict(event.headers)[b':status'].decode()}"
                    if isinstance(event, h2.events.StreamReset):
                        return f"reset {event.error_code}"
                    if isinstance(event, h2.events.ConnectionTerminated):
                        return f"goaway {event.error_code}"
                client.sendall(connection.data_to_send())
        except TimeoutError:
            return "nothing"
        except (OSError, h2.exceptions.ProtocolError):
            return "closed"
    return "closed"


class Exchange:
    """Requests one after the other on a connection that is kept."""

    def __init__(self, port: int) -> None:
        self._client = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._stream = self._client.makefile("rb")

    def ask(self, request: bytes) -> int:
        """Send a request; return the response's status, its body read."""
        self._client.sendall(request)
        status = int(self._stream.readline().split()[1])
        length = 0
        while (line := self._stream.readline()) not in {b"\r\n", b""}:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        self._stream.read(length)
        return status

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()
        self._client.close()


def start_lenient(run: Run) -> int:
    """Start a service that answers 200 to whatever a proxy sends it; return its port.

    It has no limits of its own, so that only the proxies' rules show.
    """
    port = free_port()
    limit = 16 << 20

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = re.search(rb"\r\ncontent-length: (\d+)", head)
                if b"\r\ntransfer-encoding: chunked" in head:
                    while size := int((await reader.readline()).split(b";")[0], 16):
                        await reader.readexactly(size + 2)
                    while await reader.readline() != b"\r\n":
                        pass
                elif length:
                    await reader.readexactly(int(length[1]))
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, ValueError):
            pass
        finally:
            writer.close()

    server: asyncio.Server | None = None

    async def start() -> None:
        nonlocal server
        server = await asyncio.start_server(serve, "127.0.0.1", port, limit=limit)

    async def close() -> None:
        assert server is not None
        server.close()

    serve_beside(run, start, close)
    return port
