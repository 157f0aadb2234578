"""A network of the test's own: a loopback device with the addresses of pods.

Istio's sidecars listen on ports that every pod has, such as 4317 of the collector's Service, and
the agent on 15020 of all interfaces. In a network of its own a test takes them from nobody.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rig.process import RigError

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def private_network(addresses: Sequence[str] = ()) -> Iterator[None]:
    """Move the main thread into a new network, and with it the programs and threads it starts.

    What was open before stays in the network where it was opened.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RigError("only the main thread may change its network")
    former = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if _libc.unshare(_CLONE_NEWNET) != 0:
            raise RigError(
                f"no network of its own: {os.strerror(ctypes.get_errno())}; run the tests as root, "
                "or below `unshare --user --map-root-user --net --mount`"
            )
        try:
            _configure(addresses)
            yield
        finally:
            if _libc.setns(former, _CLONE_NEWNET) != 0:
                raise RigError(f"cannot return to the network: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(former)


def _configure(addresses: Sequence[str]) -> None:
    for arguments in (
        ["link", "set", "lo", "up"],
        *(["address", "add", f"{address}/32", "dev", "lo"] for address in addresses),
    ):
        try:
            done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise RigError("no program `ip`: install iproute2") from error
        if done.returncode != 0:
            raise RigError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
