"""The OpenTelemetry Collector with just what the comparison needs, built by its own builder."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import yaml
from rig.process import ROOT, RigError

VERSION = "0.159.0"

_CORE = f"v{VERSION}"
_STABLE = "v1.65.0"
"""The version of the modules that are stable in that release."""

_MODULES = "go.opentelemetry.io/collector"


PROGRAM = ROOT / "dist" / "bench" / f"otelcol-{VERSION}" / "otelcol"
"""Where it is once it is built."""


def built() -> Path:
    """Return the binary; build it first, which takes some minutes, if it is not there, or was built
    with other components."""
    program, folder = PROGRAM, PROGRAM.parent
    config = folder / "builder.yaml"
    wanted = yaml.safe_dump(_builder_configuration(folder), sort_keys=False)
    if program.exists() and config.exists() and config.read_text() == wanted:
        return program
    if shutil.which("go") is None:
        raise RigError("go is missing: otelcol is built from source; leave PEERS out to go without")
    print(f"build: otelcol {VERSION}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    config.unlink(missing_ok=True)
    source = folder / "build.yaml"
    source.write_text(wanted)
    _run(["go", "install", f"{_MODULES}/cmd/builder@{_CORE}"], {"GOBIN": str(folder)})
    _run([str(folder / "builder"), "--config", str(source)], {})
    # Said last, so that a build that was broken off is begun again.
    source.rename(config)
    return program


def _builder_configuration(folder: Path) -> dict[str, object]:
    return {
        "dist": {"name": "otelcol", "version": VERSION, "output_path": str(folder)},
        "receivers": [{"gomod": f"{_MODULES}/receiver/otlpreceiver {_CORE}"}],
        "processors": [{"gomod": f"{_MODULES}/processor/batchprocessor {_CORE}"}],
        "exporters": [
            {"gomod": f"{_MODULES}/exporter/{name} {_CORE}"}
            for name in ("otlpexporter", "nopexporter")
        ],
        "providers": [
            {"gomod": f"{_MODULES}/confmap/provider/{name} {_STABLE}"}
            # The one for files, and the one that values without a scheme belong to.
            for name in ("fileprovider", "envprovider")
        ],
    }


def _run(argv: list[str], env: dict[str, str]) -> None:
    done = subprocess.run(
        argv, env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RigError(f"{argv[0]} ended with status {done.returncode}:\n{done.stderr[-2000:]}")
