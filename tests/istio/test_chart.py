"""The Helm chart, rendered in every mode and for every example, by both lines of Helm."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from rig import chart
from rig.chart import CHART, EXAMPLES, HELM_VERSIONS, KUBERNETES, Object, of_kind
from rig.process import ROOT, Run
from rig.programs import collector_binary

MODES = ["deployment", "statefulset", "daemonset", "sidecar", "layers"]
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/values.yaml"))
CASES = [*(f"mode={mode}" for mode in MODES), *NAMES]
"""The modes with nothing else set, and the examples."""

CORE = {"v1", "apps/v1", "autoscaling/v2", "policy/v1", "networking.k8s.io/v1"}


@cache
def objects(case: str) -> list[Object]:
    if case in NAMES:
        return chart.objects(chart.rendered([EXAMPLES / case / "values.yaml"]))
    return chart.objects(chart.rendered(sets=[case]))


def values(case: str) -> dict[str, Any]:
    """Return what the case sets."""
    if case in NAMES:
        return yaml.safe_load((EXAMPLES / case / "values.yaml").read_text())
    return {"mode": case.partition("=")[2]}


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", CHART.parent / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up.
    sys.modules["generate"] = module
    spec.loader.exec_module(module)
    return module


# --- what is committed -------------------------------------------------------------------------


def test_what_comes_from_elsewhere_is_as_it_is_there(generate: ModuleType) -> None:
    """If not: `make chart`."""
    differing = [path for path, text in generate.generated().items() if path.read_text() != text]
    assert differing == []
    assert generate.surplus() == []


@pytest.mark.parametrize("version", HELM_VERSIONS)
@pytest.mark.parametrize("name", NAMES)
def test_the_rendered_examples_are_what_the_chart_makes(
    generate: ModuleType, name: str, version: str
) -> None:
    """If not: `make chart`, and look at the difference."""
    example = EXAMPLES / name
    made = generate.rendered(chart.tool("helm", version), example / "values.yaml")
    assert made == (example / "rendered.yaml").read_text()


def test_every_value_is_in_the_schema_and_has_a_text(generate: ModuleType) -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())

    def leaves(node: dict[str, Any], path: str) -> set[str]:
        if (below := node.get("properties")) is None or path in wholes:
            return {path}
        return {leaf for key, one in below.items() for leaf in leaves(one, f"{path}.{key}")}

    found = generate.values()
    wholes = {f".{value.path}" for value in found}
    in_schema = {leaf.removeprefix(".") for leaf in leaves(schema, "")} - {"global"}
    assert in_schema == {value.path for value in found}
    assert [value.path for value in found if not value.text] == []


def test_the_readme_names_every_example() -> None:
    text = (CHART / "README.md").read_text()
    assert set(re.findall(r"^\| `([\w-]+)` \| ", text, re.MULTILINE)) >= set(NAMES)


@pytest.mark.parametrize("version", HELM_VERSIONS)
def test_the_chart_lints(version: str) -> None:
    for name in NAMES:
        done = chart.helm(
            "lint", "--strict", CHART, "--values", EXAMPLES / name / "values.yaml", version=version
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_package_of_the_chart_is_whole(tmp_path: Path) -> None:
    packaged = chart.helm("package", CHART, "--destination", tmp_path)
    assert packaged.returncode == 0, packaged.stderr
    (package,) = tmp_path.glob("*.tgz")
    sets = "monitoring.prometheusRule.enabled=true,monitoring.dashboards.enabled=true"
    arguments = ["--set", sets, "--kube-version", f"{KUBERNETES}.0"]
    from_package, from_folder = (
        chart.helm("template", "spanmesh", place, *arguments) for place in (package, CHART)
    )
    assert from_package.returncode == 0, from_package.stderr
    assert from_package.stdout == from_folder.stdout


def test_versions_are_those_of_the_project() -> None:
    project = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    assert project is not None
    document = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert document["appVersion"] == document["version"] == project[1]
    module = yaml.safe_load((CHART / "values.yaml").read_text())["filter"]["module"]
    assert module["url"].endswith(f":{project[1]}")


# --- objects -----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_kinds_of_kubernetes_follow_its_schemas(case: str) -> None:
    for one in objects(case):
        if one["apiVersion"] in CORE:
            kubernetes_validate.validate(one, KUBERNETES, strict=True)
        else:
            # What that tool has no schema for, others look at.
            assert (
                one["apiVersion"]
                .split("/")[0]
                .endswith((".istio.io", "monitoring.coreos.com", "cert-manager.io"))
            )
    if pod := chart.injected_pod(objects(case)):
        (container,) = pod["spec"]["initContainers"]
        spec = {"initContainers": [container], "containers": [{"name": "app", "image": "app"}]}
        whole = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec}
        kubernetes_validate.validate(whole, KUBERNETES, strict=True)


@pytest.mark.parametrize("case", CASES)
def test_no_object_is_there_twice(case: str) -> None:
    found = [
        (o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in objects(case)
    ]
    assert sorted(set(found)) == sorted(found)


@pytest.mark.parametrize("release", ["spanmesh", "telemetry-of-the-mesh"])
@pytest.mark.parametrize("mode", MODES)
def test_the_service_has_the_names_that_others_rely_on(mode: str, release: str) -> None:
    found = chart.objects(chart.rendered(sets=[f"mode={mode}"], release=release))
    if mode == "sidecar":
        assert of_kind(found, "Service") == []
        return
    service = chart.named(found, "Service", "spanmesh-collector")
    assert service["metadata"]["namespace"] == chart.NAMESPACE
    ports = {port["name"]: (port["port"], port["appProtocol"]) for port in service["spec"]["ports"]}
    assert ports == {
        "grpc-otlp": (4317, "grpc"),
        "http-otlp": (4318, "http"),
        "http-metrics": (8888, "http"),
        "http-health": (13133, "http"),
    }


def workloads(found: list[Object]) -> list[Object]:
    kinds = {"Deployment", "StatefulSet", "DaemonSet"}
    return [one for one in found if one["kind"] in kinds]


@pytest.mark.parametrize("case", CASES)
def test_every_service_leads_to_one_workload(case: str) -> None:
    found = objects(case)
    for service in of_kind(found, "Service"):
        selector = service["spec"]["selector"].items()
        (pod,) = [
            one["spec"]["template"]
            for one in workloads(found)
            if selector <= one["spec"]["template"]["metadata"]["labels"].items()
        ]
        (container,) = pod["spec"]["containers"]
        exposed = {port["name"] for port in container["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= exposed
    for one in workloads(found):
        labels = one["spec"]["template"]["metadata"]["labels"].items()
        assert one["spec"]["selector"]["matchLabels"].items() <= labels


@pytest.mark.parametrize("case", CASES)
def test_pods_run_with_the_least_rights(case: str) -> None:
    pods = [one["spec"]["template"]["spec"] for one in workloads(objects(case))]
    pods += [one["spec"] for one in of_kind(objects(case), "Pod")]
    if injected := chart.injected_pod(objects(case)):
        (container,) = injected["spec"]["initContainers"]
        # A pod that it comes into has a security context of its own.
        context = container["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        pods.append({"containers": [container], "automountServiceAccountToken": False})
    for pod in pods:
        if context := pod.get("securityContext"):
            assert context["runAsNonRoot"] is True
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert "memory" in container["resources"]["limits"]
    assert [one for one in objects(case) if "Role" in one["kind"]] == []


def test_a_change_of_the_configuration_replaces_the_pods() -> None:
    def annotations(*sets: str) -> dict[str, str]:
        found = chart.objects(chart.rendered(sets=sets))
        (workload,) = workloads(found)
        return workload["spec"]["template"]["metadata"]["annotations"]

    changed = "gateway.config.service.telemetry.logs.level=debug"
    assert annotations()["checksum/config"] != annotations(changed)["checksum/config"]
    assert annotations()["checksum/config"] == annotations("gateway.replicas=5")["checksum/config"]
    assert "checksum/config" not in annotations(changed, "collector.watch=true")


def test_nothing_of_a_pod_waits_for_the_collector_in_it() -> None:
    pod = chart.injected_pod(objects("mode=sidecar"))
    assert pod is not None
    (container,) = pod["spec"]["initContainers"]
    assert container["restartPolicy"] == "Always"
    assert not {"startupProbe", "readinessProbe"} & container.keys()


def test_the_injection_template_is_the_patch_as_istio_reads_it() -> None:
    (config,) = [
        one["data"]
        for one in of_kind(objects("sidecar"), "ConfigMap")
        if "patch.yaml" in one["data"]
    ]
    injector = yaml.safe_load(config["istiod-values.yaml"])["sidecarInjectorWebhook"]
    template = injector["templates"]["spanmesh"].replace('{{ "{{" }}', "{{")
    assert yaml.safe_load(template) == yaml.safe_load(config["patch.yaml"])["spec"]["template"]


# --- the collector's configurations ------------------------------------------------------------

ENVIRONMENT = {"BACK_END_TOKEN": "secret", "NODE_NAME": "node-1"}


@pytest.mark.parametrize("case", CASES)
def test_the_collector_accepts_its_configurations(run: Run, case: str) -> None:
    configurations = chart.collector_configurations(objects(case))
    assert configurations or case == "filter-only"
    for name, text in configurations.items():
        # Certificates have to be there, and are not.
        text = re.sub(r"/etc/spanmesh-tls/\S+", str(certificate(run)), text)
        path = run.write(f"{name}.yaml", text)
        argv = [collector_binary(), "validate", "--config", path]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, env=ENVIRONMENT)
        assert done.returncode == 0, done.stderr
        assert "WARN" not in done.stderr


@cache
def certificate(run: Run) -> Path:
    """Return one file with a certificate and its key."""
    path = run.directory / "both.pem"
    key = run.directory / "key.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    argv += ["-nodes", "-days", "2", "-subj", "/CN=collector", "-keyout", str(key)]
    certificate = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    path.write_text(certificate + key.read_text())
    return path


def configuration(case: str, *sets: str, name: str = "spanmesh-collector") -> dict[str, Any]:
    found = chart.objects(chart.rendered(sets=[case, *sets])) if sets else objects(case)
    return yaml.safe_load(chart.collector_configurations(found)[name])


def test_pipelines_without_exporters_send_to_all_that_are_defined() -> None:
    pipelines = configuration("gateway")["service"]["pipelines"]
    assert pipelines["traces"]["exporters"] == ["otlp_grpc/traces"]
    made = configuration(
        "mode=deployment",
        "gateway.config.exporters.nop.a=null",
        "gateway.config.exporters.otlp_grpc.endpoint=a:1",
        "gateway.config.exporters.file.path=/x",
    )
    for pipeline in made["service"]["pipelines"].values():
        assert set(pipeline["exporters"]) >= {"otlp_grpc", "file"}
    assert "debug" not in made["exporters"]


def test_mappings_are_merged_and_lists_replaced() -> None:
    made = configuration(
        "mode=deployment",
        "gateway.config.processors.batch.timeout=5s",
        "gateway.config.receivers.otlp.protocols.grpc.endpoint=0.0.0.0:5317",
        "gateway.config.service.pipelines.traces.processors={batch}",
    )
    assert made["processors"]["batch"] == {"timeout": "5s"}
    assert "memory_limiter" in made["processors"]
    protocols = made["receivers"]["otlp"]["protocols"]
    assert protocols["grpc"]["endpoint"] == "0.0.0.0:5317"
    assert protocols["http"]["endpoint"] == "0.0.0.0:4318"
    assert made["service"]["pipelines"]["traces"]["processors"] == ["batch"]
    assert made["service"]["pipelines"]["logs"]["processors"] == ["memory_limiter", "batch"]


def test_an_alternate_configuration_stands_alone() -> None:
    made = configuration("mode=deployment", "gateway.alternateConfig.receivers.otlp.a=b")
    assert made == {"receivers": {"otlp": {"a": "b"}}}


def test_queues_of_a_stateful_set_are_on_its_volume() -> None:
    made = configuration("all")
    assert made["exporters"]["otlp_grpc"]["sending_queue"] == {
        "queue_size": 100000,
        "storage": "file_storage",
    }
    assert made["exporters"]["otlp_grpc"]["retry_on_failure"] == {"max_elapsed_time": 0}
    assert "sending_queue" not in made["exporters"]["debug"]
    (workload,) = workloads(objects("storage"))
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    directory = configuration("storage")["extensions"]["file_storage"]["directory"]
    assert {"name": "queues", "mountPath": directory} in container["volumeMounts"]
    (claim,) = workload["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "queues"


def test_each_layer_sends_to_the_next() -> None:
    found = objects("mode=layers")
    configurations = chart.collector_configurations(found)
    services = {one["metadata"]["name"] for one in of_kind(found, "Service")}
    ways = {}
    for name, text in configurations.items():
        for exporter in yaml.safe_load(text)["exporters"].values():
            if "endpoint" in exporter:
                ways[name] = exporter["endpoint"].split(".")[0]
    assert ways == {
        "spanmesh-collector-sidecar": "spanmesh-collector-agent",
        "spanmesh-collector-agent": "spanmesh-collector-headless",
    }
    assert set(ways.values()) <= services


# --- the filter --------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_the_filters_configurations_follow_its_schema(case: str) -> None:
    schema = json.loads((ROOT / "filter" / "schema.json").read_text())
    found = list(chart.filter_configurations(objects(case)))
    assert found
    for one in found:
        jsonschema.Draft202012Validator(schema).validate(one.configuration)


def hosts(found: list[Object]) -> dict[str, set[int]]:
    """Return what Istio makes clusters of: hosts and ports."""
    services = {}
    for one in of_kind(found, "Service"):
        name = f"{one['metadata']['name']}.{one['metadata']['namespace']}.svc.cluster.local"
        services[name] = {port["port"] for port in one["spec"]["ports"]}
    for one in of_kind(found, "ServiceEntry"):
        for host in one["spec"]["hosts"]:
            services[host] = {port["number"] for port in one["spec"]["ports"]}
    return services


@pytest.mark.parametrize("case", [one for one in CASES if one not in {"all", "filter-only"}])
def test_the_filter_sends_to_clusters_that_there_are(case: str) -> None:
    found = objects(case)
    added = {
        patch["patch"]["value"]["name"]
        for one in of_kind(found, "EnvoyFilter")
        for patch in one["spec"]["configPatches"]
        if patch["applyTo"] == "CLUSTER"
    }
    for one in chart.filter_configurations(found):
        for cluster in one.configuration["exporter"]["clusters"]:
            if cluster not in added:
                direction, port, subset, host = cluster.split("|")
                assert (direction, subset) == ("outbound", "")
                assert int(port) in hosts(found)[host]


def test_the_filter_tries_the_layers_from_the_nearest_on() -> None:
    (one,) = chart.filter_configurations(objects("mode=layers"))
    assert [
        cluster.rpartition("|")[2].split(".")[0]
        for cluster in one.configuration["exporter"]["clusters"]
    ] == [
        "spanmesh-collector-sidecar",
        "spanmesh-collector-agent",
        "spanmesh-collector",
    ]


def test_the_port_is_that_of_the_protocol() -> None:
    sets = ["mode=layers", "filter.config.exporter.protocol=http"]
    (one,) = chart.filter_configurations(chart.objects(chart.rendered(sets=sets)))
    assert {cluster.split("|")[1] for cluster in one.configuration["exporter"]["clusters"]} == {
        "4318"
    }


def test_each_way_to_load_the_filter_loads_the_same() -> None:
    sets = ["filter.module.sha256=" + "1" * 64, "filter.config.keep.errors=true"]
    found = {
        api: chart.objects(chart.rendered(sets=[f"filter.api={api}", *sets]))
        for api in ("WasmPlugin", "TrafficExtension", "EnvoyFilter")
    }
    configurations = [
        next(chart.filter_configurations(one)).configuration for one in found.values()
    ]
    assert configurations[0] == configurations[1] == configurations[2]
    plugin = of_kind(found["WasmPlugin"], "WasmPlugin")[0]["spec"]
    extension = of_kind(found["TrafficExtension"], "TrafficExtension")[0]["spec"]
    assert plugin == {**{k: v for k, v in extension.items() if k != "wasm"}, **extension["wasm"]}
    assert (plugin["phase"], plugin["failStrategy"]) == ("AUTHN", "FAIL_OPEN")
    assert plugin["priority"] > 0
    patches = of_kind(found["EnvoyFilter"], "EnvoyFilter")[0]["spec"]["configPatches"]
    config = patches[0]["patch"]["value"]["typed_config"]["config"]
    assert config["failure_policy"] == "FAIL_OPEN"
    assert config["vm_config"]["code"]["remote"]["http_uri"]["uri"] == plugin["url"]
    assert config["vm_config"]["code"]["remote"]["sha256"] == plugin["sha256"]
    types = patches[1]["patch"]["value"]["config_discovery"]["type_urls"]
    assert [one.rpartition(".")[2] for one in types] == ["Wasm", "RBAC"]


def test_native_telemetry_is_off_where_the_filter_is() -> None:
    def places(kind: str) -> list[tuple[str, Any, Any]]:
        return [
            (o["metadata"]["namespace"], o["spec"].get("selector"), o["spec"].get("targetRefs"))
            for o in of_kind(found, kind)
        ]

    for case, kind in (("canary", "WasmPlugin"), ("waypoints", "TrafficExtension")):
        found = objects(case)
        assert places("Telemetry") == places(kind)


def test_tls_is_for_the_service_that_takes_it() -> None:
    found = objects("tls")
    policies = {
        one["spec"]["host"].split(".")[0]: one["spec"]["trafficPolicy"]
        for one in of_kind(found, "DestinationRule")
    }
    assert policies["spanmesh-collector"]["tls"]["mode"] == "MUTUAL"
    assert "tls" not in policies["spanmesh-collector-agent"]
    for name, policy in policies.items():
        receiver = configuration("tls", name=name)["receivers"]["otlp"]["protocols"]["grpc"]
        assert ("tls" in receiver) == ("tls" in policy)


def test_further_ports_may_be_sent_to_as_well() -> None:
    sets = ["istio.injectCollector=true", "istio.authorizationPolicy.enabled=true"]
    sets += ["istio.authorizationPolicy.namespaces={shop}", "networkPolicy.enabled=true"]
    sets += ["collector.extraPorts[0].name=a", "collector.extraPorts[0].containerPort=4327"]
    found = chart.objects(chart.rendered(sets=sets))
    rules = of_kind(found, "AuthorizationPolicy")[0]["spec"]["rules"]
    assert rules[0]["to"][0]["operation"]["ports"] == ["4317", "4318", "4327"]
    ports = of_kind(found, "NetworkPolicy")[0]["spec"]["ingress"][0]["ports"]
    assert [port["port"] for port in ports] == [4317, 4318, 4327]
    service = chart.named(found, "Service", "spanmesh-collector")
    assert service["spec"]["ports"][-1]["port"] == 4327


# --- monitoring --------------------------------------------------------------------------------


def test_alerts_and_dashboards_are_those_of_the_folder() -> None:
    sets = ["monitoring.prometheusRule.enabled=true", "monitoring.dashboards.enabled=true"]
    found = chart.objects(chart.rendered(sets=sets))
    groups = [group for one in of_kind(found, "PrometheusRule") for group in one["spec"]["groups"]]
    monitoring = ROOT / "istio" / "monitoring"
    for path in (monitoring / "rules").glob("*.yaml"):
        for group in yaml.safe_load(path.read_text())["groups"]:
            assert group in groups
    texts = [
        json.loads(t)
        for one in of_kind(found, "ConfigMap")
        for n, t in one["data"].items()
        if n.endswith(".json")
    ]
    sources = [json.loads(path.read_text()) for path in (monitoring / "dashboards").glob("*.json")]
    assert len(texts) == len(sources)
    assert all(source in texts for source in sources)


def test_every_collector_is_scraped_under_the_job_of_the_alerts() -> None:
    jobs = set()
    for case in ("monitoring", "all", "sidecar"):
        for kind, endpoints in (
            ("ServiceMonitor", "endpoints"),
            ("PodMonitor", "podMetricsEndpoints"),
        ):
            for one in of_kind(objects(case), kind):
                for endpoint in one["spec"][endpoints]:
                    relabelings = {r.get("targetLabel"): r for r in endpoint["relabelings"]}
                    jobs.add((one["metadata"]["name"], relabelings["job"]["replacement"]))
    assert jobs == {
        ("spanmesh-collector", "spanmesh-collector"),
        ("spanmesh-collector-sidecar", "spanmesh-collector"),
        ("spanmesh-proxies", "spanmesh-proxies"),
    }
