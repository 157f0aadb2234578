"""At full speed on 2 connections with 8 requests in flight each: how long a call takes, and the
most memory since the start."""

from __future__ import annotations

from bench.collector import contenders
from bench.collector.comparison import Comparison, figures, memory, p99, section
from bench.collector.contenders import OURS
from bench.collector.rows.row import Effort, Row
from bench.collector.work import Work


def _measure(effort: Effort) -> str:
    compared = contenders.compared(effort.peers)
    found = Comparison.of("speed", compared, effort.rounds, Work(), effort.load(2, 8))
    bars = [
        ("peak memory, MiB", found.spread(OURS, memory).format(1), "40"),
        ("99th percentile of a call, ms", found.spread(OURS, p99).format(1), "10"),
    ]
    return section(found.conditions(), found.table(), figures(bars))


ROW = Row("speed", _measure)
