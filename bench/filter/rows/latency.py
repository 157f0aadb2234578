"""What a request waits longer, in the 99th percentile, at half of the rate that saturates an Envoy
with its native telemetry."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

from rig.process import RigError, Run

from bench import report
from bench.filter import variants
from bench.filter.comparison import figures, section
from bench.filter.load import Load
from bench.filter.measure import started
from bench.filter.rows.row import Effort, Row
from bench.filter.variants import BARE, NATIVE, Variant
from bench.rounds import in_rounds
from bench.spread import Spread

_SECONDS = 4
"""Of paced load."""


@dataclass(frozen=True)
class _Latency:
    """Of one Envoy, in microseconds."""

    median: float
    p99: float


def _measure(effort: Effort) -> str:
    with Run("bench-filter-saturation") as run, started(run, "native", NATIVE) as bench:
        load = effort.load()
        load.run(load.warm_up, bench.port)
        saturation = load.run(load.requests, bench.port)
    paced = Load(int(saturation / 2 * _SECONDS), effort.warm_up, per_second=saturation / 2)
    compared = [BARE, NATIVE, variants.ours()]
    results = in_rounds(
        "bench-filter-latency",
        compared,
        effort.rounds,
        lambda run, name, variant: _latency(run, name, variant, effort.load(), paced),
        lambda found: f"p50 {found.median:.0f} us, p99 {found.p99:.0f} us",
    )
    rows = [
        [
            variant.label,
            Spread.of(found.median for found in results[variant.label]).format(0),
            Spread.of(found.p99 for found in results[variant.label]).format(0),
        ]
        for variant in compared
    ]
    bare = [found.p99 for found in results[BARE.label]]

    def added(variant: Variant) -> Spread:
        mine = [found.p99 for found in results[variant.label]]
        return Spread.of(with_it - without for with_it, without in zip(mine, bare, strict=True))

    theirs = added(NATIVE)
    return section(
        f"{report.machine()}. {effort.rounds} rounds; median (lowest to highest). Saturation with "
        f"the native tracer and access log: {saturation:.0f} requests/s. {paced.describe()}.",
        report.table(["Envoy with", "median, us", "99th percentile, us"], rows),
        figures(
            [
                (
                    "added to the 99th percentile by ours, us",
                    added(compared[2]).format(0, sign=True),
                    f"up to {theirs.high:+.0f}, the native's highest",
                ),
                ("by the native tracer and access log, us", theirs.format(0, sign=True), ""),
            ]
        ),
    )


def _latency(run: Run, name: str, variant: Variant, full: Load, paced: Load) -> _Latency:
    with started(run, name, variant) as bench:
        full.run(full.warm_up, bench.port)
        log = run.directory / f"{name}.latency"
        paced.run(paced.requests, bench.port, log=log)
        bench.complete(full.warm_up + paced.requests)
    return _read(log)


def _read(log: Path) -> _Latency:
    """Read h2load's log: a line for each request, the third column its time in microseconds."""
    times = [int(line.split("\t")[2]) for line in log.read_text().splitlines()]
    if len(times) < 100:
        raise RigError(f"{log} has {len(times)} requests, expected 100 at least")
    return _Latency(statistics.median(times), statistics.quantiles(times, n=100)[98])


ROW = Row("latency", 5, _measure)
