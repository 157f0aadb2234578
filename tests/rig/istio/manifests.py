"""The manifests in `istio/`, and what a cluster adds to them."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from rig.process import ROOT

Object = dict[str, Any]

ISTIO = ROOT / "istio"


def documents(*folders: str) -> list[Object]:
    """Return the objects of folders below `istio/`, kustomizations apart."""
    return [one for folder in folders for path in files(folder) for one in read(path)]


def files(folder: str) -> list[Path]:
    """Return the files of a folder below `istio/` that hold objects."""
    return sorted(p for p in (ISTIO / folder).glob("*.yaml") if p.stem != "kustomization")


def read(path: Path) -> list[Object]:
    """Return the objects of a file."""
    return [one for one in yaml.safe_load_all(path.read_text()) if one]


def of_kind(objects: list[Object], kind: str) -> Object:
    """Return the one object of a kind."""
    (found,) = [one for one in objects if one["kind"] == kind]
    return found


def known_to_istio(objects: list[Object]) -> list[Object]:
    """Leave out what istiod does not read, and give each Service an address, as Kubernetes does."""
    kept = []
    for number, one in enumerate(objects):
        group = one["apiVersion"].rpartition("/")[0]
        if not group.endswith("istio.io") and one["kind"] not in {"Service", "Namespace"}:
            continue
        copy = deepcopy(one)
        if one["kind"] == "Service":
            copy["spec"].setdefault("clusterIP", f"10.96.1.{number + 1}")
        kept.append(copy)
    return kept


def with_module(plugin: Object, url: str, sha256: str | None = None, **config: Any) -> Object:
    """Return a WasmPlugin, TrafficExtension or EnvoyFilter with another module in place of its own.

    `config` goes over the keys of the filter's configuration.
    """
    copy = deepcopy(plugin)
    if copy["kind"] == "EnvoyFilter":
        _into_envoy_filter(copy, url, sha256, config)
        return copy
    wasm = copy["spec"]["wasm"] if copy["kind"] == "TrafficExtension" else copy["spec"]
    wasm["url"] = url
    wasm.pop("sha256", None)
    if sha256 is not None:
        wasm["sha256"] = sha256
    wasm["pluginConfig"] = {**wasm.get("pluginConfig", {}), **config}
    return copy


def with_strategy(plugin: Object, strategy: str) -> Object:
    """Return a WasmPlugin, TrafficExtension or EnvoyFilter with another `failStrategy`."""
    copy = deepcopy(plugin)
    if copy["kind"] == "EnvoyFilter":
        # In Envoy's own words.
        policies = {"FAIL_CLOSE": "FAIL_CLOSED"}
        _wasm_of_envoy_filter(copy)["failure_policy"] = policies.get(strategy, strategy)
        return copy
    wasm = copy["spec"]["wasm"] if copy["kind"] == "TrafficExtension" else copy["spec"]
    wasm["failStrategy"] = strategy
    return copy


def _wasm_of_envoy_filter(one: Object) -> Any:
    """Return the configuration of the Wasm filter in it."""
    (patch,) = [p for p in one["spec"]["configPatches"] if p["applyTo"] == "EXTENSION_CONFIG"]
    return patch["patch"]["value"]["typed_config"]["config"]


def _into_envoy_filter(copy: Object, url: str, sha256: str | None, config: dict[str, Any]) -> None:
    wasm = _wasm_of_envoy_filter(copy)
    code = wasm["vm_config"]["code"]
    if url.startswith("file://"):
        wasm["vm_config"]["code"] = {"local": {"filename": url.removeprefix("file://")}}
    else:
        code["remote"]["http_uri"]["uri"] = url
        code["remote"]["sha256"] = sha256 or ""
    document = {**json.loads(wasm["configuration"]["value"]), **config}
    wasm["configuration"]["value"] = json.dumps(document)
