"""The module on its way through Istio's agent: fetched, checked, loaded, replaced."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rig import accounting
from rig.collector import Collector
from rig.driver import Driver, Hop, Wish
from rig.istio import manifests, workloads
from rig.istio.agent import AgentProxy
from rig.istio.control_plane import ControlPlane
from rig.istio.manifests import Object, of_kind, with_module, with_strategy
from rig.istio.mesh import ADDRESSES, QUICK
from rig.istio.modules import WebServer, another, image
from rig.istio.proxy import RECONNECTED
from rig.istio.traffic import Traffic
from rig.istio.workloads import Workload
from rig.mesh import Deployment, start_service_on
from rig.ports import free_port
from rig.process import Run, wait_for
from rig.programs import filter_module
from rig.records import SERVER
from rig.registry import Registry

pytestmark = pytest.mark.usefixtures("pod_network")

IMAGE = "spanmesh/filter"
KINDS = ("WasmPlugin", "TrafficExtension", "EnvoyFilter")
"""What a module is loaded by, each in a folder of its name."""
WITH_FILTER = Wish("with the filter", "/stock", (Hop("inventory", SERVER),))
WITHOUT_FILTER = Wish("without the filter", "/stock", ())
DENIED = Wish("denied", "/stock", (), status=403)


class Pod(Deployment):
    """The inventory behind a sidecar with its agent, and a registry with the module."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.registry = Registry(run)
        self.digest = self.push("1", filter_module())
        self.collector = Collector(run)
        self.workload = Workload("inventory", "shop", ADDRESSES[0], 8081, app=free_port())
        start_service_on(run, "inventory", self.workload.app)
        self.driver = Driver(self.workload.port, address=self.workload.ip)

    def push(self, version: str, module: Path) -> str:
        """Publish the image of a module as `make push` does; return its manifest's digest."""
        layout, digest = image(self._run, module, version)
        pushed = self.registry.push(layout, f"{IMAGE}:{version}")
        assert pushed.endswith(f"@sha256:{digest}")
        return digest

    def url(self, image: str = f"{IMAGE}:1") -> str:
        """Return what a plugin names an image by."""
        return f"oci://{self.registry.reference(image)}"

    def start(self, plugin: Object, *, refused: bool = False) -> None:
        """Start control plane and agent. `refused`: whether Envoy refuses the module."""
        self.control_plane = ControlPlane(self._run, self._cluster(plugin))
        self.proxy = AgentProxy(self._run, self.workload, discovery=self.control_plane.port)
        self.envoys = [self.proxy]
        if refused:
            self.proxy.wait_ready()
            refusals = self.proxy.rejected
            wait_for(lambda: bool(refusals()), "Envoy has refused the module", RECONNECTED)
        else:
            self.proxy.wait_configured()

    def apply(self, plugin: Object) -> None:
        """Give the mesh another plugin."""
        self.control_plane.apply(self._cluster(plugin))

    def _cluster(self, plugin: Object) -> list[Object]:
        ports = {"grpc-otlp": self.collector.ports.grpc}
        return [
            workloads.PLAINTEXT,
            *manifests.known_to_istio([*manifests.documents("base"), plugin]),
            workloads.endpoints("spanmesh-collector", "observability", ports, ["127.0.0.1"]),
            *self.workload.objects(),
        ]

    def plugin(
        self,
        url: str | None = None,
        sha256: str | None = None,
        strategy: str = "FAIL_OPEN",
        kind: str = "WasmPlugin",
    ) -> Object:
        """Return the repository's object of a kind, with this module."""
        shipped = of_kind(manifests.documents(kind.lower()), kind)
        found = with_module(shipped, url or self.url(), sha256, **QUICK)
        return with_strategy(found, strategy)

    def account(self, *, replaced: bool = False) -> None:
        """Take the account of the requests so far."""
        self.settle(self.collector.telemetry, collector=self.collector, replaced=replaced)


@pytest.fixture
def pod(run: Run) -> Pod:
    """Give a test a pod whose agent it still has to start."""
    return Pod(run)


def loaded(pod: Pod) -> None:
    """Check that requests have their records, and that nothing stands in for the filter."""
    pod.proxy.wait_for_extension("Wasm")
    for _ in range(3):
        assert pod.driver.get(WITH_FILTER).status == 200
    pod.account()


def test_an_image_is_fetched_and_loaded(pod: Pod) -> None:
    pod.start(pod.plugin())
    loaded(pod)
    assert pod.proxy.conversions() == {"success": 1}


@pytest.mark.parametrize("kind", KINDS)
def test_the_digest_is_the_manifests(pod: Pod, kind: str) -> None:
    pod.start(pod.plugin(sha256=pod.digest, kind=kind))
    loaded(pod)
    assert pod.proxy.conversions() == {"success": 1}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_fetched_from_a_web_server_once(run: Run, pod: Pod, kind: str) -> None:
    server = WebServer(run, filter_module().read_bytes())
    pod.start(pod.plugin(server.url, kind=kind))
    loaded(pod)
    assert server.served == 1


def test_a_module_that_envoy_cannot_load_behind_an_envoy_filter(run: Run, pod: Pod) -> None:
    """With a WasmPlugin each request would get 500: Istio gives no filter that stands in there."""
    # The agent looks at how it begins, Envoy at all of it.
    server = WebServer(run, filter_module().read_bytes()[:8] + b"nothing that V8 knows")
    pod.start(pod.plugin(server.url, kind="EnvoyFilter"), refused=True)
    assert pod.proxy.conversions() == {"success": 1}
    for _ in range(3):
        assert pod.driver.get(WITHOUT_FILTER).status == 200
    pod.account()


@dataclass(frozen=True)
class Failure:
    """A module that cannot be had, and what comes of it."""

    name: str
    plugin: dict[str, Any] = field(default_factory=dict)
    image: str = f"{IMAGE}:1"
    up: bool = True
    """Whether the registry is there."""
    fetch: str = "manifest_failure"
    """What the agent's metric of downloads says."""


FAILURES = [
    Failure("wrong digest", {"sha256": "0" * 64}, fetch="checksum_mismatched"),
    Failure("missing image", image="spanmesh/missing:1"),
    Failure("unreachable registry", up=False),
]


@pytest.mark.parametrize("strategy", ["FAIL_OPEN", "FAIL_CLOSE", "FAIL_RELOAD"])
@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.name)
@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_fetched(pod: Pod, kind: str, failure: Failure, strategy: str) -> None:
    if not failure.up:
        pod.registry.stop()
    url = pod.url(failure.image)
    pod.start(pod.plugin(url, strategy=strategy, kind=kind, **failure.plugin))
    pod.proxy.wait_for_extension("RBAC")
    assert pod.proxy.conversions() == {"fetch_failure": 1}
    assert pod.proxy.fetches() == {failure.fetch: 1}
    wish = WITHOUT_FILTER if strategy == "FAIL_OPEN" else DENIED
    for _ in range(3):
        assert pod.driver.get(wish).status == wish.status
    pod.account()


def test_a_registry_that_comes_back_is_asked_at_the_next_push(pod: Pod) -> None:
    pod.registry.stop()
    pod.start(pod.plugin())
    pod.proxy.wait_for_extension("RBAC")
    assert pod.driver.get(WITHOUT_FILTER).status == 200
    pod.registry.start()
    pod.push("1", filter_module())
    changed = pod.plugin()
    changed["spec"]["pluginConfig"]["capture"] = {"request_headers": ["x-next"]}
    pod.apply(changed)
    loaded(pod)


def test_a_registry_that_comes_back_is_asked_when_the_agent_connects_anew(pod: Pod) -> None:
    pod.registry.stop()
    pod.start(pod.plugin())
    pod.proxy.wait_for_extension("RBAC")
    assert pod.driver.get(WITHOUT_FILTER).status == 200
    pod.registry.start()
    pod.push("1", filter_module())
    pod.control_plane.process.stop()
    pod.control_plane.start()
    loaded(pod)


def test_a_new_configuration_under_load(pod: Pod) -> None:
    pod.start(pod.plugin(sha256=pod.digest))
    pod.proxy.wait_for_extension("Wasm")
    with Traffic(pod.driver, WITH_FILTER) as traffic:
        traffic.more()
        for name in ("x-first", "x-second"):
            changed = pod.plugin(sha256=pod.digest)
            changed["spec"]["pluginConfig"]["capture"] = {"request_headers": [name]}
            pod.apply(changed)
            wait_for(
                lambda name=name: name in pod.proxy.configuration(), "it is there", RECONNECTED
            )
            traffic.more()
    # The agent leaves out of the VM's configuration what Istio changes with each version, so the
    # VM stays, and with it every count.
    pod.account()
    assert pod.proxy.fetches() == {"success": 1}


def test_a_new_module_by_its_digest_under_load(run: Run, pod: Pod) -> None:
    pod.start(pod.plugin(sha256=pod.digest))
    pod.proxy.wait_for_extension("Wasm")
    newer = pod.push("2", another(run, filter_module()))
    assert newer != pod.digest
    before = pod.proxy.configuration()
    with Traffic(pod.driver, WITH_FILTER) as traffic:
        traffic.more()
        pod.apply(pod.plugin(pod.url(f"{IMAGE}:2"), newer))
        wait_for(
            lambda: modules(pod.proxy.configuration()) != modules(before),
            "it is loaded",
            RECONNECTED,
        )
        traffic.more()
    pod.account(replaced=True)


def modules(configuration: str) -> set[str]:
    """Return the files that a configuration loads."""
    return {word for word in configuration.split('"') if word.endswith(".wasm")}


@pytest.mark.parametrize("strategy", ["FAIL_OPEN", "FAIL_CLOSE"])
def test_a_failing_download_after_a_good_one(pod: Pod, strategy: str) -> None:
    pod.start(pod.plugin(strategy=strategy))
    loaded(pod)
    pod.apply(pod.plugin(pod.url("spanmesh/missing:1"), strategy=strategy))
    pod.proxy.wait_for_extension("RBAC")
    wish = WITHOUT_FILTER if strategy == "FAIL_OPEN" else DENIED
    for _ in range(3):
        assert pod.driver.get(wish).status == wish.status
    # And back: what was fetched before is not fetched again. With the last VM its statistics went.
    fetched = pod.proxy.fetches()
    pod.apply(pod.plugin(strategy=strategy))
    pod.proxy.wait_for_extension("Wasm")
    for _ in range(3):
        assert pod.driver.get(WITH_FILTER).status == 200
    made = pod.driver.made
    received = accounting.wait_for_records(made, pod.collector.telemetry)
    accounting.take(made, received, collector=pod.collector.metrics()).check()
    assert pod.proxy.filter_stats().spans.emitted == 3
    assert pod.proxy.fetches() == fetched
