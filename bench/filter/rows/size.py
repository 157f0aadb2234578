"""The module's size."""

from __future__ import annotations

import gzip

from rig.programs import filter_module

from bench.filter.comparison import figures
from bench.filter.rows.row import Effort, Row


def _measure(_: Effort) -> str:
    code = filter_module().read_bytes()
    packed = len(gzip.compress(code))
    return figures(
        [("module, bytes", str(len(code)), "350000"), ("with gzip, bytes", str(packed), "")]
    )


ROW = Row("size", 1, _measure)
