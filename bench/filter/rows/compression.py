"""What it would cost and save to compress exports: batches of 512 records through the only
compression that Envoy offers to a filter, and sent as they are."""

from __future__ import annotations

import gzip
import time
import zlib
from collections.abc import Callable

from rig.bootstrap import COLLECTOR_CLUSTER
from rig.process import Run

from bench import report
from bench.filter import variants
from bench.filter.capture import capture
from bench.filter.comparison import Comparison, section
from bench.filter.load import Load
from bench.filter.rows.row import Effort, Row
from bench.filter.variants import BARE, Variant
from bench.spread import Spread

_RECORDS = 512
_BATCHES = 4
"""In each request."""
_REQUESTS = 400
_WARM_UP = 50
_PER_SECOND = 100.0
"""Slowly enough that no export waits for another."""


def _measure(effort: Effort) -> str:
    batch = _batch()
    packed = zlib.compress(batch, 6)
    nothing = variants.probe("nothing", 0)
    export = f"export:{COLLECTOR_CLUSTER}"
    compress = variants.probe("compress", _BATCHES, batch).named(f"compress {_BATCHES} batches")
    # The sink counts the spans of what it gets, so each export has to be complete.
    whole = variants.probe(export, _BATCHES, batch)
    whole = whole.named(f"export {_BATCHES} batches", spans=_BATCHES * _RECORDS)
    load = Load(_REQUESTS, _WARM_UP, connections=1, per_second=_PER_SECOND)
    compared = [BARE, nothing, compress, whole]
    found = Comparison.of("compression", compared, effort.rounds, load)

    def each(variant: Variant, of: float) -> str:
        return Spread.of(over / _BATCHES / of for over in found.over(variant, nothing)).format(3)

    size = len(batch)
    rows = [
        ["a batch of 512 spans, bytes", f"{size}"],
        ["with gzip, level 1, bytes", f"{len(gzip.compress(batch, 1))}"],
        ["with gzip, level 6, bytes", f"{len(gzip.compress(batch, 6))}"],
        ["through Envoy's `compress` (zlib, level 6): CPU us per record", each(compress, _RECORDS)],
        ["the same per saved KiB, us", each(compress, (size - len(packed)) / 1024)],
        ["exporting it as it is, by gRPC on loopback: CPU us per record", each(whole, _RECORDS)],
        ["the same per KiB, us", each(whole, size / 1024)],
        ["zlib of this machine, level 1, alone: us per record", _alone(batch, 1)],
        ["zlib of this machine, level 6, alone: us per record", _alone(batch, 6)],
    ]
    return section(found.conditions(), report.table(["", "measured"], rows))


def _batch() -> bytes:
    """Return a batch of ours as it is sent by default."""
    # So that it goes when it is full, and not by the clock.
    variant = variants.ours_spans(batch={"interval": "1m"})
    with Run("bench-filter-batch") as run:
        captured = capture(run, "ours", variant, _RECORDS)
    [batch] = captured.traces
    return batch


def _alone(batch: bytes, level: int) -> str:
    def once() -> None:
        zlib.compress(batch, level)

    return Spread.of(_micros(once) / _RECORDS for _ in range(9)).format(3)


def _micros(action: Callable[[], None]) -> float:
    begin = time.process_time()
    action()
    return (time.process_time() - begin) * 1e6


ROW = Row("compression", 3, _measure)
