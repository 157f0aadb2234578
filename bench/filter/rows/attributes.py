"""The lists of attributes, held against what arrives."""

from __future__ import annotations

from rig.process import RigError, Run

from bench import report
from bench.filter import attributes, variants
from bench.filter.capture import capture, names
from bench.filter.rows.row import Effort, Row
from bench.filter.variants import NATIVE

_REQUESTS = 5
"""As many as make the native tracer send at once."""


def _measure(_: Effort) -> str:
    with Run("bench-filter-attributes") as run:
        native = capture(run, "native", NATIVE, _REQUESTS)
        ours = capture(run, "ours", variants.ours(), _REQUESTS)
    rows = [
        _row("native tracer, span", attributes.NATIVE_SPAN, names(native.spans())),
        _row("Spanmesh, span", attributes.OUR_SPAN, names(ours.spans())),
        _row("native access log, record", attributes.NATIVE_LOG, names(native.log_records())),
        _row("Spanmesh, access log record", attributes.OUR_LOG, names(ours.log_records())),
    ]
    return report.table(["", "number", "attributes"], rows)


def _row(what: str, listed: attributes.Names, found: set[str]) -> list[str]:
    if set(listed) != found:
        raise RigError(
            f"{what}: bench/filter/attributes.py lists {sorted(set(listed) - found)}, which do not "
            f"arrive, and lacks {sorted(found - set(listed))}"
        )
    return [what, str(len(found)), ", ".join(f"`{name}`" for name in sorted(found))]


ROW = Row("attributes", 1, _measure)
