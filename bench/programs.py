"""Where the benchmarks' own programs are."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from rig.process import ROOT, RigError

_TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
_MODULES = _TARGET / "wasm32-wasip1" / "module"


def empty_filter() -> Path:
    """Return the module that does nothing."""
    return _built(_MODULES / "spanmesh_bench_empty_filter.wasm")


def probe_filter() -> Path:
    """Return the module that makes hostcalls."""
    return _built(_MODULES / "spanmesh_bench_probe_filter.wasm")


def load() -> Path:
    """Return the load generator."""
    return _built(_TARGET / "release" / "bench-load")


def sink() -> Path:
    """Return the sink."""
    return _built(_TARGET / "release" / "bench-sink")


def h2load() -> str:
    """Return h2load."""
    found = shutil.which("h2load")
    if found is None:
        raise RigError("h2load is missing: on Debian install nghttp2-client")
    return found


def _built(path: Path) -> Path:
    if not path.exists():
        raise RigError(f"no {path.name} at {path}: run `make bench-programs`")
    return path
