"""Where a Wasm filter's time goes: the calls of ours for one request, what each kind of hostcall
costs, and what they add up to. For the cost a filter makes a call many times for each request, over
one that makes none."""

from __future__ import annotations

import json
from collections import Counter

from rig.process import Run
from rig.programs import filter_module
from wasm.life import Worker

from bench import report
from bench.filter import variants
from bench.filter.comparison import Comparison, section
from bench.filter.load import Load
from bench.filter.rows.row import Effort, Row
from bench.filter.trace import calls
from bench.filter.variants import BARE, Variant
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
    recorded = {
        "spans and logs": variants.ours(),
        "spans only": variants.ours_spans(),
        "logs only": variants.ours_logs(),
        "nothing": variants.ours_unsampled(),
    }
    with Run("bench-filter-calls") as run:
        counts = {what: calls(run, what, variant) for what, variant in recorded.items()}
    nothing = variants.probe("nothing", 0)
    none = variants.probe("expression", 1, b"[]").named("one expression of nothing")
    probes = {
        what: variants.probe(kind, _COUNT, data).named(f"{_COUNT} times {what}")
        for what, (kind, data) in _CALLS.items()
    }
    items = {
        what: variants.probe("expression", 1, f"[{', '.join([item] * _COUNT)}]".encode()).named(
            f"{_COUNT} times {what}"
        )
        for what, item in _ATTRIBUTES.items()
    }
    lists = {
        what: variants.probe("expression", _COUNT, _list(variant).encode()).named(
            f"{_COUNT} times the attributes for {what}"
        )
        for what, variant in recorded.items()
        if counts[what]["call_foreign_function"]
    }
    # The calls make each request dear: fewer of them show it.
    load = Load(effort.requests // 2, effort.warm_up // 2)
    compared = [BARE, variants.empty(), nothing, none, *recorded.values()]
    compared += [*probes.values(), *items.values(), *lists.values()]
    found = Comparison.of("hostcalls", compared, effort.rounds, load)
    costs = [["an empty filter, over bare Envoy", Spread.of(found.over(compared[1])).format(2)]]
    costs += [[what, _each(found, probe, nothing)] for what, probe in probes.items()]
    costs += [[f"{what}, in an expression", _each(found, it, none)] for what, it in items.items()]
    return section(
        _calls(counts),
        found.conditions(),
        report.table(["", "us each"], costs),
        _sums(found, counts, recorded, probes, lists),
    )


def _list(variant: Variant) -> str:
    """Return the expression of all attributes that the filter reads, as it gives it to a proxy."""
    worker = Worker(filter_module())
    assert variant.plugin is not None
    assert worker.configure_text(json.dumps(variant.plugin.configuration).encode())
    return worker.host.expressions[0]


def _calls(counts: dict[str, Counter[str]]) -> str:
    """Return a table of the calls for one request."""
    every = list(dict.fromkeys(call for found in counts.values() for call in found))
    rows = [[f"`{call}`", *(str(found[call]) for found in counts.values())] for call in every]
    return report.table(["calls for one request, recording", *counts], rows)


def _sums(
    found: Comparison,
    counts: dict[str, Counter[str]],
    recorded: dict[str, Variant],
    probes: dict[str, Variant],
    lists: dict[str, Variant],
) -> str:
    """Return what the calls of a request add up to, beside what the filter takes, by medians."""
    nothing = variants.probe("nothing", 0)

    def median(variant: Variant, base: Variant | None = None) -> float:
        return Spread.of(found.over(variant, base)).median

    empty = median(variants.empty())
    map_read = median(probes["all request headers"], nothing) / _COUNT
    header_set = median(probes["set a request header"], nothing) / _COUNT
    columns: list[list[float]] = []
    for what, variant in recorded.items():
        parts = [
            empty,
            counts[what]["get_header_map_pairs"] * map_read,
            counts[what]["replace_header_map_value"] * header_set,
            median(lists[what], nothing) / _COUNT if what in lists else 0.0,
        ]
        whole = median(variant)
        columns.append([*parts, sum(parts), whole - sum(parts), whole])
    heads = [
        "what an empty filter costs",
        "all request headers",
        "headers set",
        "the attributes, by one expression",
        "sum",
        "the rest: the module's own code, calls into it, one more match of the route, the export",
        "the filter over bare Envoy",
    ]
    rows = [[head, *(f"{column[at]:.2f}" for column in columns)] for at, head in enumerate(heads)]
    return report.table(["us for one request, recording", *recorded], rows)


def _each(found: Comparison, variant: Variant, base: Variant) -> str:
    return Spread.of(over / _COUNT for over in found.over(variant, base)).format(2)


ROW = Row("hostcalls", 2, _measure)
