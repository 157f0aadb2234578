"""The examples for Argo CD and Flux, and of the operations page: the chart takes their values.

The kinds of Argo CD and Flux are not checked here, since their schemas come with their clusters.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from rig import chart
from rig.process import ROOT

GITOPS = ROOT / "istio" / "gitops"
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()


def document(file: str, kind: str) -> dict[str, Any]:
    documents = yaml.safe_load_all((GITOPS / file).read_text())
    (found,) = [one for one in documents if one["kind"] == kind]
    return found["spec"]


def argocd() -> dict[str, Any]:
    return document("argocd.yaml", "Application")


def values() -> dict[str, dict[str, Any]]:
    """Return the chart's values by the tool that gives them."""
    return {
        "argocd": argocd()["source"]["helm"]["valuesObject"],
        "flux": document("flux.yaml", "HelmRelease")["values"],
    }


@pytest.mark.parametrize("tool", ["argocd", "flux"])
def test_the_chart_takes_the_values(tmp_path: Path, tool: str) -> None:
    given = values()[tool]
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump(given))
    objects = list(chart.objects(chart.rendered([path])))
    (deployment,) = [one for one in objects if one["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    # Both are pinned by digest.
    image = given["image"]
    assert container["image"] == f"{image['repository']}@{image['digest']}"
    (plugin,) = [one for one in objects if one["kind"] == "WasmPlugin"]
    assert plugin["spec"]["url"] == given["filter"]["module"]["url"]
    assert plugin["spec"]["sha256"] == given["filter"]["module"]["sha256"]


def test_the_chart_takes_the_values_of_the_operations_page(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```", OPERATIONS, re.M | re.S)
    path = tmp_path / "values.yaml"
    path.write_text(example)
    assert chart.objects(chart.rendered([path]))


def test_the_operations_page_names_files_that_are_there() -> None:
    named = set(re.findall(r"`((?:istio|images|filter)/[\w./-]+)`", OPERATIONS))
    assert len(named) > 5
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_both_name_the_charts_version_and_namespace() -> None:
    version = yaml.safe_load((chart.CHART / "Chart.yaml").read_text())["version"]
    assert argocd()["source"]["targetRevision"] == version
    assert document("flux.yaml", "OCIRepository")["ref"]["semver"] == version
    assert argocd()["destination"]["namespace"] == chart.NAMESPACE
