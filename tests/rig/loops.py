"""Services of the rig's own that run on `asyncio`, each in a thread beside the test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

from rig.process import RigError, Run

_WAIT = 30
"""Seconds that a service may take to start, and to stop."""


def serve_beside(
    run: Run, start: Callable[[], Awaitable[object]], stop: Callable[[], Awaitable[object]]
) -> None:
    """Start a service and let it run until the test ends; what it still waits for is given up."""
    loop = asyncio.new_event_loop()
    ready = threading.Event()

    def work() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(start())
        ready.set()
        loop.run_forever()
        loop.run_until_complete(stop())
        waiting = asyncio.all_tasks(loop)
        for task in waiting:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*waiting, return_exceptions=True))
        loop.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    if not ready.wait(_WAIT):
        raise RigError(f"a service of the rig did not start within {_WAIT} s")

    def end() -> None:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_WAIT)

    run.on_close(end)
