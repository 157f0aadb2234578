"""The collectors that are compared, each with the same work."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rig.collector import Collector, Ports, configuration
from rig.ports import free_port, listens
from rig.process import Process, RigError, Run
from rig.programs import collector_binary

from bench.collector import otelcol
from bench.collector.work import Compression, Transport, Work


@dataclass(frozen=True)
class Running:
    """A collector that runs."""

    process: Process
    ports: dict[Transport, int]
    """Where it receives."""


@dataclass(frozen=True)
class Contender:
    """A collector."""

    label: str
    version: str
    start: Callable[[Run, Work, int], Running]
    """Starts it: a run, what it has to do, and the port to send to."""


OURS = "Spanmesh"
DURABLE = "Spanmesh, queue on disk"
OTELCOL = "otelcol"
ROTEL = "rotel"


def compared(peers: Sequence[str]) -> list[Contender]:
    """Return ours, rotel, and the peers that were asked for."""
    found = [ours(), rotel()]
    return [*found, otelcol_peer()] if OTELCOL in peers else found


def ours(*, durable: bool = False) -> Contender:
    """Return our collector, with its queue on disk and every answer synced if it is durable."""

    def start(run: Run, work: Work, target: int) -> Running:
        ports = Ports.free()
        document = configuration(ports, {work.output: _exporter(work, target)})
        document["processors"]["batch"] = {}
        if work.output == "nop":
            for pipeline in document["service"]["pipelines"].values():
                pipeline["processors"] = []
        if durable:
            document["exporters"][work.output]["sending_queue"] = {"storage": "file_storage"}
            document["extensions"]["file_storage"] = {"directory": str(run.directory / "storage")}
            document["service"]["extensions"].append("file_storage")
        collector = Collector(run, document, ports=ports)
        return Running(collector.process, {"grpc": ports.grpc, "http": ports.http})

    return Contender(DURABLE if durable else OURS, _version(collector_binary()), start)


def rotel() -> Contender:
    """Return rotel. The build on PyPI compresses whatever its options say."""
    program = Path(sysconfig.get_path("purelib")) / "rotel" / "rotel-agent"
    program = Path(os.environ.get("SPANMESH_BENCH_ROTEL", program))
    if not program.exists():
        raise RigError(f"no rotel at {program}: run `make bench`, which installs it")

    def start(run: Run, work: Work, target: int) -> Running:
        ports: dict[Transport, int] = {"grpc": free_port(), "http": free_port()}
        argv: list[str | Path] = [
            program,
            "start",
            f"--otlp-grpc-endpoint=127.0.0.1:{ports['grpc']}",
            f"--otlp-http-endpoint=127.0.0.1:{ports['http']}",
            f"--pid-file={run.directory / 'rotel.pid'}",
            f"--log-file={run.directory / 'rotel.own.log'}",
        ]
        if work.output == "nop":
            argv += ["--exporter=blackhole"]
        else:
            argv += [
                "--exporter=otlp",
                f"--otlp-exporter-endpoint=http://127.0.0.1:{target}",
                f"--otlp-exporter-compression={work.compression}",
            ]
        return _listening(run.spawn("rotel", argv), ports)

    return Contender(ROTEL, _version(program), start)


def otelcol_peer() -> Contender:
    """Return the OpenTelemetry Collector, built here if it has not been built yet."""
    program = otelcol.built()

    def start(run: Run, work: Work, target: int) -> Running:
        ports: dict[Transport, int] = {"grpc": free_port(), "http": free_port()}
        protocols = {name: {"endpoint": f"127.0.0.1:{port}"} for name, port in ports.items()}
        pipeline = {
            "receivers": ["otlp"],
            "processors": [] if work.output == "nop" else ["batch"],
            "exporters": [work.output],
        }
        document: dict[str, Any] = {
            "receivers": {"otlp": {"protocols": protocols}},
            "processors": {"batch": {}},
            "exporters": {work.output: _exporter(work, target)},
            "service": {
                # Its own metrics would listen on a fixed port.
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {"traces": pipeline, "logs": pipeline, "metrics": pipeline},
            },
        }
        config = run.write("otelcol.yaml", yaml.safe_dump(document, sort_keys=False))
        return _listening(run.spawn("otelcol", [program, "--config", config]), ports)

    return Contender(OTELCOL, otelcol.VERSION, start)


def _exporter(work: Work, target: int) -> dict[str, Any]:
    if work.output == "nop":
        return {}
    compression: Compression = work.compression
    return {
        "endpoint": f"127.0.0.1:{target}",
        "tls": {"insecure": True},
        "compression": compression,
    }


def _listening(process: Process, ports: dict[Transport, int]) -> Running:
    process.wait_until(
        lambda: all(listens(port) for port in ports.values()), f"{process.name} listened"
    )
    return Running(process, ports)


def _version(program: Path) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RigError(f"{program} --version ended with status {done.returncode}")
    return done.stdout.split()[-1]
