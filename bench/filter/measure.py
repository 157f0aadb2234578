"""One measurement: a fresh Envoy, a warm-up, a fixed number of requests, its processor time."""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import dataclass

from rig.envoy import Envoy
from rig.ports import free_port
from rig.process import RigError, Run

from bench import programs
from bench.filter.variants import Variant
from bench.process import cpu_seconds, first_and_other_processors, peak_memory_mib, pinned
from bench.sink import Sink, Totals

_SETTLE_SECONDS = 1.5
"""After this long the batches of all variants have left, but for the native tracer's last four
spans, which it keeps for up to 5 s."""

_NATIVE_FLUSH_SECONDS = 5.5

_SUCCEEDED = re.compile(r"(\d+) succeeded, (\d+) failed, (\d+) errored")


@dataclass(frozen=True)
class Load:
    """What h2load does: HTTP/1.1 with keep-alive."""

    requests: int
    warm_up: int
    connections: int

    def argv(self, requests: int, port: int | str) -> list[str]:
        """Return the command line."""
        url = f"http://127.0.0.1:{port}/items/42?page=3"
        return [
            programs.h2load(),
            "--h1",
            "--threads=1",
            f"--clients={self.connections}",
            f"--requests={requests}",
            url,
        ]


@dataclass(frozen=True)
class Measurement:
    """What one round found out about one variant."""

    micros_per_request: float
    memory_mib: float
    telemetry: Totals
    """What came of the counted requests and of the warm-up."""


def measure(run: Run, label: str, variant: Variant, load: Load) -> Measurement:
    """Start an Envoy, put the load on it, and stop it.

    Fails when a request fails and when the telemetry is not complete, since what is lost is cheap.
    """
    tested, others = first_and_other_processors()
    with Run(f"{run.directory.name}/{label}") as own:
        with pinned(others):
            sink = Sink(own)
        port, admin = free_port(), free_port()
        with pinned(tested):
            envoy = Envoy(
                own, "bench", variant.document(port, admin, sink.port), admin=admin, concurrency=1
            )
        envoy.wait_ready()
        _drive(load, load.warm_up, port, others)
        time.sleep(_SETTLE_SECONDS)
        before = cpu_seconds(envoy.process.pid)
        _drive(load, load.requests, port, others)
        time.sleep(_SETTLE_SECONDS)
        used = cpu_seconds(envoy.process.pid) - before
        memory = peak_memory_mib(envoy.process.pid)
        telemetry = _complete(variant, sink, load.requests + load.warm_up)
    return Measurement(used / load.requests * 1e6, memory, telemetry)


def _drive(load: Load, requests: int, port: int, processors: set[int]) -> None:
    with pinned(processors):
        done = subprocess.run(
            load.argv(requests, port), capture_output=True, text=True, check=False
        )
    found = _SUCCEEDED.search(done.stdout)
    if found is None or found.groups() != (str(requests), "0", "0"):
        raise RigError(f"h2load: not all of {requests} requests succeeded:\n{done.stdout[-800:]}")


def _complete(variant: Variant, sink: Sink, requests: int) -> Totals:
    """Wait until the sink has everything that the requests demand."""
    wanted = (variant.spans * requests, variant.logs * requests)
    deadline = time.monotonic() + _NATIVE_FLUSH_SECONDS
    while True:
        totals = sink.totals()
        found = (totals.spans, totals.log_records)
        if found == wanted:
            return totals
        if time.monotonic() > deadline:
            raise RigError(
                f"{variant.name}: expected (spans, log records) {wanted} at the sink, found {found}"
            )
        time.sleep(0.1)
