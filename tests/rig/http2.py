"""An HTTP/2 client without TLS that sends one request at a time, cut into frames as it is told."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events

from rig.http import Headers


@dataclass
class Reply:
    """An answer, its body read."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    trailers: dict[str, str] = field(default_factory=dict)

    @property
    def grpc(self) -> dict[str, str]:
        """The headers or trailers that hold the status of a gRPC call."""
        return self.trailers or self.headers


class Connection:
    """One connection to a loopback port."""

    def __init__(self, port: int, timeout: float = 30.0) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        configuration = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self._state = h2.connection.H2Connection(configuration)
        self._state.initiate_connection()
        self._flush()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def post(self, path: str, headers: Headers, parts: Sequence[bytes]) -> Reply:
        """Post a body, each part of it in a frame of its own."""
        return self.request("POST", path, headers, parts)

    def request(
        self, method: str, path: str, headers: Headers, parts: Sequence[bytes] = ()
    ) -> Reply:
        """Make a request and wait for its answer."""
        stream = self._state.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "a")]
        self._state.send_headers(stream, [*pseudo, *headers], end_stream=not parts)
        self._flush()
        reply = Reply()
        for number, part in enumerate(parts, start=1):
            if not self._send(stream, part, number == len(parts), reply):
                return reply
        while not self._read(stream, reply):
            pass
        return reply

    def ping(self) -> None:
        """Send a PING and wait until it is acknowledged."""
        self._state.ping(b"spanmesh")
        self._flush()
        while not any(isinstance(e, h2.events.PingAckReceived) for e in self._events()):
            pass

    def _send(self, stream: int, part: bytes, last: bool, reply: Reply) -> bool:
        """Send a part as the window allows; whether the server still wants more."""
        while True:
            room = self._state.local_flow_control_window(stream)
            size = min(room, self._state.max_outbound_frame_size, len(part))
            if size or not part:
                end = last and size == len(part)
                self._state.send_data(stream, part[:size], end_stream=end)
                self._flush()
                part = part[size:]
                if not part:
                    return True
            elif self._read(stream, reply):
                return False

    def _read(self, stream: int, reply: Reply) -> bool:
        """Take in what has come; whether the answer is whole."""
        whole = False
        for event in self._events():
            if getattr(event, "stream_id", stream) != stream:
                continue
            match event:
                case h2.events.ResponseReceived():
                    reply.headers = dict(event.headers)
                    reply.status = int(reply.headers[":status"])
                case h2.events.TrailersReceived():
                    reply.trailers = dict(event.headers)
                case h2.events.DataReceived():
                    reply.body += event.data
                    self._state.acknowledge_received_data(event.flow_controlled_length, stream)
                case h2.events.StreamEnded():
                    whole = True
                case h2.events.StreamReset() | h2.events.ConnectionTerminated():
                    if event.error_code:
                        raise ConnectionError(f"the server ended it: {event}")
        self._flush()
        return whole

    def _events(self) -> list[h2.events.Event]:
        data = self._socket.recv(65_536)
        if not data:
            raise ConnectionError("the server closed the connection")
        return self._state.receive_data(data)

    def _flush(self) -> None:
        self._socket.sendall(self._state.data_to_send())
