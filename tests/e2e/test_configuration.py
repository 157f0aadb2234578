"""Configurations: read, updated under load, refused. Traffic is never hurt by one."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any, Literal

import pytest
import yaml
from rig import bootstrap, http, mesh
from rig.bootstrap import Filter, Sidecar
from rig.driver import Driver, Parent
from rig.envoy import Envoy, SidecarEnvoy
from rig.mesh import Deployment, Solo, alone, start_service
from rig.ports import free_port, listens
from rig.process import Run, wait_for
from rig.programs import filter_module
from rig.sink import Sink

BAD = {
    "no JSON": ("{not json", "", "a JSON object"),
    "not an object": ("[]", "", "an object"),
    "text after the object": ("{}x", "", "a JSON object"),
    "unknown key": ({"expoter": {}}, ".expoter", "the keys here are"),
    "unknown inner key": ({"batch": {"intervall": "1s"}}, ".batch.intervall", "the keys here are"),
    "not a section": ({"batch": []}, ".batch", "an object"),
    "wrong type": ({"batch": {"max_records": "many"}}, ".batch.max_records", "a whole number"),
    "fraction": ({"batch": {"max_records": 1.5}}, ".batch.max_records", "from 1 to 4096"),
    "not a duration": ({"batch": {"interval": "soon"}}, ".batch.interval", "a duration such as"),
    "out of range": ({"sampler": {"ratio": 1.5}}, ".sampler.ratio", "a probability"),
    "unknown name": ({"role": "server"}, ".role", "one of auto, inbound"),
    "unknown propagator": ({"propagators": ["b4"]}, ".propagators", "names out of tracecontext"),
    "not a list": ({"propagators": "b3"}, ".propagators", "a list of strings"),
    "empty name": ({"exporter": {"clusters": [""]}}, ".exporter.clusters", "not empty"),
    "reserved header": (
        {"exporter": {"headers": {"te": "x"}}},
        ".exporter.headers.te",
        "cannot be configured",
    ),
    "not a template": ({"spans": {"routes": ["/a/{"]}}, ".spans.routes", "{name} or {name*}"),
    "not CEL": ({"trust": [{"when": "1 +"}]}, ".trust[0].when", "CEL"),
    "wrong value": (
        {"resource_attributes": {"a": []}},
        ".resource_attributes.a",
        "a string, a number",
    ),
}
"""Each kind of mistake: the configuration, the path that the error has to name, and what it has to
say was expected."""


def refusal(log: str, kind: str) -> bool:
    """Whether Envoy's log says where the mistake is and what was expected, in one line."""
    _, path, expected = BAD[kind]
    return any(
        f" pluginConfig{path}: " in line and expected in line
        for line in log.splitlines()
        if "[error][wasm]" in line
    )


def generation(number: int) -> dict[str, Any]:
    """Return a configuration that shows in every record."""
    return mesh.plugin(resource_attributes={"generation": str(number)})


class Mistaken(Deployment):
    """An Envoy with an inbound listener for each kind of mistake, and the filter so in each."""

    def __init__(self, run: Run, sink: Sink, delivery: Literal["static", "ecds"]) -> None:
        self._run = run
        self._sidecar = Sidecar("inventory", start_service(run, "inventory"), None, sink.port)
        self.ports = {kind: free_port() for kind in BAD}
        self._files = {kind: run.directory / f"{port}.yaml" for kind, port in self.ports.items()}
        listeners = []
        for kind, (configuration, _, _) in BAD.items():
            loaded = Filter(filter_module(), configuration, delivery)
            self._publish(kind, loaded, "1")
            sidecar = replace(self._sidecar, filter=loaded)
            [listener, _] = bootstrap.listeners(
                sidecar, self.ports[kind], 0, {"spanmesh": self._files[kind]}
            )
            listeners.append({**listener, "name": f"inbound-{self.ports[kind]}"})
        admin = free_port()
        document = bootstrap.bootstrap(
            self._sidecar, inbound=0, outbound=0, admin=admin, lds=run.directory, ecds={}
        )
        document["static_resources"]["listeners"] = listeners
        self.envoy = Envoy(run, "mistaken", document, admin=admin, concurrency=1)
        self.envoy.wait_ready()
        self.envoys = [self.envoy]
        self.driver = Driver(0)

    def _publish(self, kind: str, loaded: Filter, version: str) -> None:
        resource = bootstrap.any_of(
            "envoy.config.core.v3.TypedExtensionConfig",
            name="spanmesh",
            typed_config=bootstrap.wasm_configuration(loaded),
        )
        document = {"version_info": version, "resources": [resource]}
        self._run.write(self._files[kind].name, yaml.safe_dump(document))

    def correct(self) -> None:
        """Give each listener's filter a good configuration."""
        for kind in BAD:
            self._publish(kind, Filter(filter_module(), mesh.plugin()), "2")

    def ask_each(self) -> None:
        """Make a request to each listener."""
        for port in self.ports.values():
            self.driver.port = port
            self.driver.get(alone())

    def check_that_all_pass_untouched(self, sink: Sink) -> None:
        for kind, port in self.ports.items():
            parent = Parent.new()
            headers = [parent.traceparent(), ("b3", "0")]
            answer = http.request(port, "/headers", headers=headers)
            assert answer.status == 200, kind
            received = {tuple(pair) for pair in answer.json["headers"]}
            assert set(headers) < received, kind
            wait_for(lambda kind=kind: refusal(self.envoy.log, kind), f"the log says: {kind}")
        # A worker's VM, and the main thread's.
        everywhere = 2 * len(BAD)
        wait_for(
            lambda: self.envoy.filter_stats().config_rejected == everywhere, "the gauge was set"
        )
        stats = self.envoy.raw_filter_stats()
        assert {name for name, value in stats.items() if value} == {"config.rejected"}
        assert sink.requests == 0


@pytest.mark.core
def test_a_bad_first_configuration_lets_traffic_pass(run: Run, sink: Sink) -> None:
    Mistaken(run, sink, "static").check_that_all_pass_untouched(sink)


@pytest.mark.core
def test_a_bad_first_configuration_by_discovery_lets_traffic_pass(run: Run, sink: Sink) -> None:
    mistaken = Mistaken(run, sink, "ecds")
    mistaken.check_that_all_pass_untouched(sink)
    # And a good one afterwards is taken.
    mistaken.correct()
    wait_for(lambda: mistaken.envoy.filter_stats().config_rejected == 0, "all were taken")
    mistaken.ask_each()
    mistaken.settle(sink.telemetry)


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


@pytest.mark.core
def test_a_bad_update_leaves_the_old_configuration(run: Run, sink: Sink) -> None:
    solo = Solo(run, collector=sink.port, configuration=generation(1), delivery="ecds")
    solo.driver.load([alone() for _ in range(5)])
    for refused, (kind, (configuration, _, _)) in enumerate(BAD.items(), 1):
        logged = len(solo.envoy.log)
        solo.update(configuration)
        wait_for(lambda least=refused: solo.envoy.update_counts()[1] >= least, "it was refused")
        wait_for(
            lambda at=logged, kind=kind: refusal(solo.envoy.log[at:], kind), f"the log says: {kind}"
        )
        solo.driver.load([alone() for _ in range(2)])
    received = solo.settle(sink.telemetry)
    assert {span.resource["generation"] for span in received.spans} == {"1"}
    # The old one runs, so this stays 0: what Envoy counts as rejected says it.
    assert solo.envoy.filter_stats().config_rejected == 0
    solo.update(generation(2))
    wait_for(lambda: solo.envoy.update_counts()[0] >= 2, "the update was taken")
    made = solo.driver.get(alone())
    received = solo.settle(sink.telemetry)
    [span] = received.of_request(made.mark or "")
    assert span.resource["generation"] == "2"


def test_a_bad_update_by_listener_discovery_leaves_the_old_configuration(
    run: Run, sink: Sink
) -> None:
    solo = Solo(run, collector=sink.port, configuration=generation(1), listeners="lds")
    solo.driver.load([alone() for _ in range(5)])
    solo.update(BAD["unknown key"][0])
    wait_for(lambda: solo.envoy.update_counts()[1] >= 1, "the update was refused")
    solo.driver.load([alone() for _ in range(5)])
    received = solo.settle(sink.telemetry)
    assert {span.resource["generation"] for span in received.spans} == {"1"}
    wait_for(lambda: refusal(solo.envoy.log, "unknown key"), "the log says so")


class Unloadable(Deployment):
    """An Envoy whose filter's module is no Wasm at all, as a broken download leaves it."""

    def __init__(self, run: Run, sink: Sink, **options: Any) -> None:
        broken = run.directory / "broken.wasm"
        broken.write_text("<html>404</html>")
        loaded = Filter(
            broken,
            mesh.plugin(),
            delivery=options.pop("delivery", "static"),
            failure_policy="FAIL_OPEN",
            otherwise_pass=options.pop("otherwise_pass", False),
        )
        app = start_service(run, "inventory")
        sidecar = Sidecar("inventory", app, loaded, sink.port, **options)
        self.envoy = SidecarEnvoy(run, sidecar, concurrency=1)
        self.envoys = [self.envoy]
        self.driver = Driver(self.envoy.inbound)

    def ask(self) -> int | None:
        """Make a request and return the status, if there is an answer."""
        try:
            return http.request(self.envoy.inbound, "/stock").status
        except ConnectionRefusedError:
            return None


@pytest.mark.core
def test_a_module_that_does_not_load_keeps_envoy_from_starting(run: Run, sink: Sink) -> None:
    broken = Unloadable(run, sink)
    assert broken.envoy.process.wait(60) == 1
    assert "Failed to load Wasm code" in broken.envoy.log


@pytest.mark.core
@pytest.mark.parametrize(
    ("options", "status"),
    [
        pytest.param({"listeners": "lds"}, None, id="lds"),
        pytest.param({"delivery": "ecds"}, 500, id="ecds"),
        pytest.param({"delivery": "ecds", "otherwise_pass": True}, 200, id="ecds-with-default"),
    ],
)
def test_what_a_module_that_does_not_load_costs(
    run: Run, sink: Sink, options: dict[str, Any], status: int | None
) -> None:
    broken = Unloadable(run, sink, **options)
    broken.envoy.wait_ready()
    wait_for(lambda: broken.envoy.update_counts()[1] >= 1, "the module was refused")
    assert broken.ask() == status
    # A module that loads ends it.
    current = broken.envoy.sidecar.filter
    assert current is not None
    broken.envoy.update_filter(replace(current, module=filter_module()))
    wait_for(lambda: broken.envoy.update_counts()[0] >= 1, "the update was taken")
    wait_for(lambda: listens(broken.envoy.inbound), "the listener was there")
    broken.driver.load([alone() for _ in range(5)])
    broken.settle(sink.telemetry)


@pytest.mark.parametrize("options", [{"listeners": "lds"}, {"delivery": "ecds"}])
def test_a_module_that_does_not_load_leaves_the_old_one(
    run: Run, sink: Sink, options: dict[str, Any]
) -> None:
    solo = Solo(run, collector=sink.port, **options)
    solo.driver.load([alone() for _ in range(5)])
    broken = run.directory / "broken.wasm"
    broken.write_text("<html>404</html>")
    current = solo.envoy.sidecar.filter
    assert current is not None
    solo.envoy.update_filter(replace(current, module=broken))
    wait_for(lambda: solo.envoy.update_counts()[1] >= 1, "the module was refused")
    solo.driver.load([alone() for _ in range(5)])
    solo.settle(sink.telemetry)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", [pytest.param("ecds", marks=pytest.mark.core), "lds"])
@pytest.mark.parametrize("updates", [4, pytest.param(60, marks=pytest.mark.soak)])
def test_an_update_under_load_loses_nothing(run: Run, sink: Sink, how: str, updates: int) -> None:
    options: dict[str, Any] = {"delivery": "ecds"} if how == "ecds" else {"listeners": "lds"}
    solo = Solo(run, collector=sink.port, configuration=generation(0), **options)
    enough = threading.Event()

    def seen() -> set[str]:
        return {span.resource["generation"] for span in sink.telemetry().spans}

    def load() -> None:
        while not enough.is_set():
            solo.driver.load([alone() for _ in range(8)], workers=2)

    loading = threading.Thread(target=load)
    loading.start()
    try:
        wait_for(lambda: "0" in seen(), "requests were made")
        for number in range(1, updates + 1):
            time.sleep(0.5)
            solo.update(generation(number))
            wait_for(lambda n=str(number): n in seen(), "the update was taken")
    finally:
        enough.set()
        loading.join()
    solo.settle(sink.telemetry)
    assert seen() == {str(number) for number in range(updates + 1)}


def test_an_empty_configuration_works(run: Run, sink: Sink) -> None:
    # The default cluster is Istio's, which is not here: nothing arrives, and no request fails.
    solo = Solo(run, collector=sink.port, configuration={})
    assert [m.status for m in solo.driver.load([alone() for _ in range(5)])] == [200] * 5
    wait_for(lambda: solo.envoy.filter_stats().spans.emitted == 5, "five spans were counted")
    assert solo.envoy.filter_stats().config_rejected == 0


@pytest.mark.core
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
