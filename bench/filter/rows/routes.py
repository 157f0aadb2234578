"""A route table of 1,000 routes, of which the last one matches: a filter that changes a header
makes Envoy match the route again. With a matching tree in place of the list that costs next to
nothing."""

from __future__ import annotations

from rig.bootstrap import Document, any_of

from bench.filter import variants
from bench.filter.comparison import Comparison, figures, section
from bench.filter.rows.row import Effort, Row
from bench.filter.variants import BARE, DIRECT_RESPONSE, NATIVE
from bench.spread import Spread

_COUNT = 1000


def _prefixes() -> list[str]:
    return [*(f"/service-{number:03}/" for number in range(_COUNT - 1)), "/items/"]


def _route(prefix: str) -> Document:
    return {**DIRECT_RESPONSE, "match": {"prefix": prefix}}


def _list() -> tuple[Document, ...]:
    return tuple(_route(prefix) for prefix in _prefixes())


def _tree() -> Document:
    """Return the same routes as a map of path prefixes."""
    routes = {
        prefix: {
            "action": {
                "name": "route",
                "typed_config": any_of("envoy.config.route.v3.Route", **_route(prefix)),
            }
        }
        for prefix in _prefixes()
    }
    path = any_of("envoy.type.matcher.v3.HttpRequestHeaderMatchInput", header_name=":path")
    return {
        "matcher_tree": {
            "input": {"name": "path", "typed_config": path},
            "prefix_match_map": {"map": routes},
        }
    }


def _measure(effort: Effort) -> str:
    listed, tree = _list(), _tree()
    bare = BARE.named("bare Envoy, list", routes=listed)
    native = NATIVE.named("native tracer and access log, list", routes=listed)
    ours = variants.ours("Spanmesh, list").named("Spanmesh, list", routes=listed)
    ours_one = variants.ours("Spanmesh, one route")
    bare_tree = BARE.named("bare Envoy, tree", routes=tree)
    ours_tree = ours.named("Spanmesh, tree", routes=tree)
    compared = [bare, native, ours, BARE, ours_one, bare_tree, ours_tree]
    found = Comparison.of("routes", compared, effort.rounds, effort.load())
    bases = {
        BARE.label: BARE,
        ours_one.label: BARE,
        bare_tree.label: bare_tree,
        ours_tree.label: bare_tree,
    }

    def second_match(variant: variants.Variant, base: variants.Variant) -> str:
        """Return what ours costs more over its base than it does with one route."""
        alone = found.over(ours_one, BARE)
        here = found.over(variant, base)
        pairs = zip(here, alone, strict=True)
        return Spread.of(many - one for many, one in pairs).format(2, sign=True)

    rows = [
        ("1,000 routes, the last one matches: one match, us", _match(found, bare), ""),
        ("ours over bare, us", Spread.of(found.over(ours, bare)).format(2, sign=True), ""),
        ("native over bare, us", Spread.of(found.over(native, bare)).format(2, sign=True), ""),
        ("of ours, for matching again, us", second_match(ours, bare), "+2.00"),
        ("the same with a matching tree, us", second_match(ours_tree, bare_tree), "+2.00"),
    ]
    return section(found.conditions(), found.table(bases), figures(rows))


def _match(found: Comparison, many: variants.Variant) -> str:
    """Return what a list costs more than one route."""
    return Spread.of(found.over(many, BARE)).format(2, sign=True)


ROW = Row("routes", 4, _measure)
