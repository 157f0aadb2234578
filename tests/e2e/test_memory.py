"""Memory while no collector takes anything: bounded by `batch.max_queue_bytes`, and flat."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import pytest
from rig import hostile, mesh
from rig.mesh import Solo, alone
from rig.ports import free_port
from rig.process import Run, wait_for
from rig.sink import Sink

QUEUE = 256 * 1024
"""`batch.max_queue_bytes` of the tests, full within seconds of the load."""

RATE = 150
"""Requests a second to each Envoy."""

GROWTH = 4 << 20
"""Bytes that an Envoy may grow by after its queue is full: its own statistics and allocator."""


class Deaf:
    """Takes connections and says nothing, ever."""

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self._taken: list[socket.socket] = []
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        while True:
            try:
                self._taken.append(self._listener.accept()[0])
            except OSError:
                return

    def close(self) -> None:
        """Break every connection, and listen no more."""
        if self._listener.fileno() != -1:
            # This wakes the thread that accepts.
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        for one in self._taken:
            one.close()


class Load:
    """Requests at a steady rate on one connection, each noted by the driver."""

    def __init__(self, solo: Solo, rate: float) -> None:
        self._solo = solo
        self._pause = 1 / rate
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        driver = self._solo.driver
        exchange = hostile.Exchange(driver.port)
        # A long path, so that records are as large as they are in earnest.
        wish = alone("load", "/stock/" + "item" * 50)
        due = time.monotonic()
        while not self._enough.is_set():
            mark, target = driver.target(wish)
            driver.note(wish, exchange.ask(hostile.get(target)), mark)
            due += self._pause
            time.sleep(max(0.0, due - time.monotonic()))
        exchange.close()

    def stop(self) -> None:
        """End the load."""
        self._enough.set()
        self._thread.join()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seconds", [60, pytest.param(600, marks=pytest.mark.soak)])
def test_memory_is_flat_under_a_dead_collector(
    run: Run, seconds: int, record_property: Callable[[str, object], None]
) -> None:
    service = hostile.start_lenient(run)
    # One collector refuses connections, the other one takes them and does not answer.
    ports = {"refuses": free_port(), "hangs": free_port()}
    deaf = Deaf(ports["hangs"])
    run.on_close(deaf.close)
    configuration = mesh.plugin(batch={"max_queue_bytes": QUEUE}, exporter={"timeout": "1s"})
    solos = {
        kind: Solo(run, collector=port, configuration=configuration, app=service, concurrency=1)
        for kind, port in ports.items()
    }
    loads = [Load(solo, RATE) for solo in solos.values()]
    for load in loads:
        run.on_close(load.stop)

    def is_full(solo: Solo) -> bool:
        stats = solo.envoy.filter_stats()
        assert stats.queue_bytes <= QUEUE
        return stats.spans.queue_full > 0 and stats.logs.queue_full > 0

    began = time.monotonic()
    for solo in solos.values():
        wait_for(lambda solo=solo: is_full(solo), "the queue was full", 60)
    # What the first retries need, too.
    time.sleep(max(0.0, began + seconds / 5 - time.monotonic()))
    full = {kind: solo.envoy.resident_bytes() for kind, solo in solos.items()}
    grown = dict.fromkeys(solos, 0)
    while time.monotonic() < began + seconds:
        for kind, solo in solos.items():
            assert is_full(solo)
            grown[kind] = max(grown[kind], solo.envoy.resident_bytes() - full[kind])
        time.sleep(0.5)
    for load in loads:
        load.stop()
    record_property("grown_bytes", grown)
    assert max(grown.values()) < GROWTH, grown

    # The collectors come, and what the queues held arrives; the rest was counted.
    deaf.close()
    sinks = {kind: Sink(port).start() for kind, port in ports.items()}
    for kind, solo in solos.items():
        run.on_close(sinks[kind].stop)
        wait_for(lambda solo=solo: solo.envoy.filter_stats().queue_bytes == 0, "all sent", 60)
        received = solo.settle(sinks[kind].telemetry, lossy=True, duplicates=True, timeout=1)
        assert received.spans
        assert received.logs
