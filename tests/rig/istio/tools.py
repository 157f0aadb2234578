"""Where the programs are that `tests/istio/build-tools` builds."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path

from rig.process import ROOT, RigError

_BUILD = ROOT / "tests" / "istio" / "build-tools"


@cache
def tool(name: str) -> Path:
    """Return `rig`, `istioctl` or `pilot-agent`.

    SPANMESH_ISTIO_TOOLS may name the folder; otherwise it is where the script puts them.
    """
    folder = os.environ.get("SPANMESH_ISTIO_TOOLS")
    if folder is None:
        folder = subprocess.run(
            [_BUILD, "--where"], capture_output=True, text=True, check=True
        ).stdout.strip()
    path = Path(folder) / name
    if not path.exists():
        raise RigError(f"no {name} in {folder}: run `make setup-istio`")
    return path
