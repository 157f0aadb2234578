"""Processor time per million items, for each kind of work that has a bar of its own."""

from __future__ import annotations

from dataclasses import dataclass

from bench.collector import contenders
from bench.collector.comparison import Comparison, cpu, figures, section
from bench.collector.contenders import OTELCOL, OURS
from bench.collector.rows.row import Effort, Row
from bench.collector.work import Work


@dataclass(frozen=True)
class _Cost:
    name: str
    work: Work
    bar: str
    """The most that ours may take, as a ratio to otelcol in the same run."""

    def row(self) -> Row:
        return Row(self.name, self._measure)

    def _measure(self, effort: Effort) -> str:
        compared = contenders.compared(effort.peers)
        found = Comparison.of(self.name, compared, effort.rounds, self.work, effort.load())
        parts = [found.conditions(), found.table()]
        if OTELCOL in effort.peers:
            ratio = found.ratio(OURS, OTELCOL, cpu).format(2)
            parts.append(figures([("CPU time, times otelcol", ratio, self.bar)]))
        return section(*parts)


ROWS = tuple(
    cost.row()
    for cost in (
        _Cost("nop", Work(output="nop"), "0.15"),
        _Cost("frames", Work(output="nop", frame_bytes=16 << 10), "0.15"),
        _Cost("batch", Work(), "0.20"),
        _Cost("gzip", Work(compression="gzip"), "0.45"),
        _Cost("http", Work(transport="http"), "0.20"),
        _Cost("small", Work(items_per_request=10), "0.35"),
        _Cost("logs", Work(signal="logs"), "0.30"),
    )
)
