"""The steps of a rollout, as Istio's control plane serves them: which proxies have the filter."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rig import chart
from rig.istio import manifests, workloads
from rig.istio.control_plane import ControlPlane, http_filters
from rig.istio.manifests import ISTIO
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


@pytest.mark.parametrize(
    ("folder", "with_filter"),
    [
        ("overlays/canary-namespace", {"cart", "canary"}),
        ("overlays/canary-workloads", {"canary"}),
        ("overlays/gateways", {"gateway"}),
        ("overlays/waypoints", set()),
        ("overlays/hardened", set(ALL)),
        ("wasmplugin", set(ALL)),
        ("trafficextension", set(ALL)),
        ("envoyfilter", set(ALL)),
    ],
)
def test_a_step_reaches_the_proxies_that_it_names(
    run: Run, folder: str, with_filter: set[str]
) -> None:
    shipped = manifests.known_to_istio(chart.kustomized(ISTIO / folder))
    control_plane = ControlPlane(
        run,
        [
            *shipped,
            *(one for workload in ALL.values() for one in workload.objects()),
            *workloads.ingress(GATEWAY, SHOP),
        ],
    )
    for name, workload in ALL.items():
        found = http_filters(control_plane, workload)
        assert found, name
        # In every chain or in none, and before everything that may reject a request.
        first = {names[0] == "spanmesh" for names in found.values()}
        assert first == {name in with_filter}, (name, found)
        assert all(names.count("spanmesh") <= 1 for names in found.values())
        clusters = {one["name"] for one in control_plane.resources("clusters", workload.node())}
        assert COLLECTOR_CLUSTER in clusters
