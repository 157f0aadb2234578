"""What it costs a program that does little else to receive the same requests: the sink of the
benchmarks, which walks through them and counts."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass

from rig.process import RigError, Run

from bench import programs, report
from bench.collector.comparison import section
from bench.collector.rows.row import Effort, Row
from bench.collector.work import Load, Work
from bench.process import cpu_seconds
from bench.rounds import in_rounds
from bench.sink import Sink
from bench.spread import Spread


@dataclass(frozen=True)
class _Received:
    label: str
    work: Work


_RECEIVED = (
    _Received("gRPC", Work(output="nop")),
    _Received("gRPC with gzip", Work(output="nop", compression="gzip")),
)


def _measure(effort: Effort) -> str:
    load = effort.load()

    def one(run: Run, name: str, received: _Received) -> float:
        with Run(f"{run.directory.name}/{name}") as own:
            sink = Sink(own)
            _send(sink, load.of(load.warm_up), received.work)
            before = cpu_seconds(sink.process.pid)
            _send(sink, load, received.work)
            return (cpu_seconds(sink.process.pid) - before) / load.items * 1e6

    results = in_rounds(
        "bench-collector-floor", _RECEIVED, effort.rounds, one, lambda found: f"{found:.3f} s"
    )
    rows = [
        [received.label, Spread.of(results[received.label]).format(2)] for received in _RECEIVED
    ]
    return section(
        f"{report.machine()}. {effort.rounds} rounds; median (lowest to highest). "
        f"{load.describe(_RECEIVED[0].work)}.",
        report.table(["received", "CPU s per million spans"], rows),
    )


def _send(sink: Sink, load: Load, work: Work) -> None:
    argv = [
        str(programs.load()),
        f"--target=127.0.0.1:{sink.port}",
        *load.options(),
        *work.options(),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RigError(f"the load ended with status {done.returncode}: {done.stderr[-800:]}")
    acknowledged = json.loads(done.stdout)["acknowledged"]
    if acknowledged != load.items:
        raise RigError(f"sent {load.items} items, but {acknowledged} were acknowledged")


ROW = Row("floor", _measure)
