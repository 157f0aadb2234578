"""Ours with its queue on disk and every answer synced, beside itself with the queue in memory."""

from __future__ import annotations

from bench.collector import contenders
from bench.collector.comparison import Comparison, cpu, figures, section
from bench.collector.contenders import DURABLE, OURS
from bench.collector.rows.row import Effort, Row
from bench.collector.work import Work


def _measure(effort: Effort) -> str:
    compared = [contenders.ours(), contenders.ours(durable=True)]
    found = Comparison.of("durable", compared, effort.rounds, Work(), effort.load())
    ratio = found.ratio(DURABLE, OURS, cpu).format(2)
    return section(
        found.conditions(),
        found.table(),
        figures([("CPU time, times the queue in memory", ratio, "2.00")]),
    )


ROW = Row("durable", _measure)
