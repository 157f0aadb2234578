"""Everything recorded: spans and logs, spans only, logs only, each beside its native peer; and how
many OTLP requests that takes."""

from __future__ import annotations

from bench.filter import variants
from bench.filter.comparison import Comparison, figures, section
from bench.filter.rows.row import Effort, Row
from bench.filter.variants import BARE, NATIVE, NATIVE_LOGS, NATIVE_SPANS


def _measure(effort: Effort) -> str:
    ours, spans, logs = variants.ours(), variants.ours_spans(), variants.ours_logs()
    compared = [BARE, NATIVE, ours, NATIVE_SPANS, spans, NATIVE_LOGS, logs, variants.empty()]
    found = Comparison.of("cost", compared, effort.rounds, effort.load())
    bars = [
        (
            "spans and logs, times native tracer and access log",
            found.ratio(ours, NATIVE).format(2),
            "0.60",
        ),
        ("spans only, times native tracer", found.ratio(spans, NATIVE_SPANS).format(2), "0.60"),
        ("logs only, times native access log", found.ratio(logs, NATIVE_LOGS).format(2), "1.00"),
        (
            "OTLP requests per 1,000 records, spans and logs",
            found.exports_per_thousand(ours).format(1),
            "4",
        ),
        (
            "the same of the native tracer and access log",
            found.exports_per_thousand(NATIVE).format(1),
            "",
        ),
    ]
    return section(found.conditions(), found.table(), figures(bars))


ROW = Row("cost", 7, _measure)
