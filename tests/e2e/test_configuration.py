"""Configurations: read, updated under load, refused. Traffic is never hurt by one."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from rig import mesh
from rig.bootstrap import Filter
from rig.mesh import Solo, alone
from rig.process import Run, wait_for
from rig.programs import filter_module
from rig.sink import Sink

BAD = [
    pytest.param({"expoter": {}}, "expoter", id="unknown-key"),
    pytest.param({"batch": {"intervall": "1s"}}, "batch.intervall", id="unknown-inner-key"),
    pytest.param({"batch": {"max_records": "many"}}, "batch.max_records", id="wrong-type"),
    pytest.param({"batch": {"interval": "soon"}}, "batch.interval", id="not-a-duration"),
    pytest.param({"sampler": {"ratio": 1.5}}, "sampler.ratio", id="out-of-range"),
    pytest.param({"propagators": ["b4"]}, "propagators", id="unknown-propagator"),
    pytest.param({"exporter": {"clusters": [""]}}, "exporter.clusters", id="empty-cluster"),
    pytest.param("{not json", "pluginConfig", id="no-json"),
]


def generation(number: int) -> dict[str, Any]:
    """Return a configuration that shows in every record."""
    return mesh.plugin(resource_attributes={"generation": str(number)})


@pytest.mark.parametrize(("configuration", "named"), BAD)
def test_a_bad_first_configuration_lets_traffic_pass(
    run: Run, sink: Sink, configuration: dict[str, Any] | str, named: str
) -> None:
    solo = Solo(run, collector=sink.port, configuration=configuration)
    made = solo.driver.load([alone(headers=(("b3", "0"),)) for _ in range(10)])
    assert [one.status for one in made] == [200] * 10
    assert named in solo.envoy.log
    wait_for(lambda: solo.envoy.filter_stats().config_rejected > 0, "the gauge was set")
    time.sleep(0.5)
    assert not sink.telemetry().spans
    assert not sink.telemetry().logs


def test_a_bad_configuration_beside_a_good_one_of_the_same_name(run: Run, sink: Sink) -> None:
    # Envoy reads all static listeners before it starts, and ends if one of them is refused.
    bad = Filter(filter_module(), {"expoter": {}})
    solo = Solo(run, collector=sink.port, outbound_filter=bad)
    solo.driver.load([alone() for _ in range(5)])
    solo.settle(sink.telemetry)
    wait_for(lambda: solo.envoy.filter_stats().config_rejected > 0, "the gauge was set")
    assert "expoter" in solo.envoy.log


# Envoy takes each of these for a protobuf message when it is given as the target of a call.
@pytest.mark.parametrize("name", ["ingestion", "envoy", "mimir", "a" * 125])
def test_any_name_of_a_cluster_works(run: Run, sink: Sink, name: str) -> None:
    configuration = mesh.plugin(exporter={"clusters": [name]})
    solo = Solo(run, collector=sink.port, configuration=configuration, collector_cluster=name)
    solo.driver.load([alone() for _ in range(5)])
    solo.settle(sink.telemetry)


@pytest.mark.parametrize("name", ["missing", "outbound|4317||missing"])
def test_a_cluster_that_envoy_does_not_have_keeps_the_records(
    run: Run, sink: Sink, name: str
) -> None:
    configuration = mesh.plugin(exporter={"clusters": [name]})
    solo = Solo(run, collector=sink.port, configuration=configuration)
    made = solo.driver.load([alone() for _ in range(5)])
    assert [one.status for one in made] == [200] * 5
    wait_for(lambda: name in solo.envoy.log, "the log named the cluster")
    wait_for(lambda: solo.envoy.filter_stats().spans.queued == 5, "the spans waited")


def test_a_bad_first_configuration_by_discovery_lets_traffic_pass(run: Run, sink: Sink) -> None:
    solo = Solo(run, collector=sink.port, configuration={"expoter": {}}, delivery="ecds")
    assert [m.status for m in solo.driver.load([alone() for _ in range(5)])] == [200] * 5
    assert "expoter" in solo.envoy.log
    # And a good one afterwards is taken.
    solo.driver.made.clear()
    solo.update(mesh.plugin())
    wait_for(lambda: solo.envoy.update_counts()[0] >= 2, "the update was taken")
    solo.driver.load([alone() for _ in range(5)])
    solo.settle(sink.telemetry)
    wait_for(lambda: solo.envoy.filter_stats().config_rejected == 0, "the gauge was reset")


@pytest.mark.parametrize(("configuration", "named"), BAD)
def test_a_bad_update_leaves_the_old_configuration(
    run: Run, sink: Sink, configuration: dict[str, Any] | str, named: str
) -> None:
    solo = Solo(run, collector=sink.port, configuration=generation(1), delivery="ecds")
    solo.driver.load([alone() for _ in range(5)])
    solo.update(configuration)
    wait_for(lambda: solo.envoy.update_counts()[1] >= 1, "the update was refused")
    solo.driver.load([alone() for _ in range(5)])
    received = solo.settle(sink.telemetry)
    assert {span.resource["generation"] for span in received.spans} == {"1"}
    assert named in solo.envoy.log


@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", ["ecds", "lds"])
@pytest.mark.parametrize("updates", [4, pytest.param(60, marks=pytest.mark.soak)])
def test_an_update_under_load_loses_nothing(run: Run, sink: Sink, how: str, updates: int) -> None:
    options: dict[str, Any] = {"delivery": "ecds"} if how == "ecds" else {"listeners": "lds"}
    solo = Solo(run, collector=sink.port, configuration=generation(0), **options)
    enough = threading.Event()

    def load() -> None:
        while not enough.is_set():
            solo.driver.load([alone() for _ in range(8)], workers=2)

    loading = threading.Thread(target=load)
    loading.start()
    try:
        for number in range(1, updates + 1):
            time.sleep(0.7)
            before = solo.envoy.update_counts()[0]
            solo.update(generation(number))
            wait_for(
                lambda before=before: solo.envoy.update_counts()[0] > before,
                "the update was taken",
            )
        time.sleep(0.7)
    finally:
        enough.set()
        loading.join()
    received = solo.settle(sink.telemetry)
    seen = {span.resource["generation"] for span in received.spans}
    assert seen == {str(number) for number in range(updates + 1)}


def test_an_empty_configuration_works(run: Run, sink: Sink) -> None:
    # The default cluster is Istio's, which is not here: nothing arrives, and no request fails.
    solo = Solo(run, collector=sink.port, configuration={})
    assert [m.status for m in solo.driver.load([alone() for _ in range(5)])] == [200] * 5
    wait_for(lambda: solo.envoy.filter_stats().spans.emitted == 5, "five spans were counted")
    assert solo.envoy.filter_stats().config_rejected == 0


def test_the_environment_is_below_the_document(run: Run, sink: Sink) -> None:
    environment = {
        "OTEL_SERVICE_NAME": "named-by-environment",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test,team=blue",
        "OTEL_PROPAGATORS": "b3",
    }
    solo = Solo(
        run,
        collector=sink.port,
        configuration=mesh.plugin(service={"name": "inventory"}),
        environment=environment,
    )
    solo.driver.get(alone())
    received = solo.settle(sink.telemetry)
    resource = received.spans[0].resource
    assert resource["service.name"] == "inventory"
    assert resource["deployment.environment.name"] == "test"
    assert resource["team"] == "blue"
