"""How much goes through one processor, by the size of the requests: for whoever has to say how many
collectors there shall be."""

from __future__ import annotations

from dataclasses import dataclass

from rig.process import Run

from bench import report
from bench.collector import contenders
from bench.collector.comparison import section
from bench.collector.measure import Measurement, measure
from bench.collector.rows.row import Effort, Row
from bench.collector.work import Compression, Load, Signal, Transport, Work
from bench.rounds import in_rounds
from bench.spread import Spread


@dataclass(frozen=True)
class _Case:
    signal: Signal
    transport: Transport
    compression: Compression
    items_per_request: int

    @property
    def label(self) -> str:
        return " ".join(self.cells)

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """What it is, by column."""
        return (
            self.work.items,
            {"grpc": "gRPC", "http": "HTTP"}[self.transport],
            {"none": "", "gzip": "gzip"}[self.compression],
            str(self.items_per_request),
        )

    @property
    def work(self) -> Work:
        return Work(
            signal=self.signal,
            transport=self.transport,
            compression=self.compression,
            items_per_request=self.items_per_request,
        )


_CASES = (
    *(_Case("traces", "grpc", "none", items) for items in (1, 10, 100, 1000)),
    _Case("traces", "grpc", "gzip", 100),
    *(_Case("traces", "http", "none", items) for items in (10, 100)),
    *(_Case("logs", "grpc", "none", items) for items in (10, 100)),
)

_SMALL = 10
"""Requests with so few items or less are more work: fewer of them give as good a figure."""


def _measure(effort: Effort) -> str:
    ours = contenders.ours()
    rounds = min(effort.rounds, 3)

    def load(case: _Case) -> Load:
        whole = effort.load()
        part = 1 if case.items_per_request > _SMALL else _SMALL // case.items_per_request * 3
        return Load(whole.items // part, whole.warm_up // part)

    def one(run: Run, name: str, case: _Case) -> Measurement:
        return measure(run, name, ours, case.work, load(case))

    results = in_rounds(
        "bench-collector-capacity",
        _CASES,
        rounds,
        one,
        lambda found: f"{found.cpu_seconds_per_million:.3f} s",
    )
    rows = []
    for case in _CASES:
        cost = Spread.of(found.cpu_seconds_per_million for found in results[case.label])
        through = 1e3 / cost.median
        requests = through / case.items_per_request
        rows.append([*case.cells, cost.format(2), f"{through:.0f}", f"{requests:.1f}"])
    head = [
        "items",
        "in",
        "in and out",
        "items in a request",
        "CPU s per million items",
        "thousand items/s on one processor",
        "thousand requests/s on one processor",
    ]
    return section(
        f"{report.machine()}. Spanmesh {ours.version}; {rounds} rounds; median (lowest to "
        "highest). In by OTLP, batches of 8192 items or 200 ms, out by OTLP/gRPC.",
        report.table(head, rows),
    )


ROW = Row("capacity", _measure, document="collector.md")
