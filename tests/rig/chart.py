"""The Helm chart: rendering it, and what of its objects other programs read."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from rig.process import ROOT, RigError

CHART = ROOT / "istio" / "chart" / "spanmesh"
EXAMPLES = ROOT / "istio" / "chart" / "examples"
NAMESPACE = "observability"
KUBERNETES = "1.34"

HELM_VERSIONS = ("3.21.4", "4.2.4")
"""Both lines of Helm; the last one writes the golden files."""

KUSTOMIZE_VERSION = "5.8.1"

MODES = ("deployment", "statefulset", "daemonset", "sidecar", "layers")
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/values.yaml"))
"""The examples."""

CASES = [*(f"mode={mode}" for mode in MODES), *NAMES]
"""The modes with nothing else set, and the examples."""

_TOOLS = Path(os.environ.get("SPANMESH_GO_TOOLS", ROOT / ".go"))

Object = dict[str, Any]
"""A Kubernetes object."""


def tool(name: str, version: str) -> Path:
    """Return a program that `make setup-helm` has installed."""
    path = _TOOLS / f"{name}-{version}" / name
    if not path.exists():
        raise RigError(f"no {name} {version} at {path}: run `make setup-helm`")
    return path


def definitions() -> list[Path]:
    """Return the CRDs of the Prometheus operator and of cert-manager that the chart uses."""
    folder = _TOOLS / "crds"
    names = ("servicemonitors", "podmonitors", "prometheusrules", "certificates")
    found = [path for name in names for path in folder.glob(f"*/*_{name}.yaml")]
    if len(found) != len(names):
        raise RigError(f"not one CRD of each of {names} in {folder}: run `make setup-helm`")
    return found


def kustomized(folder: Path) -> list[Object]:
    """Build a folder with kustomize."""
    argv = [tool("kustomize", KUSTOMIZE_VERSION), "build", folder]
    done = subprocess.run([str(part) for part in argv], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RigError(f"kustomize build {folder}: {done.stderr}")
    return objects(done.stdout)


def helm(
    *arguments: str | Path, version: str = HELM_VERSIONS[-1]
) -> subprocess.CompletedProcess[str]:
    """Run Helm and return what it says, whatever its exit status."""
    argv = [str(tool("helm", version)), *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)


def template(
    values: Sequence[Path] = (),
    *,
    sets: Sequence[str] = (),
    version: str = HELM_VERSIONS[-1],
    release: str = "spanmesh",
) -> subprocess.CompletedProcess[str]:
    """Render the chart, for a version of Kubernetes: a Helm built by Go claims an old one."""
    arguments = ["template", release, CHART, "--namespace", NAMESPACE]
    arguments += ["--kube-version", f"{KUBERNETES}.0"]
    for path in values:
        arguments += ["--values", path]
    for one in sets:
        arguments += ["--set", one]
    return helm(*arguments, version=version)


def rendered(
    values: Sequence[Path] = (),
    *,
    sets: Sequence[str] = (),
    version: str = HELM_VERSIONS[-1],
    release: str = "spanmesh",
) -> str:
    """Render the chart, which has to work."""
    done = template(values, sets=sets, version=version, release=release)
    if done.returncode != 0:
        raise RigError(f"helm template: {done.stderr}")
    return done.stdout


@cache
def case(name: str) -> list[Object]:
    """Return what one of the cases renders to; for all, so not to be changed."""
    if name in NAMES:
        return objects(rendered([EXAMPLES / name / "values.yaml"]))
    return objects(rendered(sets=[name]))


def objects(text: str) -> list[Object]:
    """Read the objects of a YAML stream."""
    return [one for one in yaml.safe_load_all(text) if one is not None]


def of_kind(found: list[Object], kind: str) -> list[Object]:
    """Return the objects of one kind."""
    return [one for one in found if one["kind"] == kind]


def named(found: list[Object], kind: str, name: str) -> Object:
    """Return the one object of this kind and name."""
    (one,) = [one for one in of_kind(found, kind) if one["metadata"]["name"] == name]
    return one


def workloads(found: list[Object]) -> list[Object]:
    """Return what has pods of its own."""
    kinds = {"Deployment", "StatefulSet", "DaemonSet"}
    return [one for one in found if one["kind"] in kinds]


def injected_pod(found: list[Object]) -> Object | None:
    """Return the part of a pod that the injection template adds, if there is one."""
    for one in of_kind(found, "ConfigMap"):
        if "patch.yaml" in one["data"]:
            return yaml.safe_load(one["data"]["patch.yaml"])["spec"]["template"]
    return None


def collector_configurations(found: list[Object]) -> dict[str, str]:
    """Return every collector's configuration, as the collector will read it, by its name."""
    configurations = {
        one["metadata"]["name"]: one["data"]["collector.yaml"]
        for one in of_kind(found, "ConfigMap")
        if "collector.yaml" in one["data"]
    }
    if pod := injected_pod(found):
        (container,) = pod["spec"]["initContainers"]
        (variable,) = [one for one in container["env"] if one["name"] == "SPANMESH_CONFIG"]
        # What Kubernetes makes of a variable's value.
        configurations["spanmesh-collector-sidecar"] = variable["value"].replace("$$", "$")
    return configurations


@dataclass(frozen=True)
class FilterConfiguration:
    """A configuration of the filter, and the object that holds it."""

    kind: str
    name: str
    configuration: dict[str, Any]


def filter_configurations(found: list[Object]) -> Iterator[FilterConfiguration]:
    """Return every configuration of the filter."""
    for one in found:
        kind, name, spec = one["kind"], one["metadata"]["name"], one.get("spec")
        if kind == "WasmPlugin":
            yield FilterConfiguration(kind, name, spec["pluginConfig"])
        elif kind == "TrafficExtension":
            yield FilterConfiguration(kind, name, spec["wasm"]["pluginConfig"])
        elif kind == "EnvoyFilter":
            for patch in spec["configPatches"]:
                if patch["applyTo"] == "EXTENSION_CONFIG":
                    config = patch["patch"]["value"]["typed_config"]["config"]
                    text = config["configuration"]["value"]
                    yield FilterConfiguration(kind, name, json.loads(text))
