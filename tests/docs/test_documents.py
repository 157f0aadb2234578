"""The documents say what the programs do: names, examples, links."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from rig import http
from rig.bootstrap import Document
from rig.certificates import Authority
from rig.collector import Collector, Ports
from rig.collector import configuration as collector_configuration
from rig.mesh import Solo, alone, plugin
from rig.ports import free_port
from rig.process import ROOT, Run, wait_for
from rig.programs import collector_binary
from rig.sink import Sink

DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("*.md"),
        ROOT / "istio/README.md",
        ROOT / "istio/chart/spanmesh/README.md",
    ]
)
# The pages on the filter: its configuration, what it emits, what it takes to run it.
CONFIGURATION, RECORDS, OPERATIONS = (
    (ROOT / "docs" / name).read_text()
    for name in ("filter.md", "filter-records.md", "filter-operations.md")
)
COLLECTOR = (ROOT / "docs" / "collector.md").read_text()


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def names(text: str, pattern: str, **placeholders: list[str]) -> set[str]:
    """Return the names in a document's code, each placeholder written out."""
    found = {name for name in re.findall(r"`([^`\s]+)`", text) if re.fullmatch(pattern, name)}
    for placeholder, values in placeholders.items():
        found = {name.replace(placeholder, value) for name in found for value in values}
    return found


def anchors(path: Path) -> set[str]:
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", path.read_text(), re.M):
        anchor = re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        repeated = sum(
            re.fullmatch(rf"{re.escape(anchor)}(-\d+)?", one) is not None for one in found
        )
        found.add(f"{anchor}-{repeated}" if repeated else anchor)
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if "://" in link:
            continue
        target, _, anchor = link.partition("#")
        file = path.parent / target if target else path
        assert file.exists(), link
        assert not anchor or anchor in anchors(file), link


@pytest.mark.parametrize("example", blocks(CONFIGURATION + RECORDS + OPERATIONS, "json"))
def test_the_filters_statistics_are_documented_and_its_examples_are_accepted(
    run: Run, sink: Sink, example: str
) -> None:
    # Only where the telemetry goes is the rig's.
    configuration = {**json.loads(example), "exporter": plugin()["exporter"]}
    solo = Solo(run, collector=sink.port, configuration=configuration)
    solo.driver.get(alone(headers=(("x-tier", "gold"),)))
    wait_for(lambda: solo.envoy.filter_stats().logs.sent == 1, "the record was sent")
    assert solo.envoy.filter_stats().config_rejected == 0
    assert solo.envoy.raw_filter_stats()["expressions.failed"] == 0
    kinds = {
        row[1].replace("SIGNAL", signal): (row[0].replace("SIGNAL", signal), row[2])
        for row in re.findall(r"^\| `(wasmcustom\S+)` \| `(\S+)` \| (\w+) \|", OPERATIONS, re.M)
        for signal in ("spans", "logs")
    }
    # Envoy shows a histogram among the others only after a while, and to Prometheus at once.
    numbers = {name for name, kind in kinds.values() if kind != "histogram"}
    assert set(solo.envoy.stats("^wasmcustom%5C.")) == numbers
    scraped = http.request(solo.envoy.admin, "/stats/prometheus").text
    types = dict(re.findall(r"^# TYPE (spanmesh_\w+) (\w+)$", scraped, re.M))
    assert {name: kind for name, (_, kind) in kinds.items()} == types


def test_the_filters_keys_are_documented(run: Run, sink: Sink) -> None:
    """An unknown key is an error that lists the known ones."""
    table = CONFIGURATION.split("## Configuration", 1)[1].split("###", 1)[0]
    documented = set(re.findall(r"^\| `([\w.]+)` \|", table, re.M))
    sections = {key.split(".")[0] for key in documented if "." in key}
    solo = Solo(run, collector=sink.port, delivery="ecds")
    wrong = [{"?": 1}, *({section: {"?": 1}} for section in sorted(sections))]
    for number, configuration in enumerate(wrong, 1):
        solo.update(configuration)
        wait_for(lambda least=number: solo.envoy.update_counts()[1] >= least, "it was refused")
    listed = re.findall(r"pluginConfig\.(?:(\w+)\.)?\?: unknown key; .* are (.*)", solo.envoy.log)
    known = {f"{at}.{key}" if at else key for at, keys in listed for key in keys.split(", ")}
    assert documented == known - sections


def test_the_filters_attributes_are_those_in_the_code() -> None:
    code = (ROOT / "filter" / "src" / "semconv.rs").read_text()
    attributes = set(re.findall(r'&str = "([a-z_0-9]+(?:\.[a-z_0-9]+)+)"', code))
    assert attributes
    assert attributes <= names(RECORDS, r"[a-z_0-9]+(\.[a-z_0-9]+)+")


def test_the_collectors_metrics_are_documented(run: Run) -> None:
    ports = Ports.free()
    queue = {"storage": "file_storage"}
    exporter = {"endpoint": "127.0.0.1:9", "sending_queue": queue}
    document = collector_configuration(ports, {"otlp_grpc": exporter})
    document["extensions"]["file_storage"] = {"directory": str(run.directory / "storage")}
    document["service"]["extensions"].append("file_storage")
    # Certificates have a metric only where there is one.
    identity = Authority(run).issue("collector")
    tls = {"cert_file": str(identity.certificate), "key_file": str(identity.key)}
    document["receivers"]["otlp"]["protocols"]["grpc"]["tls"] = tls
    # Each processor has its metrics only where there is one.
    document["processors"]["memory_limiter"] = {"check_interval": "1s", "limit_mib": 100}
    document["processors"]["probabilistic_sampler"] = {"sampling_percentage": 50}
    for signal, pipeline in document["service"]["pipelines"].items():
        sampler = ["probabilistic_sampler"] if signal != "metrics" else []
        processors = ["memory_limiter", *sampler, "batch"]
        document["service"]["pipelines"][signal] = {**pipeline, "processors": processors}
    collector = Collector(run, document, ports=ports)
    # Its ports are open before everything has started.
    last = "spanmesh_config_last_reload_success_timestamp_seconds"
    wait_for(lambda: last in collector.metrics().names, "everything has started")
    metrics = collector.metrics().names
    items = ["spans", "log_records", "metric_points"]
    assert names(COLLECTOR, r"(otelcol|spanmesh)_\w+", ITEMS=items) == metrics


def test_the_collectors_components_are_documented() -> None:
    listed = subprocess.run([collector_binary(), "components"], capture_output=True, check=True)
    available = {name for kind in yaml.safe_load(listed.stdout).values() for name in kind or []}
    documented = set(re.findall(r"^### (\w+)$", COLLECTOR, re.M))
    assert documented == available


FILES = "/etc/spanmesh/"
"""Where the examples have their files."""


def completed(fragment: Document) -> Document:
    """Return what a part of a configuration leaves to the rest of it."""
    processors = list(fragment.get("processors", {}))
    pipeline = {"receivers": ["otlp"], "processors": processors, "exporters": ["nop"]}
    service = fragment.get("service", {"pipelines": {"traces": pipeline}})
    rest: Document = {} if "service" in fragment else {"service": service}
    plain: dict[str, Callable[[], object]] = {
        "otlp": lambda: {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{free_port()}"}}},
        "attributes": lambda: {"actions": [{"key": "a", "action": "delete"}]},
        "otlp_grpc": lambda: {"endpoint": "127.0.0.1:4317"},
        "batch": dict,
        "nop": dict,
    }
    connectors = fragment.get("connectors", {})
    for kind in ("receivers", "processors", "exporters"):
        for pipeline in service["pipelines"].values():
            for name in pipeline.get(kind, []):
                if name not in fragment.get(kind, {}) and name not in connectors:
                    default = plain[name.split("/")[0]]()
                    rest.setdefault(kind, {})[name] = default
    return rest


@pytest.mark.parametrize("example", blocks(COLLECTOR, "yaml"))
def test_the_collector_accepts_the_examples(run: Run, example: str) -> None:
    if FILES in example:
        identity = Authority(run).issue("collector")
        certificate, key = identity.certificate.read_text(), identity.key.read_text()
        files = {"tokens": "t", "password": "p", "tls.crt": certificate, "tls.key": key}
    else:
        files = {}
    for name, text in files.items():
        run.write(name, text)
    example = example.replace(FILES, f"{run.directory}/")
    rest = completed(yaml.safe_load(example))
    sources = [run.write("collector.yaml", example), run.write("rest.yaml", yaml.safe_dump(rest))]
    argv = [str(collector_binary()), "validate"]
    for source in sources if rest else sources[:1]:
        argv += ["--config", str(source)]
    validated = subprocess.run(
        argv, env={"TOKEN": "secret"}, capture_output=True, text=True, check=False
    )
    assert (validated.returncode, validated.stderr) == (0, "")


def test_the_daily_check_finds_the_collectors_in_pods_of_applications(tmp_path: Path) -> None:
    """By the documented commands, with a kubectl that answers as jsonpath would."""
    text = (ROOT / "docs" / "operations.md").read_text()
    (commands,) = [block for block in blocks(text, r"\w*") if "initContainers" in block]
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = get ]; then\n'
        '  echo "shop cart-0 istio-proxy spanmesh-collector"\n'
        '  echo "shop bare-0 "\n'
        '  echo "shop spanmesh-collector istio-init"\n'
        '  echo "bank teller-0 spanmesh-collector"\n'
        'else echo "$*"; fi\n'
    )
    kubectl.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", commands], env={"PATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        f"--namespace {pod} --container spanmesh-collector -- spanmesh-collector doctor"
        for pod in ("shop exec cart-0", "bank exec teller-0")
    ]
