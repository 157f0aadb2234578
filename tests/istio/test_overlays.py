"""The steps of a rollout, as Istio's control plane serves them: which proxies have the filter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from rig import chart
from rig.istio import manifests, workloads
from rig.istio.control_plane import ControlPlane, http_filters
from rig.istio.manifests import ISTIO, Object
from rig.istio.proxy import COLLECTOR_CLUSTER
from rig.istio.workloads import Workload
from rig.process import Run

SHOP = Workload("cart", "shop", "10.0.0.7", 8081)
CANARY = replace(SHOP, name="canary", ip="10.0.0.8", port=8082, labels={"spanmesh": "canary"})
OTHER = replace(SHOP, name="ledger", namespace="bank", ip="10.0.0.9", port=8083)
GATEWAY = Workload(
    "gateway", "istio-ingress", "10.0.0.10", 8090, kind="router", labels={"istio": "ingressgateway"}
)
ALL = {one.name: one for one in (SHOP, CANARY, OTHER, GATEWAY)}


WAYS = ("wasmplugin", "trafficextension", "envoyfilter")


def serve(run: Run, shipped: list[Object]) -> ControlPlane:
    return ControlPlane(
        run,
        [
            *manifests.known_to_istio(shipped),
            *(one for workload in ALL.values() for one in workload.objects()),
            *workloads.ingress(GATEWAY, SHOP),
        ],
    )


def check_places(control_plane: ControlPlane, with_filter: set[str]) -> None:
    """Check that these proxies have the filter, as the first one, and no others."""
    for name, workload in ALL.items():
        found = http_filters(control_plane, workload)
        assert found, name
        # In every chain or in none, and before everything that may reject a request.
        first = {names[0] == "spanmesh" for names in found.values()}
        assert first == {name in with_filter}, (name, found)
        assert all(names.count("spanmesh") <= 1 for names in found.values())
        clusters = {one["name"] for one in control_plane.resources("clusters", workload.node())}
        assert COLLECTOR_CLUSTER in clusters


@pytest.mark.parametrize(
    ("folder", "with_filter"),
    [
        ("overlays/canary-namespace", {"cart", "canary"}),
        ("overlays/canary-workloads", {"canary"}),
        ("overlays/canary-upgrade", set(ALL)),
        ("overlays/gateways", {"gateway"}),
        ("overlays/waypoints", set()),
        ("overlays/hardened", set(ALL)),
        *((way, set(ALL)) for way in WAYS),
    ],
)
def test_a_step_reaches_the_proxies_that_it_names(
    run: Run, folder: str, with_filter: set[str]
) -> None:
    check_places(serve(run, chart.kustomized(ISTIO / folder)), with_filter)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("component", "with_filter"),
    [
        ("to-namespace", {"cart", "canary"}),
        ("to-workloads", {"canary"}),
        ("to-gateways", {"gateway"}),
        ("to-waypoints", set()),
    ],
)
def test_a_component_narrows_each_way_to_load_the_filter(
    run: Run, way: str, component: str, with_filter: set[str]
) -> None:
    above = Path("../../istio")
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [str(above / way)],
        "components": [str(above / "components" / component)],
    }
    run.write("kustomization.yaml", yaml.safe_dump(kustomization))
    found = chart.kustomized(run.directory)
    check_places(serve(run, found), with_filter)
    # Istio's own tracing is off where the filter is.
    keys = ("selector", "workloadSelector", "targetRefs")
    (telemetry,) = [one for one in found if one["kind"] == "Telemetry"]
    (plugin,) = [
        one for one in found if (one["kind"].lower(), one["metadata"]["name"]) == (way, "spanmesh")
    ]
    assert telemetry["metadata"]["namespace"] == plugin["metadata"]["namespace"]
    narrowed = [any(key in one["spec"] for key in keys) for one in (telemetry, plugin)]
    assert narrowed[0] == narrowed[1]


def digests(control_plane: ControlPlane, workload: Workload) -> set[str]:
    """Return the digests of the modules that a proxy is told to load."""
    names = {
        one["name"]
        for listener in control_plane.resources("listeners", workload.node())
        for chain in listener.get("filterChains", [])
        for network in chain["filters"]
        for one in network["typedConfig"].get("httpFilters", [])
        if "configDiscovery" in one
    }
    assert len(names) == 1
    return {
        one["typedConfig"]["config"]["vmConfig"]["code"]["remote"]["sha256"]
        for one in control_plane.resources("extensions", workload.node(), sorted(names))
    }


@pytest.mark.parametrize("what", ["overlay", "chart"])
def test_a_newer_module_is_where_it_goes_first_and_nowhere_else(run: Run, what: str) -> None:
    folder = ISTIO / "overlays" / "canary-upgrade"
    found = chart.kustomized(folder) if what == "overlay" else chart.case("canary-upgrade")
    control_plane = serve(run, found)
    check_places(control_plane, set(ALL))
    modules = {name: digests(control_plane, workload) for name, workload in ALL.items()}
    assert modules == {
        "cart": {"1" * 64},
        "canary": {"1" * 64},
        "ledger": {"0" * 64},
        "gateway": {"0" * 64},
    }
