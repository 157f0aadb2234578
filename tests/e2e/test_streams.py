"""What lasts: WebSocket, CONNECT, gRPC streams, streamed bodies, and clients that go away.

Each is one span and one access log record, made when the stream has ended.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator

import aiohttp
import grpc
import h2.config
import h2.connection
import h2.events
import pytest
from rig import mesh, streams
from rig.bootstrap import Filter, Sidecar
from rig.driver import Driver, Hop, Made, Parent, Wish
from rig.envoy import SidecarEnvoy
from rig.mesh import Deployment, Solo, alone
from rig.process import Run
from rig.programs import filter_module
from rig.records import CLIENT, SERVER, LogRecord, Span, Telemetry
from rig.sink import Sink

LASTS = 0.4
"""Seconds that a stream of these tests is open at least."""

UNSET, ERROR = 0, 2
SERVED = (Hop("inventory", SERVER),)


def of(received: Telemetry, made: Made) -> tuple[Span, LogRecord]:
    """Return the one span and the one log record of a request."""
    if made.mark is not None:
        [span] = received.of_request(made.mark)
    else:
        assert made.wish.parent is not None
        [span] = received.trace(made.wish.parent.trace_id)
    [record] = [log for log in received.logs if log.span_id == span.span_id]
    return span, record


def seconds(span: Span) -> float:
    return (span.end - span.start) / 1e9


def chat(
    driver: Driver, path: str = "/websocket", *, status: int = 101, sampled: bool = True
) -> Made:
    """Hold a conversation over WebSocket."""
    wish = alone("WebSocket", path, status=status, sampled=sampled)
    mark, target = driver.target(wish)

    async def talk() -> int:
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{driver.port}{target}"
            async with session.ws_connect(url) as open_socket:
                for number in range(5):
                    await open_socket.send_str(f"message {number}")
                    assert await open_socket.receive_str() == f"message {number}"
                    await asyncio.sleep(LASTS / 5)
                await open_socket.send_str(streams.FAREWELL)
                await open_socket.receive()
                return open_socket._response.status  # noqa: SLF001, there is no other way

    try:
        found = asyncio.run(talk())
    except aiohttp.WSServerHandshakeError as error:
        found = error.status
    return driver.note(wish, found, mark)


@pytest.mark.core
def test_a_websocket_is_one_request(run: Run, sink: Sink) -> None:
    solo = Solo(run, collector=sink.port, app=streams.start_http(run), upgrades=("websocket",))
    made = chat(solo.driver)
    span, record = of(solo.settle(sink.telemetry), made)
    assert span.name == "GET"
    assert span.status == UNSET
    assert span.attributes["http.request.method"] == "GET"
    assert span.attributes["http.response.status_code"] == 101
    assert span.attributes["url.path"] == "/websocket"
    assert span.attributes["network.protocol.version"] == "1.1"
    assert LASTS <= seconds(span) < 10
    assert record.attributes["http.response.body.size"] > 5 * len("message 0")
    assert record.severity_text == "INFO"


@pytest.mark.core
def test_a_websocket_that_its_server_closes_is_whole(run: Run, sink: Sink) -> None:
    """The server of a WebSocket is to close the connection first (RFC 6455, section 7.1.1)."""
    solo = Solo(run, collector=sink.port, app=streams.start_http(run), upgrades=("websocket",))
    wish = alone("WebSocket", "/websocket", status=101)
    mark, target = solo.driver.target(wish)
    with socket.create_connection(("127.0.0.1", solo.driver.port), timeout=10) as client:
        head = [
            f"GET {target} HTTP/1.1",
            "host: a",
            "connection: upgrade",
            "upgrade: websocket",
            "sec-websocket-version: 13",
            "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        ]
        client.sendall("\r\n".join([*head, "", ""]).encode())
        stream = client.makefile("rb")
        status = int(stream.readline().split()[1])
        # A masked Close with the code 1000; the client waits for the other side to go.
        client.sendall(b"\x88\x82\0\0\0\0\x03\xe8")
        stream.read()
    made = solo.driver.note(wish, status, mark)
    span, record = of(solo.settle(sink.telemetry), made)
    assert span.attributes["http.response.status_code"] == 101
    assert span.status == UNSET
    assert "error.type" not in span.attributes
    # Said all the same.
    assert record.attributes["spanmesh.response_flags"] == "UC"
    assert record.severity_text == "INFO"


def chat_over_http2(driver: Driver, *, sampled: bool) -> Made:
    """Open a WebSocket by extended CONNECT (RFC 8441), and close it."""
    parent = Parent.new()
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    connection.initiate_connection()
    status = ""
    with socket.create_connection(("127.0.0.1", driver.port), timeout=10) as client:
        client.sendall(connection.data_to_send())
        while not connection.remote_settings.enable_connect_protocol:
            connection.receive_data(client.recv(65_536))
        headers = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "http"),
            (":path", "/websocket"),
            (":authority", "a"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            parent.traceparent("01" if sampled else "00"),
        ]
        connection.send_headers(1, headers)
        client.sendall(connection.data_to_send())
        while not status:
            for event in connection.receive_data(client.recv(65_536)):
                if isinstance(event, h2.events.ResponseReceived):
                    status = dict(event.headers)[":status"]
        time.sleep(LASTS)
        # A masked Close with the code 1000.
        connection.send_data(1, b"\x88\x82\0\0\0\0\x03\xe8")
        client.sendall(connection.data_to_send())
        client.recv(65_536)
        connection.end_stream(1)
        client.sendall(connection.data_to_send())
        time.sleep(0.1)
    wish = Wish("WebSocket", "/websocket", SERVED, parent=parent, sampled=sampled)
    return driver.note(wish, int(status))


@pytest.mark.core
def test_a_websocket_over_http2_is_one_request_and_a_stream(run: Run, sink: Sink) -> None:
    keep = {"slower_than": "200ms"}
    solo = Solo(
        run,
        collector=sink.port,
        configuration=mesh.plugin(keep=keep),
        app=streams.start_http(run),
        upgrades=("websocket",),
    )
    made = chat_over_http2(solo.driver, sampled=True)
    # Slow as it is, it is not kept: it is meant to last.
    chat_over_http2(solo.driver, sampled=False)
    span, _ = of(solo.settle(sink.telemetry), made)
    assert span.name == "GET"
    # As the upstream and every filter see it.
    assert span.attributes["http.response.status_code"] == 101
    assert span.attributes["network.protocol.version"] == "2"
    assert LASTS <= seconds(span) < 10


def test_nothing_is_recorded_before_a_stream_ends(run: Run, sink: Sink) -> None:
    solo = Solo(run, collector=sink.port, app=streams.start_http(run))
    wish = alone("stall", "/stall?bytes=10")
    mark, target = solo.driver.target(wish)
    with socket.create_connection(("127.0.0.1", solo.envoy.inbound)) as client:
        client.sendall(f"GET {target} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
        assert client.recv(20).startswith(b"HTTP/1.1 200")
        time.sleep(LASTS + 0.4)
        assert not sink.telemetry().spans
        assert not sink.telemetry().logs
    solo.driver.note(wish, 200, mark)
    assert seconds(of(solo.settle(sink.telemetry), solo.driver.made[0])[0]) >= LASTS


class Tunnel(Deployment):
    """A caller's Envoy that passes CONNECT on, and the server's, where the tunnel ends."""

    def __init__(self, run: Run, sink: Sink) -> None:
        echo = streams.start_tcp_echo(run)
        options = {"filter": Filter(filter_module(), mesh.plugin()), "collector": sink.port}
        server = Sidecar("inventory", echo, **options, upgrades=("CONNECT",), tunnel=echo)
        self.server = SidecarEnvoy(run, server)
        upstreams = {"*": self.server.inbound}
        caller = Sidecar("cart", echo, **options, upgrades=("CONNECT",), upstreams=upstreams)
        self.caller = SidecarEnvoy(run, caller)
        self.envoys = [self.caller, self.server]
        for envoy in self.envoys:
            envoy.wait_ready()
        self.driver = Driver(self.caller.outbound)


@pytest.mark.core
def test_a_tunnel_is_one_request_at_each_proxy(run: Run, sink: Sink) -> None:
    tunnel = Tunnel(run, sink)
    parent = Parent.new()
    hops = (Hop("cart", CLIENT), *SERVED)
    wish = Wish("CONNECT", "", hops, method="CONNECT", parent=parent)
    name, value = parent.traceparent()
    with socket.create_connection(("127.0.0.1", tunnel.driver.port)) as client:
        target = "far.example:443"
        request = f"CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n{name}: {value}\r\n\r\n"
        client.sendall(request.encode())
        answer = client.recv(4096)
        assert answer.startswith(b"HTTP/1.1 200"), answer
        client.sendall(b"through the tunnel")
        assert client.recv(4096) == b"through the tunnel"
        time.sleep(LASTS)
    tunnel.driver.note(wish, 200)
    received = tunnel.settle(sink.telemetry)
    spans = {span.kind: span for span in received.trace(parent.trace_id)}
    for span in spans.values():
        assert span.name == "CONNECT"
        assert span.status == UNSET
        assert span.attributes["http.request.method"] == "CONNECT"
        assert span.attributes["http.response.status_code"] == 200
        assert span.attributes["server.address"] == "far.example"
        assert span.attributes["server.port"] == 443
        assert LASTS <= seconds(span) < 10
    # A tunnel has no path.
    assert "url.path" not in spans[SERVER].attributes
    assert spans[CLIENT].attributes["url.full"] == "http://far.example:443"


def call(
    solo: Solo, messages: int, *, cancel: bool = False, status: int = 0, sampled: bool = True
) -> Made:
    """Make a gRPC call that streams both ways."""
    parent = Parent.new()
    wish = Wish("stream", streams.CHAT, SERVED, "POST", None, (), parent, status, sampled)
    answered = threading.Event()

    def ask() -> Iterator[bytes]:
        yield b"message 0"
        # From here on the server has the call.
        answered.wait(30)
        for number in range(1, messages):
            time.sleep(LASTS / (messages - 1))
            yield f"message {number}".encode()
        if cancel:
            time.sleep(30)

    with grpc.insecure_channel(f"127.0.0.1:{solo.driver.port}") as channel:
        answers = channel.stream_stream(streams.CHAT)(
            ask(), metadata=[parent.traceparent()], timeout=30
        )
        try:
            received = 0
            for received, _ in enumerate(answers, 1):
                answered.set()
                if cancel and received == messages:
                    answers.cancel()
            assert received == messages
            found = answers.code().value[0]
        except grpc.RpcError as error:
            found = error.code().value[0]
    return solo.driver.note(wish, found)


@pytest.mark.core
def test_a_grpc_stream_is_one_request(run: Run, sink: Sink) -> None:
    port = streams.start_grpc(run)
    solo = Solo(run, collector=sink.port, app=port, app_grpc=port)
    made = call(solo, 5)
    span, record = of(solo.settle(sink.telemetry), made)
    assert span.name == streams.CHAT.strip("/")
    assert span.status == UNSET
    assert span.attributes["rpc.response.status_code"] == "OK"
    assert span.attributes["http.response.status_code"] == 200
    assert LASTS <= seconds(span) < 10
    # Each message has gRPC's five bytes before it.
    assert record.attributes["http.request.body.size"] == 5 * (5 + len("message 0"))
    assert record.attributes["http.response.body.size"] == 5 * (5 + len("message 0"))


def test_a_grpc_stream_that_its_client_cancels(run: Run, sink: Sink) -> None:
    port = streams.start_grpc(run)
    solo = Solo(run, collector=sink.port, app=port, app_grpc=port)
    made = call(solo, 3, cancel=True, status=grpc.StatusCode.CANCELLED.value[0])
    span, _ = of(solo.settle(sink.telemetry), made)
    assert span.attributes["rpc.response.status_code"] == "CANCELLED"
    assert span.status == UNSET


@pytest.mark.parametrize(
    ("code", "status"), [(grpc.StatusCode.UNAVAILABLE, ERROR), (grpc.StatusCode.NOT_FOUND, UNSET)]
)
def test_a_response_of_trailers_only(
    run: Run, sink: Sink, code: grpc.StatusCode, status: int
) -> None:
    port = streams.start_trailers_only(run, code.value[0])
    solo = Solo(run, collector=sink.port, app=port, app_grpc=port)
    parent = Parent.new()
    wish = Wish(
        "trailers only",
        mesh.RESERVE,
        SERVED,
        method="POST",
        headers=(parent.traceparent(),),
        parent=parent,
        status=code.value[0],
    )
    made = solo.driver.call(wish, port=solo.envoy.inbound)
    span, record = of(solo.settle(sink.telemetry), made)
    assert span.attributes["rpc.response.status_code"] == code.name
    assert span.attributes["http.response.status_code"] == 200
    assert span.status == status
    assert span.attributes.get("error.type") == (code.name if status else None)
    assert record.attributes["rpc.response.status_code"] == code.name


@pytest.mark.core
@pytest.mark.parametrize(
    ("path", "code"), [("/stall", None), ("/stall?bytes=10", 200)], ids=["before", "in"]
)
def test_a_client_that_goes_away(run: Run, sink: Sink, path: str, code: int | None) -> None:
    """Before an answer there is no status code to tell; in one, the answer is not to blame."""
    solo = Solo(run, collector=sink.port, app=streams.start_http(run))
    wish = alone("abort", path, status=code)
    mark, target = solo.driver.target(wish)
    with socket.create_connection(("127.0.0.1", solo.envoy.inbound)) as client:
        client.sendall(f"GET {target} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
        if code is not None:
            assert client.recv(20).startswith(b"HTTP/1.1 200")
        time.sleep(0.2)
    made = solo.driver.note(wish, code, mark)
    span, record = of(solo.settle(sink.telemetry), made)
    for attributes in (span.attributes, record.attributes):
        assert attributes.get("http.response.status_code") == code
        assert attributes["spanmesh.response_flags"] == "DC"
        assert attributes.get("error.type") == (None if code else "DC")
    assert span.status == (UNSET if code else ERROR)
    assert f" {code or '-'} " in record.body


def test_streamed_bodies_pass_whole(run: Run, sink: Sink) -> None:
    solo = Solo(run, collector=sink.port, app=streams.start_http(run))
    body = hashlib.shake_256(b"a body").digest(1 << 20)
    wish = alone("bodies", "/echo", method="POST")
    mark, target = solo.driver.target(wish)
    connection = http.client.HTTPConnection("127.0.0.1", solo.envoy.inbound, timeout=15)
    chunks = (body[at : at + 16_384] for at in range(0, len(body), 16_384))
    connection.request(
        "POST", target, body=chunks, encode_chunked=True, headers={"transfer-encoding": "chunked"}
    )
    answer = connection.getresponse()
    assert answer.read() == body
    connection.close()
    made = solo.driver.note(wish, answer.status, mark)
    _, record = of(solo.settle(sink.telemetry), made)
    assert record.attributes["http.request.body.size"] == len(body)
    assert record.attributes["http.response.body.size"] == len(body)


@pytest.mark.parametrize("streams_too", [False, True])
def test_what_is_meant_to_last_is_slow_only_if_said(
    run: Run, sink: Sink, streams_too: bool
) -> None:
    keep = {"slower_than": "200ms", "streams": streams_too}
    grpc_port = streams.start_grpc(run)
    solo = Solo(
        run,
        collector=sink.port,
        configuration=mesh.plugin(sampler={"ratio": 0, "parent_based": False}, keep=keep),
        app=streams.start_http(run),
        app_grpc=grpc_port,
        upgrades=("websocket",),
    )
    chat(solo.driver, sampled=streams_too)
    call(solo, 3, sampled=streams_too)
    # The service knows nothing of WebSocket there: this is an ordinary, slow request.
    chat(solo.driver, "/slow?delay_ms=400", status=200)
    received = solo.settle(sink.telemetry)
    assert {span.attributes["spanmesh.kept"] for span in received.spans} == {"slow"}
