"""The manifests in `istio/`, as far as they can be checked without a control plane.

Kubernetes' own kinds are checked against its schemas; the collector's and the filter's
configurations are given to the real collector and to a real Envoy.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from rig import bootstrap
from rig.bootstrap import Sidecar
from rig.driver import Driver
from rig.envoy import Envoy
from rig.mesh import alone, start_service
from rig.ports import free_port
from rig.process import ROOT, Run, wait_for
from rig.programs import collector_binary, filter_module

ISTIO = ROOT / "istio"
# What is for Prometheus, for Helm and for the tools of GitOps has tests of its own.
APART = {"chart", "gitops", "monitoring"}
FILES = sorted(
    path for path in ISTIO.rglob("*.yaml") if path.relative_to(ISTIO).parts[0] not in APART
)
KUBERNETES = "1.34"
OURS = {"ConfigMap", "Deployment", "Namespace", "NetworkPolicy", "Service", "ServiceAccount"}
WASM = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"
RBAC = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def resource(kind: str) -> dict[str, Any]:
    """Return the one object of this kind, those that only some overlays add apart."""
    paths = [path for path in FILES if "components" not in path.parts]
    found = [one for path in paths for one in documents(path) if one["kind"] == kind]
    assert len(found) == 1, f"{len(found)} of kind {kind}"
    return found[0]


def patch(kind: str) -> dict[str, Any]:
    """Return the value of the EnvoyFilter's one patch of this kind."""
    patches = resource("EnvoyFilter")["spec"]["configPatches"]
    (found,) = [one["patch"]["value"] for one in patches if one["applyTo"] == kind]
    return found


def plugin_config() -> dict[str, Any]:
    return resource("WasmPlugin")["spec"]["pluginConfig"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ISTIO)))
def test_kinds_of_kubernetes_follow_its_schemas(path: Path) -> None:
    for document in documents(path):
        if document["kind"] in OURS:
            kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_every_file_is_named_by_one_kustomization() -> None:
    for folder in {path.parent for path in FILES}:
        (kustomization,) = documents(folder / "kustomization.yaml")
        resources = set(kustomization.get("resources", []))
        named = {one for one in resources if one.endswith(".yaml")}
        assert named == {p.name for p in folder.glob("*.yaml")} - {"kustomization.yaml"}
        for other in resources - named | set(kustomization.get("components", [])):
            assert (folder / other / "kustomization.yaml").is_file(), other


def test_the_service_has_the_names_that_others_rely_on() -> None:
    service = resource("Service")
    metadata = service["metadata"]
    assert (metadata["namespace"], metadata["name"]) == ("observability", "spanmesh-collector")
    ports = {port["name"]: (port["port"], port["appProtocol"]) for port in service["spec"]["ports"]}
    assert ports == {
        "grpc-otlp": (4317, "grpc"),
        "http-otlp": (4318, "http"),
        "http-metrics": (8888, "http"),
        "http-health": (13133, "http"),
    }
    (container,) = resource("Deployment")["spec"]["template"]["spec"]["containers"]
    exposed = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert exposed == {name: number for name, (number, _) in ports.items()}
    assert {port["targetPort"] for port in service["spec"]["ports"]} == set(exposed)


def test_the_collector_runs_with_the_least_rights() -> None:
    pod = resource("Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    context = container["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False


def test_labels_lead_from_the_service_to_the_pods() -> None:
    deployment = resource("Deployment")["spec"]
    labels = deployment["template"]["metadata"]["labels"].items()
    assert resource("Service")["spec"]["selector"].items() <= labels
    assert deployment["selector"]["matchLabels"].items() <= labels
    assert len(documents(ISTIO / "base" / "collector.yaml")) == 4


def test_the_collector_accepts_its_configuration(run: Run) -> None:
    config = resource("ConfigMap")["data"]["collector.yaml"]
    path = run.write("collector.yaml", config)
    argv = [collector_binary(), "validate", "--config", path]
    validated = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert validated.returncode == 0, validated.stderr
    assert "warning" not in validated.stderr
    # What it listens on is what the Service leads to.
    listened = {int(port) for port in re.findall(r"0\.0\.0\.0:(\d+)", config)}
    assert listened == {4317, 4318, 13133}
    assert "port: 8888" in config


def test_all_ways_load_the_same_filter() -> None:
    plugin = resource("WasmPlugin")["spec"]
    config = patch("EXTENSION_CONFIG")["typed_config"]["config"]
    assert config["name"] == config["root_id"] == plugin["pluginName"] == "spanmesh"
    assert config["failure_policy"] == plugin["failStrategy"] == "FAIL_OPEN"
    assert json.loads(config["configuration"]["value"]) == plugin["pluginConfig"]
    remote = config["vm_config"]["code"]["remote"]
    assert remote["http_uri"]["uri"] == plugin["url"]
    assert remote["sha256"] == plugin["sha256"]
    assert re.fullmatch("[a-f0-9]{64}", plugin["sha256"])
    extension = resource("TrafficExtension")["spec"]
    wasm = extension.pop("wasm")
    assert {**extension, **wasm} == plugin


def test_the_plugin_comes_before_everything_that_rejects_requests() -> None:
    plugin = resource("WasmPlugin")
    assert plugin["spec"]["phase"] == "AUTHN"
    assert plugin["spec"]["priority"] > 0
    # The root namespace and no selector: the whole mesh.
    assert plugin["metadata"]["namespace"] == "istio-system"
    assert "selector" not in plugin["spec"]


def test_a_module_that_cannot_be_fetched_may_be_replaced() -> None:
    discovered = patch("HTTP_FILTER")
    assert discovered["name"] == patch("EXTENSION_CONFIG")["name"]
    assert discovered["config_discovery"]["type_urls"] == [WASM, RBAC]
    # And so may one that Envoy cannot load: `test_agent.py` has such a module.
    assert discovered["config_discovery"]["default_config"] == {"@type": RBAC}


def test_the_filter_sends_to_the_service() -> None:
    metadata = resource("Service")["metadata"]
    host = f"{metadata['name']}.{metadata['namespace']}.svc.cluster.local"
    assert plugin_config()["exporter"]["clusters"] == [f"outbound|4317||{host}"]


def test_envoy_and_the_filter_accept_the_configuration(run: Run) -> None:
    """What the agent makes of the EnvoyFilter: the same, with the module in a local file."""
    extension = patch("EXTENSION_CONFIG")["typed_config"]
    extension["config"]["vm_config"]["code"] = {"local": {"filename": str(filter_module())}}
    sidecar = Sidecar("inventory", start_service(run, "inventory"), None, free_port())
    inbound, admin = free_port(), free_port()
    document = bootstrap.bootstrap(
        sidecar, inbound=inbound, outbound=free_port(), admin=admin, lds=run.directory, ecds={}
    )
    for listener in document["static_resources"]["listeners"]:
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        manager["http_filters"].insert(0, {"name": "spanmesh", "typed_config": extension})
    envoy = Envoy(run, "inventory", document, admin=admin)
    envoy.wait_ready()
    assert Driver(inbound).get(alone()).status == 200
    wait_for(lambda: envoy.filter_stats().spans.emitted == 1, "the span was counted", 60)
    assert envoy.filter_stats().config_rejected == 0
