"""OTLP/gRPC: methods, frames, compression, connections."""

from __future__ import annotations

import gzip
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote

import grpc
import pytest
from rig.conformance import Server
from rig.http2 import Connection, Reply
from rig.otlp import SIGNALS, TRACES, Grpc
from rig.samples import small

USUAL = [("content-type", "application/grpc"), ("te", "trailers")]


def frame(message: bytes, *, compressed: bool = False) -> bytes:
    """Put a message into its frame."""
    return bytes([compressed]) + len(message).to_bytes(4, "big") + message


def body(server: Server) -> bytes:
    """Return a request, and count it as taken."""
    server.accepted += 1
    return small(TRACES).SerializeToString()


def code(reply: Reply) -> grpc.StatusCode:
    """Return the status of a call, which is always in HTTP's 200."""
    assert reply.status == 200
    number = int(reply.grpc["grpc-status"])
    return next(one for one in grpc.StatusCode if one.value[0] == number)


@pytest.mark.parametrize("content_type", ["application/grpc", "application/grpc+proto"])
def test_content_types(server: Server, http2: Connection, content_type: str) -> None:
    headers = [("content-type", content_type), ("te", "trailers")]
    reply = http2.post(TRACES.grpc_path, headers, [frame(body(server))])
    assert code(reply) is grpc.StatusCode.OK
    assert reply.headers["content-type"].startswith("application/grpc")
    assert reply.body == frame(b"")


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "grpc"])
def test_other_content_types_are_415(http2: Connection, content_type: str) -> None:
    reply = http2.post(TRACES.grpc_path, [("content-type", content_type)], [frame(b"")])
    assert reply.status == 415


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_other_methods_are_405(http2: Connection, method: str) -> None:
    request = small(TRACES).SerializeToString()
    reply = http2.request(method, TRACES.grpc_path, USUAL, [frame(request)])
    assert reply.status == 405


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1/traces",
        f"/{TRACES.service}/Import",
        f"/{TRACES.service}/export",
        f"/{TRACES.service}/Export/",
        "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export",
        "/grpc.health.v1.Health/Check",
    ],
)
def test_unknown_methods_are_unimplemented(http2: Connection, path: str) -> None:
    reply = http2.post(path, USUAL, [frame(b"")])
    assert code(reply) is grpc.StatusCode.UNIMPLEMENTED
    assert path in unquote(reply.grpc["grpc-message"])


def test_a_message_may_come_in_pieces(server: Server, http2: Connection) -> None:
    whole = frame(body(server))
    pieces = [whole[n : n + 1] for n in range(len(whole))]
    assert code(http2.post(TRACES.grpc_path, USUAL, pieces)) is grpc.StatusCode.OK


def test_the_end_may_come_in_a_frame_of_its_own(server: Server, http2: Connection) -> None:
    reply = http2.post(TRACES.grpc_path, USUAL, [frame(body(server)), b""])
    assert code(reply) is grpc.StatusCode.OK


GZIP = [*USUAL, ("grpc-encoding", "gzip")]


def test_compression_is_a_message_s_own(server: Server, http2: Connection) -> None:
    for message in (
        frame(gzip.compress(body(server)), compressed=True),
        frame(body(server)),
    ):
        assert code(http2.post(TRACES.grpc_path, GZIP, [message])) is grpc.StatusCode.OK
    identity = [*USUAL, ("grpc-encoding", "identity")]
    reply = http2.post(TRACES.grpc_path, identity, [frame(body(server))])
    assert code(reply) is grpc.StatusCode.OK


BROKEN = {
    "no message": (USUAL, [b""]),
    "half a frame": (USUAL, [frame(b"\x0a\x00")[:-1]]),
    "half a prefix": (USUAL, [b"\x00\x00"]),
    "another flag": (USUAL, [b"\x02\x00\x00\x00\x00"]),
    "no gzip": (GZIP, [frame(b"\x0a\x00", compressed=True)]),
    "half of gzip": (GZIP, [frame(gzip.compress(b"\x0a\x00")[:-9], compressed=True)]),
    "compressed by nothing": (USUAL, [frame(gzip.compress(b""), compressed=True)]),
}


@pytest.mark.parametrize(("headers", "parts"), BROKEN.values(), ids=BROKEN)
def test_broken_frames_are_refused_for_good(
    http2: Connection, headers: list[tuple[str, str]], parts: list[bytes]
) -> None:
    reply = http2.post(TRACES.grpc_path, headers, parts)
    assert code(reply) is grpc.StatusCode.INVALID_ARGUMENT
    # The connection goes on.
    assert code(http2.post(TRACES.grpc_path, USUAL, [frame(b"")])) is grpc.StatusCode.OK


def test_a_second_message_is_refused(http2: Connection) -> None:
    request = frame(small(TRACES).SerializeToString())
    reply = http2.post(TRACES.grpc_path, USUAL, [request + request])
    assert code(reply) in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED}


@pytest.mark.parametrize("encoding", ["br", "snappy", "deflate, gzip"])
def test_other_encodings_are_unimplemented_and_known_ones_named(
    http2: Connection, encoding: str
) -> None:
    headers = [*USUAL, ("grpc-encoding", encoding)]
    reply = http2.post(TRACES.grpc_path, headers, [frame(b"x", compressed=True)])
    assert code(reply) is grpc.StatusCode.UNIMPLEMENTED
    named = {name.strip() for name in reply.grpc["grpc-accept-encoding"].split(",")}
    assert {"gzip", "identity"} <= named


def test_many_calls_share_a_connection(server: Server) -> None:
    wire = Grpc(server.ports)

    def send(number: int) -> None:
        signal = SIGNALS[number % 3]
        answer = wire.send(signal, small(signal, 2).SerializeToString())
        assert answer.code is grpc.StatusCode.OK

    with ThreadPoolExecutor(50) as clients:
        list(clients.map(send, range(300)))
    wire.close()
    server.accepted += 600


def test_pings_are_answered_between_calls(server: Server, http2: Connection) -> None:
    for _ in range(10):
        http2.ping()
        reply = http2.post(TRACES.grpc_path, USUAL, [frame(body(server))])
        assert code(reply) is grpc.StatusCode.OK
