"""The repository's manifests through Istio's control plane to Envoys that have nothing else."""

from __future__ import annotations

import pytest
from rig import chart
from rig.collector import Collector
from rig.istio import manifests
from rig.istio.manifests import Object, of_kind, with_module
from rig.istio.mesh import QUICK, IstioMesh, module_url, wish
from rig.istio.proxy import COLLECTOR_CLUSTER
from rig.istio.workloads import Workload
from rig.mesh import with_w3c_parent
from rig.process import Run
from rig.records import CLIENT, SERVER, Attributes

pytestmark = pytest.mark.usefixtures("pod_network")


FOLDERS = {
    "WasmPlugin": "wasmplugin",
    "TrafficExtension": "trafficextension",
    "EnvoyFilter": "envoyfilter",
}


def plugin(kind: str) -> Object:
    """Return the filter in one of the three forms, with the module of this build."""
    shipped = of_kind(manifests.documents(FOLDERS[kind]), kind)
    return with_module(shipped, module_url(), **QUICK)


def installed(way: str) -> list[Object]:
    """Return what is in the cluster after one way to install, with the module of this build."""
    if way != "chart":
        return [*manifests.documents("base"), plugin(way)]
    # The chart's pods run elsewhere in these tests; its Service and Istio's objects are the point.
    rendered = chart.objects(chart.rendered(sets=["mode=deployment"], release="any"))
    shipped = of_kind(rendered, "WasmPlugin")
    config = {**shipped["spec"]["pluginConfig"], **QUICK}
    others = [one for one in rendered if one is not shipped]
    return [*others, with_module(shipped, module_url(), **config)]


def resource(workload: Workload) -> Attributes:
    """Return what the node's metadata say of a workload, in the conventions' names."""
    return {
        "service.name": workload.name,
        "service.namespace": workload.namespace,
        "service.version": "v1",
        "k8s.namespace.name": workload.namespace,
        "k8s.pod.name": workload.pod,
        "k8s.deployment.name": workload.name,
        "k8s.cluster.name": "Kubernetes",
        "k8s.node.name": "node-1",
    }


@pytest.mark.parametrize("way", [*FOLDERS, "chart"])
def test_requests_give_spans_and_logs(run: Run, way: str) -> None:
    collector = Collector(run)
    mesh = IstioMesh(run, installed(way), [collector])
    made = [mesh.driver.get(wish("plain")) for _ in range(4)]
    parent = with_w3c_parent()
    made.append(mesh.driver.get(wish("a parent", headers=parent.headers, parent=parent.parent)))
    received = mesh.settle(collector.telemetry, collector=collector)

    workloads = {one.name: one for one in (mesh.gateway, mesh.frontend, mesh.inventory)}
    for one in made:
        spans = received.of_request(one.mark or "")
        logs = received.logs_of_request(one.mark or "")
        for record in (*spans, *logs):
            expected = resource(workloads[record.service])
            assert {key: record.resource.get(key) for key in expected} == expected
        # Whom they ask is in the name that Istio gave the cluster.
        asked = {
            (span.service, span.kind): span.attributes["spanmesh.upstream.cluster"]
            for span in spans
        }
        assert asked == {
            ("gateway", SERVER): f"outbound|8080||{mesh.frontend.host}",
            ("gateway", CLIENT): f"outbound|8080||{mesh.frontend.host}",
            ("frontend", SERVER): "inbound|8080||",
            ("frontend", CLIENT): f"outbound|8081||{mesh.inventory.host}",
            ("inventory", SERVER): "inbound|8081||",
        }

    for proxy in mesh.proxies:
        assert proxy.rejected() == {}
        stats = proxy.stats("^cluster%5C.outbound%5C|4317%5C|")
        prefix = f"cluster.{COLLECTOR_CLUSTER};"
        # Over HTTP/2, through the cluster that Istio made of our Service, and none failed.
        assert stats[f"{prefix}.upstream_cx_http2_total"] > 0
        assert stats[f"{prefix}.upstream_rq_total"] > 0
        assert stats.get(f"{prefix}.upstream_rq_5xx", 0) == 0
        assert proxy.filter_stats().config_rejected == 0


def test_a_plugin_for_other_workloads_leaves_a_proxy_alone(run: Run) -> None:
    collector = Collector(run)
    other = plugin("WasmPlugin")
    other["metadata"]["namespace"] = "shop"
    other["spec"]["selector"] = {"matchLabels": {"app": "inventory"}}
    mesh = IstioMesh(
        run, [*manifests.documents("base"), other], [collector], with_filter=("inventory",)
    )
    hops = tuple(hop for hop in wish("").hops if hop.service == "inventory")
    for _ in range(3):
        assert mesh.driver.get(wish("one hop", hops=hops)).status == 200
    mesh.settle(collector.telemetry, collector=collector)
    assert [proxy.extensions() != {} for proxy in mesh.proxies] == [False, False, True]
