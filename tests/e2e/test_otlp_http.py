"""The filter's export over OTLP/HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rig import http, mesh
from rig.collector import Collector, Ports
from rig.http_sink import HttpBehaviour, HttpSink
from rig.mesh import Solo, alone
from rig.process import Run, wait_for

HTTP = mesh.plugin(exporter={"protocol": "http", "headers": {"x-tenant": "shop"}})


@pytest.fixture
def http_sink() -> Iterator[HttpSink]:
    with HttpSink() as started:
        yield started


def solo_with(run: Run, sink: HttpSink, **options: object) -> Solo:
    return Solo(run, collector=sink.port, configuration=HTTP, collector_protocol="http1", **options)


def test_the_collector_takes_records_over_http(run: Run) -> None:
    ports = Ports.free()
    collector = Collector(run, ports=ports)
    solo = Solo(run, collector=ports.http, configuration=HTTP)
    solo.driver.load([alone() for _ in range(50)])
    solo.settle(collector.telemetry, collector=collector)
    histogram = "spanmesh_exports_latency_ms_count"
    assert histogram in http.request(solo.envoy.admin, "/stats/prometheus").text


@pytest.mark.core
def test_requests_carry_the_headers_of_the_document_and_of_the_environment(
    run: Run, http_sink: HttpSink
) -> None:
    environment = {"OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20t,x-tenant=other"}
    solo = solo_with(run, http_sink, environment=environment)
    solo.driver.load([alone() for _ in range(5)])
    solo.settle(http_sink.telemetry)
    for headers in http_sink.headers:
        assert headers["x-tenant"] == "shop"
        assert headers["authorization"] == "Bearer t"
        assert headers["user-agent"].startswith("spanmesh-filter/")
        assert headers["host"] == "spanmesh-collector"


@pytest.mark.parametrize(
    "behaviour",
    [
        HttpBehaviour(status=503, retry_after=1),
        HttpBehaviour(status=429),
        HttpBehaviour(close=True),
    ],
)
def test_a_passing_failure_is_retried(
    run: Run, http_sink: HttpSink, behaviour: HttpBehaviour
) -> None:
    solo = solo_with(run, http_sink)
    http_sink.behaviour = behaviour
    solo.driver.load([alone() for _ in range(10)])
    wait_for(lambda: solo.envoy.filter_stats().spans.retried > 0, "the filter tried again")
    http_sink.behaviour = HttpBehaviour()
    solo.settle(http_sink.telemetry, timeout=60)


def test_a_refusal_for_good_is_counted_and_its_reason_logged(run: Run, http_sink: HttpSink) -> None:
    solo = solo_with(run, http_sink)
    http_sink.behaviour = HttpBehaviour(status=400)
    solo.driver.load([alone() for _ in range(10)])
    wait_for(lambda: solo.envoy.filter_stats().logs.dropped == 10, "the filter gave up")
    wait_for(lambda: solo.envoy.filter_stats().spans.dropped == 10, "the filter gave up")
    solo.settle(http_sink.telemetry, lossy=True, timeout=1)
    assert 'HTTP status 400 (it says "told to fail by the test")' in solo.envoy.log
