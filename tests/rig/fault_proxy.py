"""A TCP proxy in front of a server, which breaks connections in the way that it is told."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from enum import Enum, auto
from types import TracebackType

_LINGER = struct.pack("ii", 1, 0)
"""SO_LINGER that makes a close a reset."""


class Fault(Enum):
    """What becomes of the next connections."""

    NONE = auto()
    RESET = auto()
    """They are reset before anything is read."""
    CLOSE = auto()
    """What comes is read, then they are closed without an answer."""
    RESET_REQUEST = auto()
    """The beginning of what comes is read, then they are reset."""
    STALL = auto()
    """Everything is read and nothing is answered."""
    HALF_ANSWER = auto()
    """The server gets the request; its answer ends half-way."""
    GARBAGE = auto()
    """The answer is of no protocol."""


class FaultProxy:
    """Listens on a loopback port and passes everything on, unless a fault is set.

    A change applies to new connections; those that are open are reset.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._fault = Fault.NONE
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.hits = 0
        """Connections that had a fault."""
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> FaultProxy:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Only a shutdown ends the thread that accepts.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._reset_all()

    def set(self, fault: Fault) -> None:
        """Break connections in this way from now on."""
        with self._lock:
            self._fault = fault
            self.hits = 0
        self._reset_all()

    def _reset_all(self) -> None:
        with self._lock:
            sockets, self._open = self._open, set()
        for one in sockets:
            _reset(one)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self._open.add(client)
                    fault = self._fault
                    self.hits += fault is not Fault.NONE
                threading.Thread(target=self._serve, args=(client, fault), daemon=True).start()

    def _serve(self, client: socket.socket, fault: Fault) -> None:
        with contextlib.suppress(OSError):
            match fault:
                case Fault.RESET:
                    pass
                case Fault.CLOSE:
                    _read_until_quiet(client)
                    self._forget(client)
                    client.close()
                    return
                case Fault.RESET_REQUEST:
                    client.recv(10)
                case Fault.STALL:
                    while client.recv(65_536):
                        pass
                case Fault.GARBAGE:
                    client.recv(65_536)
                    client.sendall(b"\x15\x03\x01\x00\x02\x02\x28 no protocol\r\n\r\n")
                    _read_until_quiet(client)
                case Fault.HALF_ANSWER | Fault.NONE:
                    self._pass_on(client, fault)
        self._forget(client)
        _reset(client)

    def _forget(self, client: socket.socket) -> None:
        with self._lock:
            self._open.discard(client)

    def _pass_on(self, client: socket.socket, fault: Fault) -> None:
        with socket.create_connection(("127.0.0.1", self._target)) as server:
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            upwards = threading.Thread(target=_copy, args=(client, server), daemon=True)
            upwards.start()
            _copy(server, client, half=fault is Fault.HALF_ANSWER)
            if fault is Fault.NONE:
                upwards.join()


def _reset(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        # Wakes the threads that read from it.
        one.shutdown(socket.SHUT_RDWR)
    one.close()


def _read_until_quiet(one: socket.socket) -> None:
    one.settimeout(0.2)
    with contextlib.suppress(TimeoutError):
        while one.recv(65_536):
            pass


def _copy(source: socket.socket, target: socket.socket, half: bool = False) -> None:
    """Pass on what comes; of an answer only the first part."""
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            if half and _is_answer(data):
                target.sendall(data[: len(data) // 2])
                return
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def _is_answer(data: bytes) -> bool:
    """Whether it is the answer over HTTP/1.1, or holds HEADERS of HTTP/2."""
    if data.startswith(b"HTTP/1.1"):
        return True
    while len(data) >= 9:
        if data[3] == 1:
            return True
        data = data[9 + int.from_bytes(data[:3], "big") :]
    return False
