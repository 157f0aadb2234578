"""The filter's configurations that the Helm chart renders, and the objects that load it."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from rig import chart
from rig.chart import CASES, Object, of_kind
from rig.chart import case as objects
from rig.process import ROOT


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


def test_each_target_sends_by_its_own_protocol() -> None:
    sets = ["mode=sidecar", "sidecar.cluster=EnvoyFilter"]
    for number, protocol in enumerate(("grpc", "http")):
        target = f"filter.targets[{number}]"
        sets += [f"{target}.name={protocol}", f"{target}.namespace={protocol}"]
        sets += [f"{target}.config.exporter.protocol={protocol}"]
    found = chart.objects(chart.rendered(sets=sets))
    sent = {
        one.configuration["exporter"]["protocol"]: one.configuration["exporter"]["clusters"]
        for one in chart.filter_configurations(found)
    }
    assert sent == {
        "grpc": ["spanmesh-collector-sidecar"],
        "http": ["spanmesh-collector-sidecar-http"],
    }
    (added,) = of_kind(found, "EnvoyFilter")
    clusters = {}
    for patch in added["spec"]["configPatches"]:
        cluster = patch["patch"]["value"]
        (locality,) = cluster["load_assignment"]["endpoints"]
        (endpoint,) = locality["lb_endpoints"]
        port = endpoint["endpoint"]["address"]["socket_address"]["port_value"]
        clusters[cluster["name"]] = (port, "typed_extension_protocol_options" in cluster)
    assert clusters == {
        "spanmesh-collector-sidecar": (4317, True),
        "spanmesh-collector-sidecar-http": (4318, False),
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
    discovery = patches[1]["patch"]["value"]["config_discovery"]
    types = discovery["type_urls"]
    assert [one.rpartition(".")[2] for one in types] == ["Wasm", "RBAC"]
    assert discovery["default_config"] == {"@type": types[1]}


def test_native_telemetry_is_off_where_the_filter_is() -> None:
    def places(kind: str) -> list[tuple[str, Any, Any]]:
        return [
            (o["metadata"]["namespace"], o["spec"].get("selector"), o["spec"].get("targetRefs"))
            for o in of_kind(found, kind)
        ]

    for case, kind in (("canary", "WasmPlugin"), ("waypoints", "TrafficExtension")):
        found = objects(case)
        assert places("Telemetry") == places(kind)
