"""One measurement: a fresh collector, a warm-up, a fixed number of items, its processor time."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rig.process import RigError, Run, wait_for

from bench import programs
from bench.collector.contenders import Contender
from bench.collector.work import Load, Work
from bench.process import cpu_seconds, peak_memory_mib
from bench.sink import Sink, Totals

_DELIVERY_SECONDS = 120.0
_ID_MODULUS = 1 << 64


@dataclass(frozen=True)
class Outcome:
    """What the load says."""

    acknowledged: int
    ids: int
    """The sum of the ids of what was acknowledged."""
    refused: int
    seconds: float
    median_ms: float
    """How long a call took."""
    p99_ms: float


@dataclass(frozen=True)
class Measurement:
    """What one round found out about one collector."""

    cpu_seconds_per_million: float
    items_per_second: float
    """From the first item that is sent to the last one that arrives."""
    memory_mib: float
    """The most since it was started."""
    outcome: Outcome
    received: Totals
    """What the sink got of the counted items."""


@dataclass(frozen=True)
class Bench:
    """A collector that runs, before a sink."""

    pid: int
    work: Work
    sink: Sink
    port: int

    def send(self, load: Load) -> Outcome:
        """Send the items, until all are acknowledged."""
        argv = [
            str(programs.load()),
            f"--target=127.0.0.1:{self.port}",
            *load.options(),
            *self.work.options(),
        ]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RigError(f"the load ended with status {done.returncode}: {done.stderr[-800:]}")
        outcome = Outcome(**json.loads(done.stdout))
        if outcome.acknowledged != load.items:
            raise RigError(f"sent {load.items} items, but {outcome.acknowledged} were acknowledged")
        return outcome

    def delivered(self, label: str, outcomes: list[Outcome]) -> float:
        """Wait until everything that was acknowledged has come, and return the time of that.

        Then wait a little longer: more would be as wrong as fewer. What comes has to be what was
        sent, by the ids.
        """
        if self.work.output == "nop":
            return time.monotonic()
        items = sum(outcome.acknowledged for outcome in outcomes)
        ids = sum(outcome.ids for outcome in outcomes) % _ID_MODULUS
        wait_for(
            lambda: self._items(self.sink.totals()) >= items,
            f"{label}: all of {items} {self.work.items} at the sink",
            _DELIVERY_SECONDS,
        )
        arrived = time.monotonic()
        time.sleep(0.5)
        totals = self.sink.totals()
        found = self._items(totals)
        if found != items or totals.ids != ids or totals.malformed:
            raise RigError(
                f"{label}: expected {items} {self.work.items} at the sink whose ids add up to "
                f"{ids}, found {found}, {totals.ids}, and {totals.malformed} malformed requests"
            )
        return arrived

    def _items(self, totals: Totals) -> int:
        return totals.spans if self.work.signal == "traces" else totals.log_records


@contextmanager
def started(run: Run, name: str, contender: Contender, work: Work) -> Iterator[Bench]:
    """Start a sink and a collector that sends to it; stop both in the end."""
    with Run(f"{run.directory.name}/{name}") as own:
        sink = Sink(own)
        running = contender.start(own, work, sink.port)
        yield Bench(running.process.pid, work, sink, running.ports[work.transport])


def measure(run: Run, name: str, contender: Contender, work: Work, load: Load) -> Measurement:
    """Start a collector, send the items through it, and stop it.

    Fails when the sink does not get exactly what the collector has acknowledged.
    """
    with started(run, name, contender, work) as bench:
        warm_up = bench.send(load.of(load.warm_up))
        bench.delivered(contender.label, [warm_up])
        before, used_before = bench.sink.totals(), cpu_seconds(bench.pid)
        begin = time.monotonic()
        outcome = bench.send(load)
        end = bench.delivered(contender.label, [warm_up, outcome])
        used = cpu_seconds(bench.pid) - used_before
        return Measurement(
            used / load.items * 1e6,
            load.items / (end - begin),
            peak_memory_mib(bench.pid),
            outcome,
            bench.sink.totals() - before,
        )
