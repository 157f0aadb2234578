"""Streamed bodies of 1 MiB, up and down: a filter that looks at none must not cost by the chunk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rig import bootstrap
from rig.bootstrap import Document, Sidecar, any_of
from rig.envoy import Envoy
from rig.ports import free_port
from rig.process import Run

from bench.filter import variants
from bench.filter.comparison import Comparison, figures, section
from bench.filter.load import Load
from bench.filter.rows.row import Effort, Row
from bench.filter.variants import BARE
from bench.process import first_and_other_processors, pinned
from bench.spread import Spread

_MIB = 1 << 20
_REQUESTS = 2_000
_WARM_UP = 300
_CONNECTIONS = 4


def _measure(effort: Effort) -> str:
    with Run("bench-filter-upstream") as run, _upstream(run) as port:
        body = run.directory / "1MiB"
        body.write_bytes(bytes(_MIB))
        route: Document = {"match": {"prefix": "/"}, "route": {"cluster": "app"}}

        def through(variant: variants.Variant) -> variants.Variant:
            return variant.named(variant.label, routes=(route,), upstream=port)

        bare, empty = through(BARE), through(variants.empty())
        ours = through(variants.ours())
        load = Load(_REQUESTS, _WARM_UP, connections=_CONNECTIONS, body=body)
        found = Comparison.of("bodies", [bare, ours, empty], effort.rounds, load)
    shares = [
        over / without * 100
        for over, without in zip(found.over(ours), found.micros(bare), strict=True)
    ]
    rows = [("ours over bare, per cent", Spread.of(shares).format(1, sign=True), "+3.0")]
    return section(found.conditions(), found.table(), figures(rows))


@contextmanager
def _upstream(run: Run) -> Iterator[int]:
    """Start an Envoy that reads a whole request and answers with 1 MiB; return its port."""
    port, admin = free_port(), free_port()
    answer = run.directory / "answer"
    answer.write_bytes(bytes(_MIB))
    buffer = any_of("envoy.extensions.filters.http.buffer.v3.Buffer", max_request_bytes=2 * _MIB)
    sidecar = Sidecar(
        "upstream",
        app=port,
        filter=None,
        collector=port,
        earlier_filters=({"name": "envoy.filters.http.buffer", "typed_config": buffer},),
    )
    document = bootstrap.bootstrap(
        sidecar, inbound=port, outbound=0, admin=admin, lds=Path(), ecds={}
    )
    resources = document["static_resources"]
    resources["listeners"] = resources["listeners"][:1]
    manager = resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    manager["route_config"]["max_direct_response_body_size_bytes"] = _MIB
    manager["route_config"]["virtual_hosts"][0]["routes"] = [
        {
            "match": {"prefix": "/"},
            "direct_response": {"status": 200, "body": {"filename": str(answer)}},
        }
    ]
    _, others = first_and_other_processors()
    with pinned(others):
        envoy = Envoy(run, "upstream", document, admin=admin, concurrency=1)
    envoy.wait_ready()
    yield port


ROW = Row("bodies", 5, _measure)
