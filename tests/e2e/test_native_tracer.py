"""A tracer of Envoy's own beside the filter: it overwrites the headers, and the filter says so."""

from __future__ import annotations

from typing import Any

import pytest
from rig import http, mesh
from rig.bootstrap import COLLECTOR_CLUSTER, any_of
from rig.driver import Made
from rig.mesh import Solo, alone
from rig.process import Run, wait_for
from rig.sink import Sink

WARNING = "is overwritten after this filter"


def tracing(**more: Any) -> dict[str, Any]:
    """Return the connection manager's fields for the native tracer.

    It samples nothing of its own, so that all spans at the sink are the filter's; it injects its
    context all the same.
    """
    tracer = any_of(
        "envoy.config.trace.v3.OpenTelemetryConfig",
        grpc_service={"envoy_grpc": {"cluster_name": COLLECTOR_CLUSTER}},
        service_name="native",
    )
    provider = {"name": "envoy.tracers.opentelemetry", "typed_config": tracer}
    return {"tracing": {"provider": provider, "random_sampling": {"value": 0}, **more}}


def ask(solo: Solo) -> tuple[Made, str]:
    """Make a request; return it and the `traceparent` that the service received."""
    wish = alone("headers", "/headers")
    mark, target = solo.driver.target(wish)
    answer = http.request(solo.envoy.inbound, target)
    received = {name.lower(): value for name, value in answer.json["headers"]}
    return solo.driver.note(wish, answer.status, mark), received.get("traceparent", "")


def overwritten(solo: Solo) -> int:
    return solo.envoy.raw_filter_stats()["propagation.overwritten"]


@pytest.mark.core
def test_a_native_tracer_overwrites_what_the_filter_wrote(run: Run, sink: Sink) -> None:
    solo = Solo(run, collector=sink.port, manager=tracing(), concurrency=1)
    made, received = ask(solo)
    [span] = solo.settle(sink.telemetry).of_request(made.mark or "")
    # The service is asked to continue a span that is not the filter's, and not sampled.
    assert span.span_id not in received
    assert received.endswith("-00")
    wait_for(lambda: overwritten(solo) == 1, "the filter noticed")
    assert solo.envoy.log.count(WARNING) == 1
    # One request after each tick is looked at, and the log has its line.
    solo.driver.load([alone() for _ in range(50)])
    solo.settle(sink.telemetry)
    wait_for(lambda: overwritten(solo) > 1, "the filter noticed again")
    assert overwritten(solo) < 50
    assert solo.envoy.log.count(WARNING) == 1


@pytest.mark.parametrize(
    ("configuration", "manager"),
    [
        pytest.param({}, {}, id="no-tracer"),
        pytest.param({"role": "gateway"}, {}, id="gateway"),
        pytest.param({"propagators": ["none"]}, tracing(), id="no-propagators"),
        # The native tracer knows no B3.
        pytest.param({"propagators": ["b3"]}, tracing(), id="b3"),
        pytest.param({"spans": {"enabled": False}}, tracing(), id="no-spans"),
    ],
)
def test_nothing_is_noticed_where_nothing_is_overwritten(
    run: Run, sink: Sink, configuration: dict[str, Any], manager: dict[str, Any]
) -> None:
    document = mesh.plugin(**configuration)
    solo = Solo(run, collector=sink.port, configuration=document, manager=manager)
    for path, status in [("/stock", 200), ("/stock?reset=1", 503), ("/stock?fail=500", 500)]:
        # The route's retries write nothing new.
        headers = (("x-envoy-retry-on", "5xx"), ("x-envoy-max-retries", "2"))
        for _ in range(3):
            solo.driver.get(alone(path=path, headers=headers, status=status))
    wait_for(lambda: len(sink.telemetry().logs) == 9, "the log records arrived")
    wait_for(lambda: solo.envoy.filter_stats().logs.queued == 0, "they were counted")
    assert overwritten(solo) == 0
    assert WARNING not in solo.envoy.log


def test_a_tracer_that_injects_nothing_may_stay(run: Run, sink: Sink) -> None:
    solo = Solo(run, collector=sink.port, manager=tracing(no_context_propagation=True))
    made, received = ask(solo)
    [span] = solo.settle(sink.telemetry).of_request(made.mark or "")
    assert received.split("-")[2] == span.span_id
    assert overwritten(solo) == 0
