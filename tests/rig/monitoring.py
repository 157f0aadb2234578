"""The shipped monitoring: rules, alerts, dashboards, and promtool."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from rig.process import ROOT, RigError

MONITORING = ROOT / "istio" / "monitoring"
RULES = sorted((MONITORING / "rules").glob("*.yaml"))
DASHBOARDS = sorted((MONITORING / "dashboards").glob("*.json"))


def prometheus_binary(name: str) -> str:
    """Return a program of Prometheus, `prometheus` or `promtool`."""
    path = shutil.which(name)
    if path is None:
        raise RigError(f"{name} is missing: run `make setup`, or install prometheus")
    return path


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool."""
    argv = [prometheus_binary("promtool"), *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def rules(kind: str) -> dict[str, dict[str, Any]]:
    """Return all rules of a kind, `alert` or `record`, by their names."""
    found: dict[str, dict[str, Any]] = {}
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                if kind in rule:
                    assert rule[kind] not in found, f"{rule[kind]} is there twice"
                    found[rule[kind]] = rule
    return found
