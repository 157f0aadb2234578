"""Clients that are slow, never end or never begin: bounded in time and memory, and in nobody's way.

Each test has a good client beside the bad ones, whose spans arrive and are accounted for.
"""

from __future__ import annotations

import contextlib
import gzip
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator

import pytest
from rig.collector import Collector, Ports, configuration
from rig.load import Load
from rig.next_hop import grpc_exporter, once, settled
from rig.otlp import TRACES
from rig.process import Run, wait_for
from rig.sink import Sink

MIB = 1 << 20
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"
HEAD = (
    f"POST {TRACES.http_path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-protobuf\r\n"
).encode()
PATIENCE = {"read_timeout": "1s", "read_header_timeout": "1s", "idle_timeout": "1s"}
"""What is configured where the default is to wait for minutes."""

DATA, HEADERS, CONTINUATION = 0, 1, 9


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Encode a frame of HTTP/2."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literal(name: str, value: str) -> bytes:
    """Encode a header for HPACK, without an index and without Huffman's code."""
    parts = (text.encode() for text in (name, value))
    return b"\0" + b"".join(bytes([len(part)]) + part for part in parts)


CALL = b"".join(
    literal(name, value)
    for name, value in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", TRACES.grpc_path),
        (":authority", "a"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ]
)


class Rig:
    """A collector, a sink behind it, and a good client that sends all the time."""

    def __init__(self, run: Run, sink: Sink) -> None:
        self.sink = sink
        self.ports = Ports.free()
        document = configuration(self.ports, grpc_exporter(sink.port))
        protocols = document["receivers"]["otlp"]["protocols"]
        protocols["http"].update(PATIENCE)
        idle = {"max_connection_idle": "1s", "time": "1s", "timeout": "5s"}
        protocols["grpc"]["keepalive"] = {"server_parameters": idle}
        self.collector = Collector(run, document, ports=self.ports)
        self.load = Load(self.ports.grpc, threads=1, pause=0.02)
        self.open: list[socket.socket] = []

    def connect(self, port: int, first: bytes = b"") -> socket.socket:
        """Open a connection that does not block."""
        one = socket.create_connection(("127.0.0.1", port), timeout=10)
        one.sendall(first)
        one.setblocking(False)
        self.open.append(one)
        return one

    def close(self) -> None:
        """Check that the good client got through and that nothing was lost."""
        before = len(self.load.acknowledged)
        wait_for(lambda: len(self.load.acknowledged) > before + 100, "others were served")
        self.load.stop()
        for one in self.open:
            one.close()
        assert not self.load.refused and not self.load.unanswered
        wait_for(lambda: settled(self.collector, len(self.load.acknowledged)), "it is settled")
        assert once(self.sink) == self.load.acknowledged
        assert self.collector.stop() == 0

    def wait_until_closed(self, ones: list[socket.socket], send: bytes = b"") -> list[bytes]:
        """Send a byte now and then on all of them until they are closed; return what came."""
        came = dict.fromkeys(ones, b"")
        left = set(ones)

        def none_is_left() -> bool:
            for one in list(left):
                with contextlib.suppress(BlockingIOError):
                    try:
                        if send:
                            one.send(send)
                        while data := one.recv(65_536):
                            came[one] += data
                        left.discard(one)
                    except (ConnectionError, BrokenPipeError):
                        left.discard(one)
            return not left

        wait_for(none_is_left, "all connections were closed", 60)
        return [came[one] for one in ones]


@pytest.fixture
def rig(run: Run, sink: Sink) -> Iterator[Rig]:
    made = Rig(run, sink)
    try:
        yield made
        made.close()
    finally:
        made.load.stop()


def test_headers_a_byte_at_a_time_are_cut_off(rig: Rig) -> None:
    ones = [rig.connect(rig.ports.http, HEAD + b"x-slow: ") for _ in range(300)]
    for answer in rig.wait_until_closed(ones, b"y"):
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408")


def test_bodies_that_do_not_come_are_cut_off_with_an_answer(rig: Rig) -> None:
    first = HEAD + b"content-length: 100000\r\n\r\n\x0a"
    silent = [rig.connect(rig.ports.http, first) for _ in range(150)]
    trickling = [rig.connect(rig.ports.http, first) for _ in range(150)]
    # Who sends while the connection is closed may never see what was said.
    rig.wait_until_closed(trickling, b"\0")
    for answer in rig.wait_until_closed(silent):
        assert answer.startswith(b"HTTP/1.1 503"), answer[:200]
        assert b"\r\nretry-after: 1\r\n" in answer and b"not complete within 1s" in answer


def test_connections_that_say_nothing_are_closed(rig: Rig) -> None:
    http = [rig.connect(rig.ports.http) for _ in range(200)]
    idle = [rig.connect(rig.ports.grpc, PREFACE) for _ in range(200)]
    rig.wait_until_closed(http)
    rig.wait_until_closed(idle)


def test_a_peer_that_is_gone_without_a_word_is_found_out(rig: Rig) -> None:
    # It has a call open and does not answer the question whether it is there.
    call = frame(HEADERS, 0x4, 1, CALL) + frame(DATA, 0, 1, b"\0\0\0\0\x64")
    ones = [rig.connect(rig.ports.grpc, PREFACE + call) for _ in range(100)]
    rig.wait_until_closed(ones)


def flood(one: socket.socket, part: Callable[[int], bytes], limit: int) -> int:
    """Send parts without end, until the other side closes; return how many bytes it let through."""
    sent = 0
    one.setblocking(True)
    one.settimeout(10)
    with contextlib.suppress(OSError):
        for number in range(limit):
            sent += len(data := part(number))
            one.sendall(data)
            readable, _, _ = select.select([one], [], [], 0)
            if readable and not one.recv(65_536):
                return sent
        raise AssertionError(f"{sent} bytes of headers were taken")
    return sent


def test_headers_without_end_are_refused(rig: Rig) -> None:
    before = rig.collector.process.peak_bytes
    continued = frame(CONTINUATION, 0, 1, literal("x-more", "y" * 100) * 100)
    for _ in range(20):
        one = rig.connect(rig.ports.http, HEAD)
        # Many headers, one long one, and on HTTP/2 a head that is continued for ever.
        flood(one, lambda n: b"x-%d: %s\r\n" % (n, b"y" * 1_000), 50_000)
        flood(rig.connect(rig.ports.http, HEAD + b"x-long: "), lambda _: b"y" * 1_000, 50_000)
        head = PREFACE + frame(HEADERS, 0, 1, CALL)
        flood(rig.connect(rig.ports.grpc, head), lambda _: continued, 5_000)
    assert rig.collector.process.peak_bytes - before < 32 * MIB


def test_bombs_beside_each_other_cost_no_more_than_the_budget(rig: Rig) -> None:
    # Each is 60 MiB of zeros, which are no request, and below the limit of one.
    bomb = gzip.compress(bytes(60 * MIB), 9)
    head = HEAD + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(bomb)
    ones = [rig.connect(rig.ports.http) for _ in range(16)]
    for one in ones:
        one.setblocking(True)
        one.settimeout(60)
        one.sendall(head + bomb)
    statuses = {one.recv(65_536).split(b" ", 2)[1] for one in ones}
    # Wrong, or more than there is room for at the moment.
    assert statuses <= {b"400", b"503"} and b"400" in statuses
    assert rig.collector.process.peak_bytes < (512 + 64) * MIB


def test_answers_that_nobody_reads_are_bounded(rig: Rig) -> None:
    before = rig.collector.process.peak_bytes
    wrong = HEAD + b"content-length: 3\r\n\r\n\xff\xff\xff"
    for _ in range(20):
        one = rig.connect(rig.ports.http)
        deadline = time.monotonic() + 0.5
        left = memoryview(b"")
        while time.monotonic() < deadline:
            left = left or memoryview(wrong * 100)
            # The collector reads no more once it cannot write, and in the end hangs up.
            try:
                left = left[one.send(left) :]
            except BlockingIOError:
                continue
            except ConnectionError:
                break
    assert rig.collector.process.peak_bytes - before < 32 * MIB
