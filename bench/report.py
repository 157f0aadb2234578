"""Results as Markdown."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Sequence
from pathlib import Path

from rig.process import ROOT, RigError


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; every column but the first is aligned to the right."""
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *rows])


def machine() -> str:
    """Return what was measured on and when, in one line."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    load, _, _ = os.getloadavg()
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return (
        f"{today}, {os.cpu_count()} processors ({model}), Linux {kernel(platform.release())}, "
        f"load average {load:.1f} at the end"
    )


def kernel(release: str) -> str:
    """Return a kernel's major and minor version: the rest names a machine's own build."""
    return ".".join(release.split(".")[:2])


def publish(name: str, text: str) -> None:
    """Print a report, and keep it as `dist/bench/NAME.md`."""
    folder = ROOT / "dist" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.md"
    path.write_text(text + "\n")
    print(f"\n{text}\n\nkept as {path.relative_to(ROOT)}", flush=True)


def record(document: Path, name: str, text: str) -> None:
    """Put a report into a document, in place of what is between the markers of this name."""
    begin, end = f"<!-- bench {name} -->", f"<!-- end of bench {name} -->"
    before, found, rest = document.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise RigError(f"{document} has no place for {name}: expected {begin} and {end}")
    document.write_text(f"{before}{begin}\n{text}\n{end}{after}")
