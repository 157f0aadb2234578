"""The collector's configurations that the Helm chart renders, and what has to agree with them."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from rig import chart
from rig.chart import CASES, of_kind, workloads
from rig.chart import case as objects
from rig.process import Run
from rig.programs import collector_binary

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


def test_tls_is_for_the_service_that_takes_it() -> None:
    found = objects("tls")
    policies = {
        one["spec"]["host"].split(".")[0]: one["spec"]["trafficPolicy"]
        for one in of_kind(found, "DestinationRule")
    }
    assert policies["spanmesh-collector"]["tls"]["mode"] == "MUTUAL"
    assert "tls" not in policies["spanmesh-collector-agent"]
    # And for the ports of OTLP.
    levels = policies["spanmesh-collector"]["portLevelSettings"]
    assert {one["port"]["number"]: one["tls"]["mode"] for one in levels} == {
        8888: "DISABLE",
        13133: "DISABLE",
    }
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
