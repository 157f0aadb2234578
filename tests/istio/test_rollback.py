"""The one command that takes the filter back: it has to find everything that loads it.

And nothing else: the collector stays, to deliver what it has.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rig import chart
from rig.istio.manifests import ISTIO
from rig.process import ROOT

PAGES = [ISTIO / "README.md", ROOT / "docs" / "operations.md"]
FOLDERS = sorted(
    str(path.parent.relative_to(ISTIO))
    for path in ISTIO.rglob("kustomization.yaml")
    if not {"components", "gitops"} & set(path.parts)
)
FILTER = {"WasmPlugin", "TrafficExtension", "EnvoyFilter", "Telemetry"}


def commands(page: Path) -> set[str]:
    return set(re.findall(r"^(?:kubectl delete|helm upgrade) .*", page.read_text(), re.MULTILINE))


def test_both_pages_have_the_same_commands() -> None:
    first, second = (
        {one for one in commands(page) if "--all-namespaces" in one or "filter.enabled" in one}
        for page in PAGES
    )
    assert len(first) == 2
    assert first == second


@pytest.mark.parametrize("case", [*chart.CASES, *(f"kustomize {one}" for one in FOLDERS)])
def test_the_command_finds_what_loads_the_filter_and_nothing_else(case: str) -> None:
    (command,) = [one for one in commands(PAGES[0]) if one.startswith("kubectl")]
    found = re.fullmatch(r"kubectl delete (\S+) --all-namespaces --selector (\S+)", command)
    assert found is not None
    plurals = {one.partition(".")[0] for one in found[1].split(",")}
    wanted = dict(one.split("=") for one in found[2].split(",")).items()
    what, _, name = case.partition(" ")
    objects = chart.kustomized(ISTIO / name) if what == "kustomize" else chart.case(case)
    deleted = [
        one
        for one in objects
        if wanted <= one["metadata"].get("labels", {}).items()
        and one["kind"].lower().replace("telemetry", "telemetrie") + "s" in plurals
    ]
    # The cluster of the collector in each pod is the collector's.
    assert deleted == [
        one
        for one in objects
        if one["kind"] in FILTER and one["metadata"]["name"] != "spanmesh-collector-sidecar"
    ]
