"""Requests that keep coming while something is changed."""

from __future__ import annotations

import threading
import time
from types import TracebackType

from rig.driver import Driver, Wish
from rig.process import wait_for


class Traffic:
    """Makes the same request again and again from some threads, for as long as the block lasts."""

    def __init__(self, driver: Driver, wish: Wish, threads: int = 3, pause: float = 0.02) -> None:
        """`pause` is the seconds of a thread between an answer and its next request."""
        self._driver = driver
        self._wish = wish
        self._pause = pause
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._driver.get(self._wish)
            time.sleep(self._pause)

    def more(self, count: int = 40) -> None:
        """Wait until so many more requests have been answered."""
        before = len(self._driver.made)
        wait_for(lambda: len(self._driver.made) >= before + count, f"{count} more requests", 60)

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
