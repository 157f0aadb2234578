"""The memory of a collector that has just been started and has nothing to do."""

from __future__ import annotations

import time

from rig.process import Run

from bench import report
from bench.collector import contenders
from bench.collector.comparison import figures, section
from bench.collector.contenders import OURS, Contender
from bench.collector.measure import started
from bench.collector.rows.row import Effort, Row
from bench.collector.work import Work
from bench.process import resident_mib
from bench.rounds import in_rounds
from bench.spread import Spread

_SETTLING_SECONDS = 3.0


def _measure(effort: Effort) -> str:
    def one(run: Run, name: str, contender: Contender) -> float:
        with started(run, name, contender, Work()) as bench:
            time.sleep(_SETTLING_SECONDS)
            return resident_mib(bench.pid)

    compared = contenders.compared(effort.peers)
    results = in_rounds(
        "bench-collector-idle", compared, effort.rounds, one, lambda found: f"{found:.1f} MiB"
    )
    rows = [
        [contender.label, contender.version, Spread.of(results[contender.label]).format(1)]
        for contender in compared
    ]
    return section(
        f"{report.machine()}. {effort.rounds} rounds; median (lowest to highest). Resident memory "
        f"{_SETTLING_SECONDS:.0f} s after the start.",
        report.table(["collector", "version", "resident, MiB"], rows),
        figures([("resident, MiB", Spread.of(results[OURS]).format(1), "12")]),
    )


ROW = Row("idle", _measure)
