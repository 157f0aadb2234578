"""The objects that the Helm chart renders, in every mode and for every example."""

from __future__ import annotations

import json

import kubernetes_validate
import pytest
import yaml
from rig import chart
from rig.chart import CASES, KUBERNETES, MODES, of_kind, workloads
from rig.chart import case as objects
from rig.process import ROOT

CORE = {"v1", "apps/v1", "autoscaling/v2", "policy/v1", "networking.k8s.io/v1"}


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


@pytest.mark.parametrize("case", ["strict-mtls", "jwt-ingress"])
def test_policies_are_about_ports_that_pass_the_proxy(case: str) -> None:
    (pod,) = [one["spec"]["template"] for one in workloads(objects(case))]
    excluded = pod["metadata"]["annotations"]["traffic.sidecar.istio.io/excludeInboundPorts"]
    for one in of_kind(objects(case), "AuthorizationPolicy"):
        for rule in one["spec"]["rules"]:
            for to in rule["to"]:
                assert not set(to["operation"]["ports"]) & set(excluded.split(","))


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


def test_a_pod_starts_without_the_secrets_that_the_collector_in_it_names() -> None:
    sets = ["mode=sidecar", "image.pullSecrets[0].name=registry"]
    sets += ["collector.extraEnv[0].name=A", "collector.extraEnv[0].valueFrom.secretKeyRef.name=s"]
    sets += ["collector.extraEnv[0].valueFrom.secretKeyRef.key=k"]
    sets += ["collector.extraEnv[1].name=B"]
    sets += ["collector.extraEnv[1].valueFrom.configMapKeyRef.name=c"]
    sets += ["collector.extraEnv[1].valueFrom.configMapKeyRef.key=k"]
    sets += ["collector.extraEnv[1].valueFrom.configMapKeyRef.optional=false"]
    sets += ["collector.extraEnv[2].name=C", "collector.extraEnv[2].value=plain"]
    sets += ["collector.extraEnvFrom[0].secretRef.name=all"]
    pod = chart.injected_pod(chart.objects(chart.rendered(sets=sets)))
    assert pod is not None
    assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    (container,) = pod["spec"]["initContainers"]
    first, second, third = container["env"][1:]
    assert first["valueFrom"]["secretKeyRef"] == {"name": "s", "key": "k", "optional": True}
    assert second["valueFrom"]["configMapKeyRef"]["optional"] is False
    assert third == {"name": "C", "value": "plain"}
    assert container["envFrom"] == [{"secretRef": {"name": "all", "optional": True}}]


def test_a_security_context_of_ones_own_goes_over_the_default_in_pods() -> None:
    sets = [f"collector.securityContext.{one}" for one in ("runAsUser=1000", "runAsNonRoot=false")]
    sets.append("mode=sidecar")
    text = chart.rendered(sets=sets)
    pod = chart.injected_pod(chart.objects(text))
    assert pod is not None
    context = pod["spec"]["initContainers"][0]["securityContext"]
    keys = ("runAsUser", "runAsGroup", "runAsNonRoot")
    assert [context[key] for key in keys] == [1000, 65532, False]
    # PyYAML takes the last of two equal keys, the API server neither.
    (patch,) = [one for one in text.split("---\n") if "patch.yaml" in one]
    assert patch.count("runAsUser") == 2


def test_the_injection_template_is_the_patch_as_istio_reads_it() -> None:
    (config,) = [
        one["data"]
        for one in of_kind(objects("sidecar"), "ConfigMap")
        if "patch.yaml" in one["data"]
    ]
    injector = yaml.safe_load(config["istiod-values.yaml"])["sidecarInjectorWebhook"]
    template = injector["templates"]["spanmesh"].replace('{{ "{{" }}', "{{")
    assert yaml.safe_load(template) == yaml.safe_load(config["patch.yaml"])["spec"]["template"]


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


@pytest.mark.parametrize("monitor", ["serviceMonitor", "podMonitor"])
def test_every_layer_is_scraped(monitor: str) -> None:
    sets = ["mode=layers", f"monitoring.{monitor}.enabled=true"]
    sets += [f"monitoring.{monitor}.labels.release=prometheus"]
    found = chart.objects(chart.rendered(sets=sets))
    monitors = [*of_kind(found, "ServiceMonitor"), *of_kind(found, "PodMonitor")]
    assert {one["metadata"]["labels"]["release"] for one in monitors} == {"prometheus"}
    text = json.dumps([one["spec"]["selector"] for one in monitors])
    for workload in workloads(found):
        assert f'"{workload["metadata"]["name"]}"' in text
    names = [one["metadata"]["name"] for one in monitors]
    assert names.count("spanmesh-collector-sidecar") == 1


def test_without_collectors_none_is_scraped() -> None:
    sets = ["collector.enabled=false", "monitoring.serviceMonitor.enabled=true"]
    sets += ["filter.config.exporter.clusters={a}"]
    found = chart.objects(chart.rendered(sets=sets))
    assert of_kind(found, "ServiceMonitor") + of_kind(found, "PodMonitor") == []


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
