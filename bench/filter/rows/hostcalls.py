"""What each kind of hostcall costs: a filter that makes it many times for each request, over one
that makes none."""

from __future__ import annotations

from bench import report
from bench.filter import variants
from bench.filter.comparison import Comparison, section
from bench.filter.rows.row import Effort, Row
from bench.filter.variants import BARE
from bench.spread import Spread

_COUNT = 20

_EXPRESSION = (
    b"[request.method, request.path, request.scheme, request.host, request.protocol, "
    b"request.useragent, source.address, string(response.code), response.code_details, "
    b"string(response.flags)]"
)

_CALLS: dict[str, tuple[str, bytes]] = {
    "clock": ("clock", b""),
    "one request header": ("header", b""),
    "all request headers": ("header-map", b""),
    "set a request header": ("set-header", b""),
    "one property": ("property", b""),
    "set a property": ("set-property", b""),
    "increment a counter": ("metric", b""),
    "an expression of ten attributes": ("expression", _EXPRESSION),
}


def _measure(effort: Effort) -> str:
    nothing = variants.probe("nothing", 0)
    probes = {what: variants.probe(kind, _COUNT, data) for what, (kind, data) in _CALLS.items()}
    compared = [BARE, variants.empty(), nothing, *probes.values()]
    found = Comparison.of("hostcalls", compared, effort.rounds, effort.load())
    rows = [["an empty filter over bare Envoy", "", _over(found, compared[1], BARE)]]
    rows += [
        [
            what,
            str(_COUNT),
            Spread.of(over / _COUNT for over in found.over(probe, nothing)).format(2),
        ]
        for what, probe in probes.items()
    ]
    head = ["", "times in a request", "us each"]
    return section(found.conditions(), report.table(head, rows))


def _over(found: Comparison, variant: variants.Variant, base: variants.Variant) -> str:
    return Spread.of(found.over(variant, base)).format(2)


ROW = Row("hostcalls", 3, _measure)
