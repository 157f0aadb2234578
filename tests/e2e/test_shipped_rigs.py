"""The configurations that users copy: `envoy/sidecar.yaml` and the docker-compose rig.

No Docker engine is needed: the compose file is checked against the Compose specification's schema,
and what its containers would run is run natively, with host names mapped to loopback ports.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema
from rig import mesh
from rig.collector import Collector, Ports
from rig.driver import Driver, chain
from rig.envoy import Envoy
from rig.mesh import Deployment, start_service_on
from rig.native import Hosts
from rig.ports import listens
from rig.process import ROOT, Run
from rig.programs import filter_module
from rig.records import CLIENT, Telemetry, read_json_lines
from rig.sink import Sink

COMPOSE = ROOT / "envoy" / "compose"
MODULE = "/etc/envoy/spanmesh-filter.wasm"


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


class Shipped(Deployment):
    """Envoys that run shipped files, and a driver in front of one of them."""

    def __init__(self, envoys: list[Any], port: int) -> None:
        self.envoys = envoys
        self.driver = Driver(port)


def test_the_sidecar_configuration_works_as_shipped(run: Run, sink: Sink) -> None:
    hosts = Hosts()
    document = hosts.map(
        load(ROOT / "envoy" / "sidecar.yaml"), "pod", {MODULE: str(filter_module())}
    )
    start_service_on(run, "service", hosts.port("127.0.0.1", 8080, owner="pod"))
    start_service_on(run, "other", hosts.port("other-service", 80))
    sink = Sink(hosts.port("collector", 4317)).start()
    run.on_close(sink.stop)
    envoy = Envoy(run, "sidecar", document, admin=hosts.port("127.0.0.1", 15000, owner="pod"))
    envoy.wait_ready()

    shipped = Shipped([envoy], hosts.port("0.0.0.0", 15006, owner="pod"))
    inbound = shipped.driver
    inbound.get(mesh.Wish("inbound", "/", chain("my-service")))
    outbound = Driver(hosts.port("127.0.0.1", 15001, owner="pod"), made=inbound.made)
    hop = mesh.Hop("my-service", CLIENT)
    outbound.get(mesh.Wish("outbound", "/", (hop,), host="other-service"))
    received = shipped.settle(sink.telemetry)
    assert {span.resource["service.namespace"] for span in received.spans} == {"shop"}


def test_the_compose_file_follows_the_specification() -> None:
    document = load(COMPOSE / "compose.yaml")
    schema = get_builtin_schema("vendor.compose-spec")
    jsonschema.validators.validator_for(schema)(schema).validate(document)


def test_the_compose_file_names_what_there_is() -> None:
    services = load(COMPOSE / "compose.yaml")["services"]
    for name, service in services.items():
        if "build" in service:
            context = (COMPOSE / service["build"]["context"]).resolve()
            text = (context / service["build"]["dockerfile"]).read_text()
            stages = set(re.findall(r"^FROM \S+ AS (\S+)$", text, re.M))
            assert service["build"].get("target") in {None, *stages}, name
        shared = service.get("network_mode", "")
        assert not shared or shared.removeprefix("service:") in services, name
        for other in service.get("depends_on", []):
            assert other in services, name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert not source.startswith(".") or (COMPOSE / source).is_file(), name


def test_the_images_are_built_from_every_member_of_the_workspace() -> None:
    members = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["members"]
    copied = re.findall(r"^COPY (\S+) \1$", (COMPOSE / "Dockerfile").read_text(), re.M)
    assert {member.split("/")[0] for member in members} == set(copied)


def test_the_compose_rig_works_as_shipped(run: Run) -> None:
    hosts = Hosts()
    services = load(COMPOSE / "compose.yaml")["services"]
    state = run.directory / "var"
    state.mkdir()
    jaeger = Sink(hosts.port("jaeger", 4317)).start()
    run.on_close(jaeger.stop)
    Collector(
        run,
        hosts.map(load(COMPOSE / "collector.yaml"), "collector", {"/var/lib/spanmesh": str(state)}),
        ports=Ports(*(hosts.port("collector", port) for port in (4317, 4318, 8888, 13133))),
    )
    envoys = {}
    for name, service in services.items():
        target = service.get("build", {}).get("target")
        pod = service.get("network_mode", f"service:{name}").removeprefix("service:")
        if target == "service":
            _start_service(run, name, pod, service["command"], hosts)
        if target == "envoy":
            document = hosts.map(load(COMPOSE / "envoy.yaml"), pod, {MODULE: str(filter_module())})
            admin = hosts.port("0.0.0.0", 15000, owner=pod)
            envoys[pod] = Envoy(run, name, document, admin=admin, env=service["environment"])
    for envoy in envoys.values():
        envoy.wait_ready()

    shipped = Shipped(list(envoys.values()), hosts.port("frontend", 15006))
    shipped.driver.load([mesh.plain(), mesh.with_w3c_parent(), mesh.with_b3_single()])
    shipped.driver.call(mesh.grpc_call(), port=hosts.port("0.0.0.0", 15001, owner="frontend"))

    def arrived() -> Telemetry:
        logs = read_json_lines(state / "access-logs.jsonl").logs
        return Telemetry(jaeger.telemetry().spans, logs)

    shipped.settle(arrived)


def _start_service(run: Run, name: str, pod: str, command: list[str], hosts: Hosts) -> None:
    """Run a service's command natively."""
    program, *options = command
    mapped = []
    for option in options:
        key, _, value = option.partition("=")
        # A URL without a port names a service, not an address.
        mapped.append(f"{key}={hosts.endpoint(value, pod)}")
        if key == "--listen":
            port = hosts.port("127.0.0.1", int(value.rpartition(":")[2]), owner=pod)
    argv = [sys.executable, ROOT / "envoy" / "demo" / program, *mapped]
    process = run.spawn(f"{name}.service", argv)
    process.wait_until(lambda: listens(port), f"{name} listened")
