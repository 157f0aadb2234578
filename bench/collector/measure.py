"""One measurement: a fresh collector, a warm-up, a fixed number of spans, its processor time."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass

from rig.process import RigError, Run, wait_for

from bench import programs
from bench.collector.contenders import Contender
from bench.process import cpu_seconds, peak_memory_mib
from bench.sink import Sink, Totals

_DELIVERY_SECONDS = 60.0


@dataclass(frozen=True)
class Load:
    """What the load generator does."""

    spans: int
    warm_up: int
    spans_per_request: int
    connections: int
    in_flight: int
    rate: int | None
    """Spans per second; as fast as the collector answers without."""

    def options(self) -> list[str]:
        """Return the options of its command line but the number of spans and the target."""
        options = [
            f"--spans-per-request={self.spans_per_request}",
            f"--connections={self.connections}",
            f"--in-flight={self.in_flight}",
        ]
        return options if self.rate is None else [*options, f"--rate={self.rate}"]


@dataclass(frozen=True)
class Measurement:
    """What one round found out about one collector."""

    cpu_seconds_per_million: float
    spans_per_second: float
    """From the first span that is sent to the last one that arrives."""
    memory_mib: float
    refused: int
    """Requests that were refused and sent again."""
    received: Totals
    """What the sink got of the counted spans."""


def measure(run: Run, label: str, contender: Contender, load: Load) -> Measurement:
    """Start a collector, send the spans through it, and stop it.

    Fails when the sink does not get exactly what the collector has acknowledged.
    """
    with Run(f"{run.directory.name}/{label}") as own:
        sink = Sink(own)
        running = contender.start(own, sink.port)
        pid = running.process.pid
        _send(load, load.warm_up, running.port)
        _delivered(contender, sink, load.warm_up)
        before, used_before = sink.totals(), cpu_seconds(pid)
        begin = time.monotonic()
        outcome = _send(load, load.spans, running.port)
        end = _delivered(contender, sink, load.warm_up + load.spans)
        used = cpu_seconds(pid) - used_before
        return Measurement(
            used / load.spans * 1e6,
            load.spans / (end - begin),
            peak_memory_mib(pid),
            int(outcome["refused"]),
            sink.totals() - before,
        )


def _send(load: Load, spans: int, port: int) -> dict[str, float]:
    argv = [
        str(programs.load()),
        f"--target=127.0.0.1:{port}",
        f"--spans={spans}",
        *load.options(),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RigError(f"the load ended with status {done.returncode}: {done.stderr[-800:]}")
    outcome: dict[str, float] = json.loads(done.stdout)
    if outcome["acknowledged"] != spans:
        raise RigError(f"sent {spans} spans, but {outcome['acknowledged']:.0f} were acknowledged")
    return outcome


def _delivered(contender: Contender, sink: Sink, spans: int) -> float:
    """Wait until all spans have come and return the time of that.

    Then wait a little longer: more would be as wrong as fewer.
    """
    wait_for(
        lambda: sink.totals().spans >= spans,
        f"{contender.label}: all of {spans} spans at the sink",
        _DELIVERY_SECONDS,
    )
    arrived = time.monotonic()
    time.sleep(0.5)
    totals = sink.totals()
    if totals.spans != spans or totals.malformed:
        raise RigError(
            f"{contender.label}: expected {spans} spans at the sink, found {totals.spans} "
            f"and {totals.malformed} malformed requests"
        )
    return arrived
