"""The collectors that are compared, each with the same work: receive OTLP/gRPC, batch by 8192 spans
or 200 ms, which is the default of all of them, and send OTLP/gRPC."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from rig.collector import Collector, Ports, configuration
from rig.ports import free_port, listens
from rig.process import Process, RigError, Run
from rig.programs import collector_binary

from bench.collector import otelcol

Compression = Literal["gzip", "none"]


@dataclass(frozen=True)
class Running:
    """A collector that runs."""

    process: Process
    port: int
    """Where it receives OTLP/gRPC."""


@dataclass(frozen=True)
class Contender:
    """A collector and how it compresses what it sends."""

    name: str
    version: str
    compression: Compression
    start: Callable[[Run, int], Running]
    """Starts it: a run, and the port to send to."""

    @property
    def label(self) -> str:
        """Its name and what it was told about compression."""
        return f"{self.name}, {'gzip' if self.compression == 'gzip' else 'no compression'}"


def ours(compression: Compression, *, durable: bool = False) -> Contender:
    """Return our collector, with its queue on disk and every answer synced if it is durable."""

    def start(run: Run, target: int) -> Running:
        ports = Ports.free()
        document = configuration(ports, {"otlp_grpc": _exporter(target, compression)})
        document["processors"]["batch"] = {}
        if durable:
            document["exporters"]["otlp_grpc"]["sending_queue"] = {"storage": "file_storage"}
            document["extensions"]["file_storage"] = {"directory": str(run.directory / "storage")}
            document["service"]["extensions"].append("file_storage")
        collector = Collector(run, document, ports=ports)
        return Running(collector.process, ports.grpc)

    name = "Spanmesh, durable" if durable else "Spanmesh"
    return Contender(name, _version(collector_binary()), compression, start)


def rotel() -> Contender:
    """Return rotel. The build on PyPI compresses whatever its options say."""
    program = Path(sysconfig.get_path("purelib")) / "rotel" / "rotel-agent"
    program = Path(os.environ.get("SPANMESH_BENCH_ROTEL", program))
    if not program.exists():
        raise RigError(f"no rotel at {program}: run `make bench`, which installs it")

    def start(run: Run, target: int) -> Running:
        port = free_port()
        argv: list[str | Path] = [
            program,
            "start",
            f"--otlp-grpc-endpoint=127.0.0.1:{port}",
            f"--otlp-http-endpoint=127.0.0.1:{free_port()}",
            "--exporter=otlp",
            f"--otlp-exporter-endpoint=http://127.0.0.1:{target}",
            "--otlp-exporter-compression=gzip",
            f"--pid-file={run.directory / 'rotel.pid'}",
            f"--log-file={run.directory / 'rotel.own.log'}",
        ]
        return _listening(run.spawn("rotel", argv), port)

    return Contender("rotel", _version(program), "gzip", start)


def otelcol_peer(compression: Compression) -> Contender:
    """Return the OpenTelemetry Collector, built here if it has not been built yet."""
    program = otelcol.built()

    def start(run: Run, target: int) -> Running:
        port = free_port()
        pipeline = {"receivers": ["otlp"], "processors": ["batch"], "exporters": ["otlp_grpc"]}
        document: dict[str, Any] = {
            "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{port}"}}}},
            "processors": {"batch": {}},
            "exporters": {"otlp_grpc": _exporter(target, compression)},
            "service": {
                # Its own metrics would listen on a fixed port.
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {"traces": pipeline, "logs": pipeline, "metrics": pipeline},
            },
        }
        config = run.write("otelcol.yaml", yaml.safe_dump(document, sort_keys=False))
        return _listening(run.spawn("otelcol", [program, "--config", config]), port)

    return Contender("otelcol", otelcol.VERSION, compression, start)


def _exporter(target: int, compression: Compression) -> dict[str, Any]:
    return {
        "endpoint": f"127.0.0.1:{target}",
        "tls": {"insecure": True},
        "compression": compression,
    }


def _listening(process: Process, port: int) -> Running:
    process.wait_until(lambda: listens(port), f"{process.name} listened")
    return Running(process, port)


def _version(program: Path) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RigError(f"{program} --version ended with status {done.returncode}")
    return done.stdout.split()[-1]
