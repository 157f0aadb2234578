"""Nothing sampled and nothing logged: what stays."""

from __future__ import annotations

from bench.filter import variants
from bench.filter.comparison import Comparison, figures, section
from bench.filter.rows.row import Effort, Row
from bench.filter.variants import BARE, NATIVE_UNSAMPLED
from bench.spread import Spread


def _measure(effort: Effort) -> str:
    plain = variants.ours_unsampled()
    keep = variants.ours_unsampled(
        "Spanmesh, nothing sampled, keep on", keep={"errors": True, "slower_than": "10s"}
    )
    compared = [BARE, NATIVE_UNSAMPLED, plain, keep]
    found = Comparison.of("unsampled", compared, effort.rounds, effort.load())

    def over_native(variant: variants.Variant) -> str:
        return Spread.of(found.over(variant, NATIVE_UNSAMPLED)).format(2, sign=True)

    bars = [
        ("`keep` off, over the native tracer unsampled, us", over_native(plain), "+1.50"),
        ("`keep` on, over the native tracer unsampled, us", over_native(keep), ""),
    ]
    return section(found.conditions(), found.table(), figures(bars))


ROW = Row("unsampled", 9, _measure)
