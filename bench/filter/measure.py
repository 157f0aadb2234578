"""One measurement: a fresh Envoy, a warm-up, a fixed number of requests, its processor time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rig.envoy import Envoy
from rig.ports import free_port
from rig.process import RigError, Run

from bench.filter.load import Load
from bench.filter.variants import Variant
from bench.process import cpu_seconds, first_and_other_processors, peak_memory_mib, pinned
from bench.sink import Sink, Totals

_SETTLE_SECONDS = 0.3
"""After this long the work of the last requests is done, but for what waits for a batch to fill: at
most one batch of the warm-up comes into the counted time, and at most one of the counted falls
out of it."""

_LAST_BATCH_SECONDS = 6.5
"""The native tracer keeps a batch that does not fill for 5 s."""


@dataclass(frozen=True)
class Measurement:
    """What one round found out about one variant."""

    micros_per_request: float
    memory_mib: float
    telemetry: Totals
    """What came of the counted requests and of the warm-up."""


@dataclass(frozen=True)
class Bench:
    """An Envoy with one worker, and the sink of its telemetry."""

    variant: Variant
    envoy: Envoy
    sink: Sink
    port: int
    """Where the requests go."""

    @property
    def pid(self) -> int:
        """The Envoy's process id."""
        return self.envoy.process.pid

    def complete(self, requests: int) -> Totals:
        """Wait until the sink has everything that so many requests demand, and return its totals.

        Fails when it does not come: what is lost is cheap.
        """
        wanted = (self.variant.spans * requests, self.variant.logs * requests)
        deadline = time.monotonic() + _LAST_BATCH_SECONDS
        while True:
            totals = self.sink.totals()
            found = (totals.spans, totals.log_records)
            if found == wanted:
                return totals
            if time.monotonic() > deadline:
                raise RigError(
                    f"{self.variant.label}: expected (spans, log records) {wanted} at the sink, "
                    f"found {found}"
                )
            time.sleep(0.1)


@contextmanager
def started(run: Run, name: str, variant: Variant) -> Iterator[Bench]:
    """Start an Envoy on the first processor and its sink on the others."""
    tested, others = first_and_other_processors()
    with Run(f"{run.directory.name}/{name}") as own:
        with pinned(others):
            sink = Sink(own)
        port, admin = free_port(), free_port()
        document = variant.document(port, admin, sink.port)
        with pinned(tested):
            envoy = Envoy(own, "bench", document, admin=admin, concurrency=1)
        envoy.wait_ready()
        yield Bench(variant, envoy, sink, port)


def measure(run: Run, name: str, variant: Variant, load: Load) -> Measurement:
    """Start an Envoy, put the load on it, and stop it.

    Fails when a request fails and when the telemetry is not complete.
    """
    with started(run, name, variant) as bench:
        load.run(load.warm_up, bench.port)
        time.sleep(_SETTLE_SECONDS)
        before = cpu_seconds(bench.pid)
        load.run(load.requests, bench.port)
        time.sleep(_SETTLE_SECONDS)
        used = cpu_seconds(bench.pid) - before
        memory = peak_memory_mib(bench.pid)
        telemetry = bench.complete(load.requests + load.warm_up)
    return Measurement(used / load.requests * 1e6, memory, telemetry)
