"""The memory of an Envoy with one worker under load, and the growth of ours from 100,000 requests
to ten times as many."""

from __future__ import annotations

import json
from dataclasses import dataclass

from rig import http
from rig.process import Run

from bench import report
from bench.filter import variants
from bench.filter.comparison import figures, section
from bench.filter.load import Load
from bench.filter.measure import Bench, started
from bench.filter.rows.row import Effort, Row
from bench.filter.variants import BARE, NATIVE, Variant
from bench.process import peak_memory_mib, resident_mib, wasm_memory_pages
from bench.rounds import in_rounds
from bench.spread import Spread

_EARLY = 100_000
_LATE = 1_000_000


@dataclass(frozen=True)
class _Memory:
    """What an Envoy has after some requests."""

    resident_mib: float
    peak_mib: float
    """Since it was started: V8 takes the most while it compiles."""
    allocated_mib: float
    """What Envoy's allocator has given out; more of it may be resident, free to be given again."""
    wasm_pages: int

    @classmethod
    def of(cls, bench: Bench) -> _Memory:
        allocator = json.loads(http.request(bench.envoy.admin, "/memory").body)
        return cls(
            resident_mib(bench.pid),
            peak_memory_mib(bench.pid),
            int(allocator["allocated"]) / 2**20,
            wasm_memory_pages(bench.pid),
        )


@dataclass(frozen=True)
class _Growth:
    early: _Memory
    late: _Memory | None
    """After the larger number of requests, if they were sent."""


def _measure(effort: Effort) -> str:
    empty, ours = variants.empty(), variants.ours()
    load = Load(_EARLY, 0)

    def one(run: Run, name: str, variant: Variant) -> _Growth:
        with started(run, name, variant) as bench:
            load.run(_EARLY, bench.port)
            early = _Memory.of(bench)
            bench.complete(_EARLY)
            if variant is not ours:
                return _Growth(early, None)
            load.run(_LATE - _EARLY, bench.port)
            late = _Memory.of(bench)
            bench.complete(_LATE)
            return _Growth(early, late)

    compared = [BARE, NATIVE, empty, ours]
    results = in_rounds(
        "bench-filter-memory",
        compared,
        effort.rounds,
        one,
        lambda found: f"{found.early.resident_mib:.1f} MiB, {found.early.wasm_pages} pages",
    )
    head = [
        "Envoy with",
        "resident, MiB",
        "peak since its start, MiB",
        "allocated, MiB",
        "Wasm memory, pages",
    ]
    rows = [
        _row(variant.label, [found.early for found in results[variant.label]])
        for variant in compared
    ]
    late = [found.late for found in results[ours.label] if found.late is not None]
    rows.append(_row(f"{ours.label}, after 1,000,000 requests", late))
    pairs = list(zip(results[ours.label], results[empty.label], strict=True))
    resident = Spread.of(a.early.resident_mib - b.early.resident_mib for a, b in pairs)
    peak = Spread.of(a.early.peak_mib - b.early.peak_mib for a, b in pairs)
    growth = Spread.of(
        found.late.wasm_pages - found.early.wasm_pages
        for found in results[ours.label]
        if found.late is not None
    )
    return section(
        f"{report.machine()}. {effort.rounds} rounds; median (lowest to highest). "
        f"{load.describe()}.",
        report.table(head, rows),
        figures(
            [
                ("resident over the empty filter, MiB", resident.format(1, sign=True), "+10.0"),
                ("peak over the empty filter's, MiB", peak.format(1, sign=True), ""),
                (
                    "Wasm memory from 100,000 to 1,000,000 requests, pages",
                    growth.format(0, sign=True),
                    "+1",
                ),
            ]
        ),
    )


def _row(label: str, found: list[_Memory]) -> list[str]:
    return [
        label,
        Spread.of(one.resident_mib for one in found).format(1),
        Spread.of(one.peak_mib for one in found).format(1),
        Spread.of(one.allocated_mib for one in found).format(1),
        Spread.of(one.wasm_pages for one in found).format(0),
    ]


ROW = Row("memory", 2, _measure)
