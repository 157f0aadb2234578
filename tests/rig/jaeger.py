"""Jaeger as a process, and what its API says it was sent.

Its module replaces another one, so that `go install` refuses it: it is built in its own source.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format

from rig import http
from rig.otlp import TRACES, Request
from rig.ports import free_port, listens
from rig.process import ROOT, RigError, Run

VERSION = "1.76.0"
"""The last one that the module proxy has; later tags do not fit the module's path."""

_MODULE = "github.com/jaegertracing/jaeger"
_IDS = {"traceId", "spanId", "parentSpanId"}

PROGRAM = ROOT / ".go" / "bin" / f"jaeger-{VERSION}"
"""Where it is once it is built."""


def built() -> Path:
    """Return the binary; build it first, which takes some minutes, if it is not there."""
    if PROGRAM.exists():
        return PROGRAM
    print(f"build: Jaeger {VERSION}", flush=True)
    told = json.loads(_go(["mod", "download", "-json", f"{_MODULE}@v{VERSION}"], ROOT))
    # The module's cache may not be written to.
    source = ROOT / ".run" / f"jaeger-{VERSION}"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(told["Dir"], source, copy_function=shutil.copyfile)
    for folder in [source, *(one for one in source.rglob("*") if one.is_dir())]:
        folder.chmod(0o755)
    partial = PROGRAM.with_suffix(".partial")
    PROGRAM.parent.mkdir(parents=True, exist_ok=True)
    _go(["build", "-o", str(partial), "./cmd/jaeger"], source)
    partial.rename(PROGRAM)
    shutil.rmtree(source)
    return PROGRAM


def _go(arguments: list[str], folder: Path) -> str:
    installed = ROOT / ".venv" / "bin" / "go"
    program = shutil.which("go") or (str(installed) if installed.exists() else None)
    if program is None:
        raise RigError("go is missing: run `make setup-go`, or install Go 1.25 or newer")
    done = subprocess.run(
        [program, *arguments],
        cwd=folder,
        env={**os.environ, "GOFLAGS": "-mod=mod", "GOWORK": "off"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RigError(f"go {arguments[0]} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


class Jaeger:
    """A Jaeger that receives OTLP/gRPC and keeps traces in memory."""

    def __init__(self, run: Run) -> None:
        self.port = free_port()
        self._query = free_port()
        config = run.write("jaeger.yaml", yaml.safe_dump(self._configuration()))
        process = run.spawn("jaeger", [built(), "--config", config])
        process.wait_until(lambda: listens(self.port) and listens(self._query), "Jaeger listened")

    def _configuration(self) -> dict[str, Any]:
        pipeline = {"receivers": ["otlp"], "exporters": ["jaeger_storage_exporter"]}
        return {
            "extensions": {
                "jaeger_storage": {"backends": {"kept": {"memory": {"max_traces": 100_000}}}},
                "jaeger_query": {
                    "storage": {"traces": "kept"},
                    # Spans of its own, to a fixed port.
                    "enable_tracing": False,
                    "http": {"endpoint": f"127.0.0.1:{self._query}"},
                    "grpc": {"endpoint": f"127.0.0.1:{free_port()}"},
                },
            },
            "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{self.port}"}}}},
            "exporters": {"jaeger_storage_exporter": {"trace_storage": "kept"}},
            "service": {
                "extensions": ["jaeger_storage", "jaeger_query"],
                "pipelines": {"traces": pipeline},
                "telemetry": {"metrics": {"level": "none"}},
            },
        }

    def trace(self, trace_id: bytes) -> Request | None:
        """Return a trace as it was received, if there is one."""
        target = f"/api/v3/traces/{trace_id.hex()}?raw_traces=true"
        answer = http.request(self._query, target)
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise RigError(f"Jaeger answered {answer.status}: {answer.text[:500]}")
        found: Any = json.loads(answer.text)["result"]
        request = TRACES.request()
        return json_format.ParseDict(_ids_to_base64(found), request, ignore_unknown_fields=True)


def _ids_to_base64(node: Any) -> Any:
    """Turn ids in hex, as OTLP's JSON has them, into what protobuf's JSON has."""
    if isinstance(node, dict):
        return {
            key: base64.b64encode(bytes.fromhex(value)).decode()
            if key in _IDS
            else _ids_to_base64(value)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_ids_to_base64(item) for item in node]
    return node
