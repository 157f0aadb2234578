"""What Istio's control plane makes of the chart's objects: filters, and clusters for them."""

from __future__ import annotations

from typing import Any

import pytest
from rig import chart
from rig.chart import Object
from rig.istio import manifests, workloads
from rig.istio.control_plane import ControlPlane, http_filters
from rig.istio.workloads import WAYPOINT, Workload
from rig.process import ROOT, Run

APP = Workload("app", "shop", "10.0.0.7", 8080, app=9000)
GATEWAY = Workload(
    "gateway", "istio-system", "10.0.0.8", 8080, kind="router", labels={"istio": "ingressgateway"}
)
COLLECTOR = "spanmesh-collector.observability.svc.cluster.local"

CASES = ["mode=deployment", "mode=statefulset", "mode=daemonset", "mode=sidecar", "mode=layers"]
CASES += ["canary", "envoyfilter", "jwt-ingress", "sidecar-envoyfilter", "strict-mtls"]


def serve(run: Run, found: list[Object], *more: Object, ambient: bool = False) -> ControlPlane:
    """Start a control plane for what the chart renders, and a service of the mesh."""
    # Of the chart's own policies, mTLS needs certificates, which nobody issues here.
    known = [o for o in manifests.known_to_istio(found) if o["kind"] != "PeerAuthentication"]
    return ControlPlane(run, [workloads.PLAINTEXT, *known, *APP.objects(), *more], ambient=ambient)


def http2(cluster: dict[str, Any]) -> bool:
    options = cluster.get("typedExtensionProtocolOptions", {}).values()
    return any("http2ProtocolOptions" in one.get("explicitHttpConfig", {}) for one in options)


@pytest.mark.parametrize("case", CASES)
def test_proxies_have_the_filter_and_its_clusters(run: Run, case: str) -> None:
    found = chart.case(case)
    control_plane = serve(run, found)
    (one, *_) = chart.filter_configurations(found)
    for workload in (APP, GATEWAY):
        if workload is GATEWAY and case == "canary":
            continue
        node = workload.node()
        served = {c["name"]: c for c in control_plane.resources("clusters", node)}
        for name in one.configuration["exporter"]["clusters"]:
            assert name in served
            # The chart's example for a cluster of its own sends over OTLP/HTTP.
            assert http2(served[name]) == (case != "sidecar-envoyfilter")
    chains = http_filters(control_plane, APP)
    assert chains
    # Once in each, and before everything that may reject a request.
    for names in chains.values():
        assert names[0] == "spanmesh" and names.count("spanmesh") == 1


def addresses(control_plane: ControlPlane, cluster: str, workload: Workload) -> set[str]:
    """Return the addresses that a proxy is told for a cluster."""
    found = control_plane.resources("endpoints", workload.node(), [cluster])
    return {
        one["endpoint"]["address"]["socketAddress"]["address"]
        for assignment in found
        for locality in assignment.get("endpoints", [])
        for one in locality["lbEndpoints"]
    }


def test_the_collector_in_the_pod_is_at_its_loopback_address(run: Run) -> None:
    control_plane = serve(run, chart.case("mode=sidecar"))
    cluster = "outbound|4317||spanmesh-collector-sidecar.observability.svc.cluster.local"
    assert addresses(control_plane, cluster, APP) == {"127.0.0.1"}


def on_node(number: int, name: str) -> list[Object]:
    """Return a collector's pod on a node, as Kubernetes tells of it."""
    address = f"10.0.1.{number}"
    pod = {"name": f"collector-{number}", "namespace": chart.NAMESPACE}
    slices = workloads.endpoints(
        "spanmesh-collector", chart.NAMESPACE, {"grpc-otlp": 4317}, [address], str(number)
    )
    (endpoint,) = slices["endpoints"]
    endpoint |= {"nodeName": name, "targetRef": {"kind": "Pod", **pod}}
    return [
        slices,
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**pod, "labels": {"app.kubernetes.io/name": "spanmesh-collector"}},
            "spec": {"nodeName": name, "containers": [{"name": "a", "image": "a"}]},
            "status": {"podIP": address, "podIPs": [{"ip": address}], "phase": "Running"},
        },
    ]


@pytest.mark.parametrize(
    ("policy", "expected"), [("Local", {"10.0.1.1"}), ("Cluster", {"10.0.1.1", "10.0.1.2"})]
)
def test_a_proxy_sends_to_the_agent_of_its_own_node(
    run: Run, policy: str, expected: set[str]
) -> None:
    sets = ["mode=daemonset", f"agent.internalTrafficPolicy={policy}"]
    found = chart.objects(chart.rendered(sets=sets))
    agents = [*on_node(1, APP.node()["metadata"]["NODE_NAME"]), *on_node(2, "node-2")]
    control_plane = serve(run, found, *agents)
    assert addresses(control_plane, f"outbound|4317||{COLLECTOR}", APP) == expected


def waypoint() -> list[Object]:
    """Return a waypoint's Gateway, as Istio's ambient mode wants it."""
    where = {"name": "waypoint", "namespace": "shop"}
    listener = {"name": "mesh", "port": 15008, "protocol": "HBONE"}
    return [
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": where,
            "spec": {"gatewayClassName": "istio-waypoint", "listeners": [listener]},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {**where, "labels": WAYPOINT.labels},
            "spec": {
                "clusterIP": "10.96.3.1",
                "ports": [{"appProtocol": "hbone", "name": "mesh", "port": 15008}],
                "selector": {"gateway.networking.k8s.io/gateway-name": "waypoint"},
            },
        },
    ]


@pytest.mark.parametrize("what", ["chart", "kustomize"])
def test_waypoints_have_the_filter_and_its_cluster(run: Run, what: str) -> None:
    folder = ROOT / "istio" / "overlays" / "waypoints"
    found = chart.case("waypoints") if what == "chart" else chart.kustomized(folder)
    control_plane = serve(run, found, *waypoint(), ambient=True)
    node = WAYPOINT.node()
    names = {one["name"] for one in control_plane.resources("clusters", node)}
    assert f"outbound|4317||{COLLECTOR}" in names
    assert "/istio-system.spanmesh" in str(control_plane.resources("listeners", node))


def test_waypoints_do_not_have_the_cluster_without_the_reference(run: Run) -> None:
    found = [one for one in chart.case("waypoints") if one["kind"] != "EnvoyFilter"]
    control_plane = serve(run, found, *waypoint(), ambient=True)
    names = {one["name"] for one in control_plane.resources("clusters", WAYPOINT.node())}
    assert f"outbound|4317||{COLLECTOR}" not in names
