"""Spans of three services behind Envoys: how they link, what they say, when they are errors.

Specification: OpenTelemetry semantic conventions 1.44, HTTP spans (stable) and gRPC.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rig import mesh
from rig.collector import Collector
from rig.driver import Hop, Parent, Wish
from rig.mesh import Mesh
from rig.process import Run
from rig.records import CLIENT, SERVER, Span, Telemetry

ERROR, UNSET = 2, 0


class World:
    """The mesh with the collector behind it."""

    def __init__(self, run: Run) -> None:
        self.collector = Collector(run)
        configuration = mesh.plugin(propagators=["tracecontext", "b3", "b3multi"])
        self.mesh = Mesh(run, collector=self.collector.ports.grpc, configuration=configuration)

    def make(self, wish: Wish, **call: object) -> tuple[Telemetry, list[Span]]:
        """Make a request, check the account of all so far, return everything and its trace."""
        driver = self.mesh.driver
        if call:
            made = driver.call(wish, port=self.mesh.frontend.outbound, want=call["want"])  # type: ignore[arg-type]
        else:
            made = driver.get(wish)
        received = self.mesh.settle(self.collector.telemetry, collector=self.collector)
        if made.mark is not None:
            return received, by_hop(received.of_request(made.mark), wish)
        assert wish.parent is not None
        return received, by_hop(received.trace(wish.parent.trace_id), wish)


def by_hop(spans: list[Span], wish: Wish) -> list[Span]:
    """Return the spans from the outside in."""
    found = {(span.service, span.kind): span for span in spans}
    return [found[hop.service, hop.kind] for hop in wish.hops]


@pytest.fixture(scope="module")
def world(module_run: Run) -> Iterator[World]:
    return World(module_run)


@pytest.mark.core
def test_three_hops_are_one_trace(world: World) -> None:
    _, spans = world.make(mesh.plain())
    assert len({span.trace_id for span in spans}) == 1
    assert spans[0].parent_span_id == ""
    for outer, inner in zip(spans, spans[1:], strict=False):
        assert inner.parent_span_id == outer.span_id
        assert outer.start <= inner.start <= inner.end
        # The clocks of two Envoys on one machine are one clock.
        assert inner.end <= outer.end + 5_000_000


@pytest.mark.core
@pytest.mark.parametrize("wish", [mesh.with_w3c_parent, mesh.with_b3_single, mesh.with_b3_multi])
def test_a_parent_of_every_format_is_continued(world: World, wish: object) -> None:
    wanted: Wish = wish()  # type: ignore[operator]
    _, spans = world.make(wanted)
    assert wanted.parent is not None
    assert spans[0].parent_span_id == wanted.parent.span_id


def test_an_unsampled_parent_gives_logs_and_no_spans(world: World) -> None:
    parent = Parent.new()
    wish = Wish(
        "unsampled", "/checkout", mesh.CHAIN, headers=(parent.traceparent("00"),), sampled=False
    )
    made = world.mesh.driver.get(wish)
    received = world.mesh.settle(world.collector.telemetry, collector=world.collector)
    logs = received.logs_of_request(made.mark or "")
    assert {record.trace_id for record in logs} == {parent.trace_id}
    assert {record.flags & 1 for record in logs} == {0}


@pytest.mark.core
def test_a_server_span_follows_the_conventions(world: World) -> None:
    wish = mesh.plain(query="?color=red")
    _, spans = world.make(
        Wish(wish.label, wish.path, wish.hops, headers=(("user-agent", "rig/1"),))
    )
    span = spans[0]
    attributes = span.attributes
    assert span.name == "GET"
    assert span.kind == SERVER
    assert attributes["http.request.method"] == "GET"
    assert attributes["url.scheme"] == "http"
    assert attributes["url.path"] == "/checkout"
    assert attributes["url.query"].startswith("color=red&request=")
    assert attributes["server.address"] == "127.0.0.1"
    assert attributes["server.port"] == world.mesh.frontend.inbound
    assert attributes["http.response.status_code"] == 200
    assert attributes["network.protocol.version"] == "1.1"
    assert attributes["user_agent.original"] == "rig/1"
    assert attributes["client.address"] == "127.0.0.1"
    assert attributes["network.peer.address"] == "127.0.0.1"
    assert isinstance(attributes["network.peer.port"], int)
    assert "url.full" not in attributes
    assert "error.type" not in attributes
    assert span.resource["service.name"] == "frontend"
    assert span.scope == "spanmesh-filter"
    assert span.scope_version
    assert span.schema_url.startswith("https://opentelemetry.io/schemas/")


@pytest.mark.core
def test_a_client_span_follows_the_conventions(world: World) -> None:
    _, spans = world.make(mesh.plain())
    span = spans[1]
    attributes = span.attributes
    assert span.name == "GET"
    assert span.kind == CLIENT
    assert attributes["http.request.method"] == "GET"
    assert attributes["url.full"].startswith("http://cart/items?request=")
    assert attributes["server.address"] == "cart"
    assert attributes["server.port"] == 80
    assert attributes["http.response.status_code"] == 200
    assert attributes["network.peer.address"] == "127.0.0.1"
    assert attributes["network.peer.port"] == world.mesh.cart.inbound
    assert "url.path" not in attributes


def test_4xx_is_an_error_of_the_client_only(world: World) -> None:
    _, spans = world.make(mesh.plain("4xx", "?fail=404", status=404))
    assert [span.status for span in spans] == [UNSET, ERROR, UNSET, ERROR, UNSET]
    assert [span.attributes.get("error.type") for span in spans] == [None, "404", None, "404", None]


def test_5xx_is_an_error_of_both(world: World) -> None:
    _, spans = world.make(mesh.plain("5xx", "?fail=500", status=500))
    assert {span.status for span in spans} == {ERROR}
    assert {span.attributes["error.type"] for span in spans} == {"500"}
    assert {span.status_message for span in spans} == {""}


@pytest.mark.core
def test_an_upstream_reset_is_an_error_with_its_reason(world: World) -> None:
    _, spans = world.make(mesh.plain("reset", "?reset=1", status=503))
    innermost = spans[-1]
    assert innermost.status == ERROR
    assert innermost.attributes["http.response.status_code"] == 503
    assert innermost.attributes["error.type"]


def test_a_slow_request_has_a_long_span(world: World) -> None:
    _, spans = world.make(mesh.plain("slow", "?delay_ms=300"))
    for span in spans:
        assert 300e6 <= span.end - span.start < 15e9


@pytest.mark.core
@pytest.mark.parametrize(
    ("code", "name", "server"),
    [(0, "OK", UNSET), (5, "NOT_FOUND", UNSET), (14, "UNAVAILABLE", ERROR), (2, "UNKNOWN", ERROR)],
)
def test_grpc_follows_the_conventions(world: World, code: int, name: str, server: int) -> None:
    wish = mesh.grpc_call(status=code)
    _, spans = world.make(wish, want=None if code == 0 else name)
    client, answering = spans
    for span in spans:
        assert span.name == "demo.v1.Inventory/Reserve"
        assert span.attributes["rpc.system.name"] == "grpc"
        assert span.attributes["rpc.method"] == "demo.v1.Inventory/Reserve"
        assert span.attributes["rpc.response.status_code"] == name
        assert span.attributes["network.protocol.version"] == "2"
    assert client.status == (UNSET if code == 0 else ERROR)
    assert answering.status == server
    assert client.attributes.get("error.type") == (None if code == 0 else name)


def test_a_method_outside_the_list_is_named_other(world: World) -> None:
    # The service knows GET and POST only, and answers 501.
    wish = Wish("method", "/checkout", (Hop("frontend", SERVER),), method="PROPFIND", status=501)
    _, spans = world.make(wish)
    span = spans[0]
    assert span.name == "HTTP"
    assert span.attributes["http.request.method"] == "_OTHER"
    assert span.attributes["http.request.method_original"] == "PROPFIND"


def test_secrets_in_the_query_are_redacted(world: World) -> None:
    _, spans = world.make(mesh.plain("redacted", "?sig=topsecret&color=red"))
    assert "sig=REDACTED&color=red" in spans[0].attributes["url.query"]
    assert "sig=REDACTED&color=red" in spans[1].attributes["url.full"]


@pytest.mark.core
def test_headers_that_are_not_utf8_do_no_harm(world: World) -> None:
    wish = Wish(
        "not UTF-8",
        "/checkout",
        mesh.CHAIN,
        headers=(("user-agent", "caf\xe9\xff"), ("tracestate", "\xff=\xff")),
    )
    _, spans = world.make(wish)
    assert spans[0].attributes["user_agent.original"].startswith("caf")
