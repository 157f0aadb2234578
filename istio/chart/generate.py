"""Writes the parts of the chart that come from elsewhere in the tree, so that no one edits a copy.

- `spanmesh/files/`: alerts and dashboards, from `istio/monitoring`. A chart takes no files from
  outside its folder.
- `$defs.filterConfig` of `spanmesh/values.schema.json`, from `filter/schema.json`.
- The tables of values in `spanmesh/README.md`, from `spanmesh/values.yaml`.
- `examples/*/rendered.yaml`, from the chart and the `values.yaml` beside it.

`make chart` calls it; the tests hold what is there against it.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CHART = HERE / "spanmesh"
EXAMPLES = HERE / "examples"
MONITORING = ROOT / "istio" / "monitoring"

_KEY = re.compile(r"^( *)([A-Za-z][\w.]*):")
_MARK = "<!-- values: {} -->"
_END = "<!-- /values -->"


@dataclass(frozen=True)
class Value:
    """One row of the tables: a value with its path, its default and what it means."""

    path: str
    default: Any
    text: str


def values() -> list[Value]:
    """Read values.yaml with its comments: every key that is not a mapping of further keys.

    A comment line `@whole` makes a mapping one value.
    """
    text = (CHART / "values.yaml").read_text()
    document = yaml.safe_load(text)
    found: list[Value] = []
    path: list[tuple[int, str]] = []
    comment: list[str] = []
    inside: int | None = None
    for line in text.splitlines():
        stripped = line.strip()
        indent = len(line) - len(line.lstrip())
        if inside is not None and (not stripped or indent > inside):
            continue
        inside = None
        if not stripped:
            comment = []
        elif stripped.startswith("#"):
            comment.append(stripped.removeprefix("#").strip())
        elif match := _KEY.match(line):
            path = [(depth, key) for depth, key in path if depth < indent] + [(indent, match[2])]
            here: Any = document
            for _, key in path:
                here = here[key]
            whole = "@whole" in comment
            if whole or not (isinstance(here, dict) and here):
                name = ".".join(key for _, key in path)
                words = " ".join(line for line in comment if line != "@whole")
                found.append(Value(name, here, words))
                inside = indent
            comment = []
    return found


def table(prefix: str) -> str:
    """Return the table of the values below `prefix`; with an empty one, those at the top."""
    rows = ["| value | default | meaning |", "|---|---|---|"]
    for value in values():
        top, _, rest = value.path.partition(".")
        if (top if rest else "") == prefix:
            default = json.dumps(value.default).replace("|", "\\|")
            rows.append(
                f"| `{value.path}` | `{default}` | {value.text.replace('|', chr(92) + '|')} |"
            )
    return "\n".join(rows)


def readme() -> str:
    """Return README.md with its tables as values.yaml has them."""
    text = (CHART / "README.md").read_text()

    def filled(match: re.Match[str]) -> str:
        return f"{_MARK.format(match[1])}\n{table(match[1])}\n{_END}"

    pattern = re.escape(_MARK).replace(re.escape("{}"), r"(\w*)") + r"\n.*?" + re.escape(_END)
    return re.sub(pattern, filled, text, flags=re.DOTALL)


def schema() -> str:
    """Return values.schema.json with the filter's own schema in it."""
    document = json.loads((CHART / "values.schema.json").read_text())
    of_filter = json.loads((ROOT / "filter" / "schema.json").read_text())
    # A schema within a schema: its references are its own.
    document["$defs"]["filterConfig"] = {"$id": "urn:spanmesh:filter:config", **of_filter}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def generated() -> dict[Path, str]:
    """Return what has to be in which file."""
    files = {CHART / "README.md": readme(), CHART / "values.schema.json": schema()}
    for folder, suffix in (("rules", "yaml"), ("dashboards", "json")):
        for source in sorted((MONITORING / folder).glob(f"*.{suffix}")):
            files[CHART / "files" / folder / source.name] = source.read_text()
    return files


def surplus() -> list[Path]:
    """Return files whose sources are gone."""
    wanted = set(generated())
    return sorted(
        path for path in (CHART / "files").rglob("*") if path.is_file() and path not in wanted
    )


def rendered(helm: Path, values: Path) -> str:
    """Render the chart. The two lines of Helm differ in empty lines, so there are none."""
    argv = [helm, "template", "spanmesh", CHART, "--namespace", "observability"]
    # A Helm that was built by `go install` takes itself for one of an old Kubernetes.
    argv += ["--kube-version", "1.34.0", "--values", values]
    done = subprocess.run([str(part) for part in argv], capture_output=True, text=True, check=True)
    return "\n".join(line for line in done.stdout.splitlines() if line.strip()) + "\n"


def main() -> int:
    """Write what differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--helm", type=Path, required=True, help="the Helm that renders")
    helm = parser.parse_args().helm
    for path in surplus():
        path.unlink()
        print(f"{path.relative_to(ROOT)}: removed")
    # The examples last, since the chart that they are rendered with is written first.
    files = generated()
    for path, text in files.items():
        _write(path, text)
    for values in sorted(EXAMPLES.glob("*/values.yaml")):
        _write(values.with_name("rendered.yaml"), rendered(helm, values))
    return 0


def _write(path: Path, text: str) -> None:
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    print(f"{path.relative_to(ROOT)}: written")


if __name__ == "__main__":
    sys.exit(main())
