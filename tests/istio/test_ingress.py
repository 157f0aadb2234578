"""What comes through a gateway: marked there, and refused by the collector without a token.

The gateway's own identity is let in, since its filter sends records, too; so that identity may not
be what lets in whatever the gateway passes on.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from rig import chart
from rig.istio import manifests, workloads
from rig.istio.control_plane import ControlPlane
from rig.istio.manifests import Object
from rig.istio.workloads import Workload
from rig.process import Run

MARK = "x-spanmesh-ingress"
GATEWAY = Workload(
    "gateway", "istio-system", "10.0.0.8", 443, kind="router", labels={"istio": "ingressgateway"}
)
COLLECTOR = Workload(
    "spanmesh-collector",
    "observability",
    "10.0.0.9",
    4317,
    labels={
        "app.kubernetes.io/name": "spanmesh-collector",
        "app.kubernetes.io/instance": "spanmesh",
    },
)


def kustomized(run: Run) -> list[Object]:
    above = Path("../../istio")
    parts = ("permissive", "jwt", "ingress")
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [str(above / "wasmplugin")],
        "components": [str(above / "components" / part) for part in parts],
    }
    run.write("kustomization.yaml", yaml.safe_dump(kustomization))
    return chart.kustomized(run.directory)


def serve(run: Run, found: list[Object]) -> ControlPlane:
    # Of the collector's own policies, mTLS needs certificates, which nobody issues here.
    known = [o for o in manifests.known_to_istio(found) if o["kind"] != "PeerAuthentication"]
    (sidecar,) = [one for one in COLLECTOR.objects() if one["kind"] == "Sidecar"]
    return ControlPlane(run, [workloads.PLAINTEXT, *known, sidecar])


def denials(control_plane: ControlPlane) -> list[dict[str, Any]]:
    """Return the policies by which the collector's proxy refuses requests."""
    found = []
    for listener in control_plane.resources("listeners", COLLECTOR.node()):
        for chain in listener.get("filterChains", []):
            for network in chain["filters"]:
                for one in network["typedConfig"].get("httpFilters", []):
                    rules = one.get("typedConfig", {}).get("rules", {})
                    if one["name"] == "envoy.filters.http.rbac" and rules.get("action") == "DENY":
                        found += rules["policies"].values()
    return found


@pytest.mark.parametrize("way", ["components", "chart"])
def test_a_request_through_the_gateway_needs_a_token(run: Run, way: str) -> None:
    found = kustomized(run) if way == "components" else chart.case("jwt-ingress")
    # Else this would show nothing: its identity alone is let in.
    allowed = json.dumps([one for one in found if one["kind"] == "AuthorizationPolicy"])
    assert GATEWAY.namespace in allowed
    control_plane = serve(run, found)
    names = ["https.443.https-otlp.spanmesh-collector.observability"]
    (table,) = control_plane.resources("routes", GATEWAY.node(), names)
    led = [route for host in table["virtualHosts"] for route in host["routes"]]
    assert len(led) == 4
    for route in led:
        (header,) = route["requestHeadersToAdd"]
        assert header["header"] == {"key": MARK, "value": "true"}
        # Whatever the client says there.
        assert header["appendAction"] == "OVERWRITE_IF_EXISTS_OR_ADD"

    (policy,) = denials(control_plane)
    permissions, principals = json.dumps(policy["permissions"]), json.dumps(policy["principals"])
    assert "4317" in permissions and "4318" in permissions
    assert json.dumps({"name": MARK, "presentMatch": True}) in principals
    assert "notId" in principals and "issuer.example.com" in principals


def test_the_example_without_principals_takes_any_token(run: Run) -> None:
    values = [chart.EXAMPLES / "jwt-ingress" / "values.yaml"]
    empty = "istio.authorizationPolicy.requestPrincipals=null"
    (policy,) = denials(serve(run, chart.objects(chart.rendered(values, sets=[empty]))))
    assert "notId" in json.dumps(policy["principals"])
