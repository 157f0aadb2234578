"""The Helm chart as it is committed: what is written from elsewhere, the schema, the package."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from rig import chart
from rig.chart import CHART, EXAMPLES, HELM_VERSIONS, KUBERNETES, NAMES
from rig.process import ROOT


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", CHART.parent / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up.
    sys.modules["generate"] = module
    spec.loader.exec_module(module)
    return module


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
