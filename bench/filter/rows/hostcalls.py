"""Where a Wasm filter's time goes: the calls of ours for one request, and what each kind of
hostcall costs. For that a filter makes it many times for each request, over one that makes none."""

from __future__ import annotations

from rig.process import Run

from bench import report
from bench.filter import variants
from bench.filter.comparison import Comparison, section
from bench.filter.load import Load
from bench.filter.rows.row import Effort, Row
from bench.filter.trace import calls
from bench.filter.variants import BARE
from bench.spread import Spread

_COUNT = 20

_TEN_ATTRIBUTES = (
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
    "an expression of ten attributes": ("expression", _TEN_ATTRIBUTES),
    "an expression of none": ("expression", b"[]"),
}

_ATTRIBUTES = {
    "an attribute that is there": "request.protocol",
    "the same, asked for with `has`": 'has(request.protocol) ? request.protocol : ""',
    "one that is not there": 'has(upstream.address) ? upstream.address : ""',
    "a response header that is not there": "'x-none' in response.headers ? "
    "response.headers['x-none'] : \"\"",
}
"""What more of an expression costs: each is in it many times."""


def _measure(effort: Effort) -> str:
    return section(_calls(), _costs(effort))


def _calls() -> str:
    """Return a table of the calls for one request."""
    recorded = {
        "spans and logs": variants.ours(),
        "spans only": variants.ours_spans(),
        "logs only": variants.ours_logs(),
        "nothing": variants.ours_unsampled(),
    }
    with Run("bench-filter-calls") as run:
        found = {what: calls(run, what, variant) for what, variant in recorded.items()}
    every = list(dict.fromkeys(call for counts in found.values() for call in counts))
    rows = [[f"`{call}`", *(str(counts[call]) for counts in found.values())] for call in every]
    return report.table(["calls for one request, recording", *found], rows)


def _costs(effort: Effort) -> str:
    nothing = variants.probe("nothing", 0)
    probes = {
        what: variants.probe(kind, _COUNT, data).named(f"{_COUNT} times {what}")
        for what, (kind, data) in _CALLS.items()
    }
    lists = {
        what: variants.probe("expression", 1, f"[{', '.join([item] * _COUNT)}]".encode()).named(
            f"{_COUNT} times {what}"
        )
        for what, item in _ATTRIBUTES.items()
    }
    none = variants.probe("expression", 1, b"[]").named("one expression of nothing")
    # The calls make each request dear: fewer of them show it.
    load = Load(effort.requests // 2, effort.warm_up // 2)
    compared = [BARE, variants.empty(), nothing, none, *probes.values(), *lists.values()]
    found = Comparison.of("hostcalls", compared, effort.rounds, load)
    rows = [["an empty filter, over bare Envoy", Spread.of(found.over(compared[1])).format(2)]]
    rows += [[what, _each(found, probe, nothing)] for what, probe in probes.items()]
    rows += [[f"{what}, in an expression", _each(found, it, none)] for what, it in lists.items()]
    return section(found.conditions(), report.table(["", "us each"], rows))


def _each(found: Comparison, variant: variants.Variant, base: variants.Variant) -> str:
    return Spread.of(over / _COUNT for over in found.over(variant, base)).format(2)


ROW = Row("hostcalls", 2, _measure)
