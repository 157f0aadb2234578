"""The pages on the filter say what its sources and its schema say, name by name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from rig.process import ROOT

SOURCES = ROOT / "filter" / "src"
DOCS = ROOT / "docs"
SCHEMA = json.loads((ROOT / "filter" / "schema.json").read_text())
STRING_VALUE = "type.googleapis.com/google.protobuf.StringValue"
ISTIO = [path for path in (ROOT / "istio").rglob("*.yaml") if "chart" not in path.parts]
SHIPPED = sorted([*(ROOT / "envoy").rglob("*.yaml"), *ISTIO])


def rows(page: str, heading: str) -> Iterator[list[str]]:
    """Give the cells of each row of the tables between a heading and the next."""
    text = (DOCS / page).read_text()
    found = re.search(rf"^#+ {re.escape(heading)}$", text, re.M)
    assert found, f"{page} has no heading {heading!r}"
    section = re.split(r"^#+ ", text[found.end() :], maxsplit=1, flags=re.M)[0]
    for line in section.splitlines():
        if line.startswith("| `"):
            cells = re.split(r"(?<!\\)\|", line)[1:-1]
            yield [cell.strip().replace(r"\|", "|") for cell in cells]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def configurations(value: Any) -> Iterator[Any]:
    """Give each configuration of the filter in a document of Envoy's or Istio's."""
    if isinstance(value, list):
        for item in value:
            yield from configurations(item)
    elif isinstance(value, dict):
        if "pluginConfig" in value:
            yield value["pluginConfig"]
        configuration = value.get("configuration")
        if isinstance(configuration, dict) and configuration.get("@type") == STRING_VALUE:
            yield json.loads(configuration["value"])
        for item in value.values():
            yield from configurations(item)


def found_in(text: str) -> list[Any]:
    return [one for document in yaml.safe_load_all(text) for one in configurations(document)]


def leaves(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for key, below in schema["properties"].items():
        if "properties" in below:
            yield from leaves(below, f"{path}{key}.")
        else:
            yield f"{path}{key}", below


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_shipped_configurations_follow_the_schema() -> None:
    pages = [*DOCS.glob("*.md"), *ROOT.glob("*.md"), ROOT / "istio" / "README.md"]
    texts = [(path, path.read_text()) for path in SHIPPED]
    for page in pages:
        blocks = re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.M | re.S)
        texts += [(page, block) for block in blocks]
    shipped: dict[Path, int] = {}
    for path, text in texts:
        for configuration in found_in(text):
            Draft202012Validator(SCHEMA).validate(configuration)
            shipped[path] = shipped.get(path, 0) + 1
    names = {str(path.relative_to(ROOT)) for path in shipped}
    assert names >= {
        "README.md",
        "docs/filter.md",
        "envoy/compose/envoy.yaml",
        "envoy/sidecar.yaml",
        "istio/envoyfilter/envoyfilter.yaml",
        "istio/wasmplugin/wasmplugin.yaml",
    }


def test_the_table_of_keys_has_the_schemas_keys_and_defaults() -> None:
    table = rows("filter.md", "Configuration")
    documented = {code(key)[0]: default for key, _, default, _ in table}
    assert set(documented) == {path for path, _ in leaves(SCHEMA)}
    for path, leaf in leaves(SCHEMA):
        if "default" not in leaf:
            continue
        shown = code(documented[path])[0]
        try:
            assert json.loads(shown) == leaf["default"], path
        except json.JSONDecodeError:
            assert shown == leaf["default"], path


def test_every_statistic_has_a_row_with_its_prometheus_name() -> None:
    source = (SOURCES / "stats.rs").read_text()
    own, of_signals = source.split("impl RecordStats", 1)
    names = re.findall(r'\b(?:counter|Gauge::define|Histogram::define)\((?:host, )?"(.+?)"\)', own)
    each = re.findall(r'counter\("(.+?)"\)', of_signals)
    names = {f"wasmcustom.spanmesh.{name}" for name in [*names, *(f"SIGNAL.{n}" for n in each)]}
    assert len(names) > 20
    documented = {}
    for envoy, prometheus, *_ in rows("filter-operations.md", "Statistics"):
        documented[code(envoy)[0]] = code(prometheus)[0]
    assert set(documented) == names
    for envoy, prometheus in documented.items():
        assert prometheus == envoy.removeprefix("wasmcustom.").replace(".", "_")


def test_every_attribute_has_a_row_and_every_row_an_attribute() -> None:
    source = (SOURCES / "semconv.rs").read_text().split("#[cfg(test)]")[0]
    known = set(re.findall(r'"([a-z_0-9]+(?:\.[a-z_0-9]+)+\.?)"', source))
    known -= {"spanmesh.access"}  # The event's name.
    known = {f"{name}NAME" if name.endswith(".") else name for name in known}
    assert len(known) > 50
    headings = re.findall(r"^#+ (.+)$", (DOCS / "filter-records.md").read_text(), re.M)
    tables = [row for heading in headings for row in rows("filter-records.md", heading)]
    documented = [name for first, *_ in tables for name in code(first) if "." in name]
    assert len(documented) == len(set(documented))
    assert set(documented) == known


def test_the_table_of_response_flags_is_the_codes() -> None:
    source = (SOURCES / "record" / "flags.rs").read_text()

    def listed(name: str) -> list[str]:
        block = re.search(rf"const {name}: \[&str; \d+\] = \[(.*?)\];", source, re.S)
        assert block
        return re.findall(r'"(\w+)"', block[1])

    table = list(rows("filter-records.md", "Response flags"))
    assert [code(flag)[0] for flag, *_ in table] == listed("NAMES")
    cut = {code(row[0])[0] for row in table if row[-1] == "yes"}
    assert cut == set(listed("BROKEN"))


@pytest.mark.parametrize("name", ["GRPC_CODES", "GRPC_SERVER_ERRORS"])
def test_the_table_of_grpc_codes_is_the_codes(name: str) -> None:
    source = (SOURCES / "record" / "outcome.rs").read_text()
    block = re.search(rf"const {name}: \[.*?\] = \[(.*?)\];", source, re.S)
    assert block
    table = list(rows("filter-records.md", "gRPC status codes"))
    if name == "GRPC_CODES":
        names = [code(row[1])[0] for row in table]
        assert names == re.findall(r'"(\w+)"', block[1])
    else:
        errors = [code(row[0])[0] for row in table if row[2] == "ERROR"]
        assert errors == re.findall(r"\d+", block[1])
