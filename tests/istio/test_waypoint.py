"""A waypoint, which no Envoy here can run: what Istio's control plane would give it."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from rig import chart
from rig.istio import manifests, workloads
from rig.istio.control_plane import ControlPlane, http_filters
from rig.istio.manifests import Object, of_kind
from rig.istio.proxy import COLLECTOR_CLUSTER
from rig.istio.workloads import WAYPOINT
from rig.process import Run

INSIDE = {
    "main_internal inbound-vip|8080|http|cart.shop.svc.cluster.local",
    "main_internal direct-http",
}
"""The filter chains for what is in the tunnels."""

GATEWAY = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "waypoint"}
CLASS = {"group": "gateway.networking.k8s.io", "kind": "GatewayClass", "name": "istio-waypoint"}


def ambient() -> list[Object]:
    """Return a namespace with a service behind a waypoint, as Istio's ambient mode makes it."""
    where = {"name": "waypoint", "namespace": "shop"}
    port = {"appProtocol": "hbone", "name": "mesh", "port": 15008}
    service = workloads.service("cart", "shop", 8080)
    service["metadata"]["labels"] = {"istio.io/use-waypoint": "waypoint"}
    return [
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": where,
            "spec": {
                "gatewayClassName": "istio-waypoint",
                "listeners": [{"name": "mesh", "port": 15008, "protocol": "HBONE"}],
            },
            "status": {
                "addresses": [{"type": "Hostname", "value": "waypoint.shop.svc.cluster.local"}]
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {**where, "labels": WAYPOINT.labels},
            "spec": {
                "clusterIP": "10.96.3.1",
                "ports": [port],
                "selector": {"gateway.networking.k8s.io/gateway-name": "waypoint"},
            },
        },
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "WorkloadEntry",
            "metadata": {"name": "waypoint-a", "namespace": "shop"},
            "spec": {"address": WAYPOINT.ip, "labels": WAYPOINT.labels},
        },
        service,
    ]


def plugin(**target: Any) -> Object:
    """Return the repository's WasmPlugin, for a target."""
    found = deepcopy(of_kind(manifests.documents("wasmplugin"), "WasmPlugin"))
    if target:
        found["metadata"]["namespace"] = target.pop("namespace")
        found["spec"]["targetRefs"] = [target]
    return found


def serve(run: Run, *objects: Object) -> ControlPlane:
    """Start a control plane for the base, the service behind a waypoint, and more."""
    base = [workloads.PLAINTEXT, *manifests.known_to_istio(manifests.documents("base"))]
    return ControlPlane(run, [*base, *ambient(), *objects], ambient=True)


@pytest.mark.parametrize(
    "target",
    [
        pytest.param({**GATEWAY, "namespace": "shop"}, id="Gateway"),
        pytest.param({**CLASS, "namespace": workloads.ROOT_NAMESPACE}, id="GatewayClass"),
    ],
)
def test_a_plugin_with_a_target_is_where_requests_are_read(
    run: Run, target: dict[str, str]
) -> None:
    found = http_filters(serve(run, plugin(**target)), WAYPOINT)
    # Not where tunnels end, which is before the requests in them are read.
    tunnel = found.pop("connect_terminate default")
    assert "spanmesh" not in tunnel
    assert set(found) == INSIDE
    for names in found.values():
        assert names[0] == "spanmesh"
        assert names.count("spanmesh") == 1


def test_a_plugin_without_a_target_is_nowhere(run: Run) -> None:
    found = http_filters(serve(run, plugin()), WAYPOINT)
    assert found
    assert not any("spanmesh" in names for names in found.values())


def kustomized(run: Run, way: str) -> list[Object]:
    above = Path("../../istio")
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [str(above / way)],
        "components": [str(above / "components" / "to-waypoints")],
    }
    run.write("kustomization.yaml", yaml.safe_dump(kustomization))
    return chart.kustomized(run.directory)


def rendered(api: str) -> list[Object]:
    values = [chart.EXAMPLES / "waypoints" / "values.yaml"]
    sets = [f"filter.api={api}", f"filter.module.sha256={'1' * 64}"]
    return chart.objects(chart.rendered(values, sets=sets))


@pytest.mark.parametrize("way", ["WasmPlugin", "TrafficExtension", "EnvoyFilter"])
@pytest.mark.parametrize("what", ["component", "chart"])
def test_each_way_brings_the_filter_and_the_collectors_cluster(
    run: Run, what: str, way: str
) -> None:
    found = kustomized(run, way.lower()) if what == "component" else rendered(way)
    objects = [workloads.PLAINTEXT, *ambient(), *manifests.known_to_istio(found)]
    control_plane = ControlPlane(run, objects, ambient=True)
    assert COLLECTOR_CLUSTER in clusters(control_plane)
    filters = http_filters(control_plane, WAYPOINT)
    assert {name for name, names in filters.items() if "spanmesh" in names} == INSIDE


def test_without_a_reference_there_is_no_cluster(run: Run) -> None:
    control_plane = serve(run, plugin(**{**CLASS, "namespace": workloads.ROOT_NAMESPACE}))
    assert COLLECTOR_CLUSTER not in clusters(control_plane)


def clusters(control_plane: ControlPlane) -> set[str]:
    """Return the names of the waypoint's clusters."""
    return {one["name"] for one in control_plane.resources("clusters", WAYPOINT.node())}
