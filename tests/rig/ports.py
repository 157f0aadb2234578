"""Free TCP ports on the loopback address."""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Callable

from rig.process import RigError

# Below the range from which Linux takes the local port of an outgoing connection (32768 and up),
# so that a port cannot be taken between the moment it is chosen and the moment it is bound.
# Test runs beside each other are given parts of it, as `first-last` in SPANMESH_PORTS.
_FIRST, _LAST = map(int, os.environ.get("SPANMESH_PORTS", "10240-32000").split("-"))

_taken: set[int] = set()


def free_port() -> int:
    """Return a port that nothing listens on and that this process has not been given before."""
    for _ in range(1_000):
        port = random.randint(_FIRST, _LAST)
        if port in _taken:
            continue
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _taken.add(port)
        return port
    raise RuntimeError(f"no free port between {_FIRST} and {_LAST} in 1000 tries")


def open_when_free(listen: Callable[[str], object], port: int, timeout: float = 10.0) -> None:
    """Have a gRPC server listen on a port, which a former one on it may still be about to close.

    `listen` is given the address, as `add_insecure_port` is.
    """
    address = f"127.0.0.1:{port}"
    deadline = time.monotonic() + timeout
    while True:
        try:
            listen(address)
            return
        except RuntimeError as error:
            if time.monotonic() > deadline:
                raise RigError(f"{address} is not free: {error}") from error
        time.sleep(0.5)


def listens(port: int) -> bool:
    """Whether something accepts connections on the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
