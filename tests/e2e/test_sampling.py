"""Which requests are recorded: rules, limits, late keeps, and what is believed at a boundary."""

from __future__ import annotations

import http.client
import itertools
import threading
import time

import pytest
from rig import mesh
from rig.driver import Parent, Wish
from rig.mesh import Solo, alone
from rig.process import Run, wait_for
from rig.records import CLIENT, SERVER
from rig.sink import Sink


@pytest.mark.core
def test_rules_decide_in_order(run: Run, sink: Sink) -> None:
    rules = [
        {"match": {"path": "/stock/{item}"}, "decision": "always"},
        {"match": {"header": {"name": "x-tier", "value": "gold"}}, "decision": "always"},
        {"match": {"when": "request.headers['x-cel'] == 'yes'"}, "decision": "always"},
    ]
    solo = Solo(
        run,
        collector=sink.port,
        configuration=mesh.plugin(sampler={"ratio": 0, "rules": rules}),
    )
    solo.driver.load(
        [
            alone(path="/stock/7"),
            alone(headers=(("x-tier", "gold"),)),
            alone(headers=(("x-tier", "silver"),), sampled=False),
            # The third rule's condition holds here, and fails where the header is not there.
            alone(headers=(("x-cel", "yes"),)),
            alone(headers=(("x-cel", "no"),), sampled=False),
            alone(sampled=False),
        ]
    )
    received = solo.settle(sink.telemetry)
    assert {span.trace_state for span in received.spans} == {"ot=th:0"}
    stats = solo.envoy.raw_filter_stats()
    assert stats["expressions.failed"] >= 1
    assert stats["spans.sampled_out"] == 3
    assert solo.envoy.log.count("rules[2].match.when fails") >= 1


def test_a_health_check_leaves_no_span_and_untouched_headers(run: Run, sink: Sink) -> None:
    sampler = {
        "parent_based": False,
        "rules": [{"match": {"path": "/stock"}, "decision": "never"}],
    }
    solo = Solo(run, collector=sink.port, configuration=mesh.plugin(sampler=sampler))
    parents = [Parent.new() for _ in range(5)]
    solo.driver.load(
        [alone(headers=(one.traceparent(),), parent=one, sampled=False) for one in parents]
    )
    logs = solo.settle(sink.telemetry).logs
    assert {log.span_id for log in logs} == {parent.span_id for parent in parents}


def test_a_condition_that_is_no_cel_is_a_configuration_error(run: Run, sink: Sink) -> None:
    rules = [{"match": {"when": "request.path =="}, "decision": "never"}]
    solo = Solo(run, collector=sink.port, configuration=mesh.plugin(sampler={"rules": rules}))
    assert [made.status for made in solo.driver.load([alone()])] == [200]
    assert "sampler.rules[0].match.when: found" in solo.envoy.log


def test_a_route_names_the_servers_span(run: Run, sink: Sink) -> None:
    solo = Solo(
        run,
        collector=sink.port,
        configuration=mesh.plugin(spans={"routes": ["/stock/{item}"]}),
    )
    solo.driver.load([alone(path="/stock/7"), alone()])
    spans = solo.settle(sink.telemetry).spans
    assert sorted(span.name for span in spans) == ["GET", "GET /stock/{item}"]


@pytest.mark.parametrize("connections", [1, pytest.param(8, marks=pytest.mark.core)])
def test_a_limit_is_one_for_the_process(run: Run, sink: Sink, connections: int) -> None:
    limit, seconds = 40, 4.0
    solo = Solo(
        run,
        collector=sink.port,
        configuration=mesh.plugin(sampler={"max_per_second": limit}),
        concurrency=4,
    )
    answers: list[float] = []

    def ask(until: float) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", solo.envoy.inbound, timeout=30)
        while time.monotonic() < until:
            connection.request("GET", "/stock")
            connection.getresponse().read()
            answers.append(time.monotonic())

    began = time.monotonic()
    threads = [threading.Thread(target=ask, args=(began + seconds,)) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made, times = len(answers), sorted([began, *answers])
    # Without what a busy machine makes of it: the bucket holds a tenth of a second's tokens, and
    # what comes into it in a longer pause of the load is left out.
    loaded = sum(min(later - sooner, 0.1) for sooner, later in itertools.pairwise(times))
    assert made > 1.5 * limit * loaded, "the load is too light to tell"
    wait_for(lambda: len(sink.telemetry().logs) == made, "all log records arrived", 60)
    wait_for(lambda: solo.envoy.filter_stats().spans.queued == 0, "all spans were sent")
    stats = solo.envoy.filter_stats().spans
    kept = len(sink.telemetry().spans)
    assert stats.emitted == stats.sent == kept
    assert kept + stats.sampled_out == made
    assert limit * loaded * 0.9 <= kept <= limit * (times[-1] - began) * 1.1
    assert {span.trace_state for span in sink.telemetry().spans} == {""}


@pytest.mark.core
def test_errors_are_kept_although_their_trace_is_not_sampled(run: Run, sink: Sink) -> None:
    solo = Solo(run, collector=sink.port, configuration=mesh.plugin(keep={"errors": True}))

    def wish(**more: object) -> Wish:
        parent = Parent.new()
        header = ("traceparent", f"00-{parent.trace_id}-{parent.span_id}-00")
        return alone(headers=(header,), parent=parent, **more)

    solo.driver.load([wish(path="/stock?fail=500", status=500), wish(sampled=False)])
    [span] = solo.settle(sink.telemetry).spans
    assert span.attributes["spanmesh.kept"] == "error"
    assert span.flags & 1 == 0
    assert solo.envoy.raw_filter_stats()["spans.kept"] == 1


@pytest.mark.core
def test_a_boundary_restarts_traces(run: Run, sink: Sink) -> None:
    trust = [
        {"when": "request.headers['x-inside'] == 'yes'", "action": "continue"},
        {"action": "restart"},
    ]
    solo = Solo(run, collector=sink.port, configuration=mesh.plugin(trust=trust))
    inside, outside = Parent.new(), Parent.new()
    solo.driver.load(
        [
            alone(headers=(inside.traceparent(), ("x-inside", "yes")), parent=inside),
            # It begins a trace of its own.
            alone(headers=(outside.traceparent(), ("x-inside", "no"))),
        ]
    )
    spans = solo.settle(sink.telemetry).spans
    assert inside.trace_id in {span.trace_id for span in spans}
    assert outside.trace_id not in {span.trace_id for span in spans}


@pytest.mark.core
def test_a_gateway_has_both_sides(run: Run, sink: Sink) -> None:
    solo = Solo(run, collector=sink.port, configuration=mesh.plugin(role="gateway"))
    solo.driver.load([alone()])
    wait_for(lambda: len(sink.telemetry().spans) == 2, "both spans arrived")
    wait_for(lambda: len(sink.telemetry().logs) == 1, "the log record arrived")
    spans = {span.kind: span for span in sink.telemetry().spans}
    assert spans[CLIENT].parent_span_id == spans[SERVER].span_id
    assert spans[CLIENT].attributes["network.peer.port"] == solo.envoy.sidecar.app
    [record] = sink.telemetry().logs
    assert record.span_id == spans[SERVER].span_id
