"""The collector as a process, and its own metrics."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rig import http, records
from rig.ports import free_port, listens
from rig.process import Process, RigError, Run
from rig.programs import collector_binary
from rig.records import Telemetry

_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Ports:
    """The loopback ports of a collector."""

    grpc: int
    http: int
    metrics: int
    health: int

    @classmethod
    def free(cls) -> Ports:
        """Choose ports."""
        return cls(free_port(), free_port(), free_port(), free_port())


def file_configuration(ports: Ports, output: Path) -> dict[str, Any]:
    """Return a configuration that writes traces, logs and metrics to one file."""
    exporters = {"file": {"path": str(output), "flush_interval": "100ms"}}
    return configuration(ports, exporters)


def configuration(ports: Ports, exporters: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration: OTLP in, batches of at most 100 ms, every exporter."""
    pipeline = {"receivers": ["otlp"], "processors": ["batch"], "exporters": list(exporters)}
    return {
        "receivers": {
            "otlp": {
                "protocols": {
                    "grpc": {"endpoint": f"127.0.0.1:{ports.grpc}"},
                    "http": {"endpoint": f"127.0.0.1:{ports.http}"},
                }
            }
        },
        "processors": {"batch": {"timeout": "100ms"}},
        "exporters": exporters,
        "extensions": {"health_check": {"endpoint": f"127.0.0.1:{ports.health}"}},
        "service": {
            "extensions": ["health_check"],
            "telemetry": {
                "metrics": {
                    "readers": [
                        {
                            "pull": {
                                "exporter": {
                                    "prometheus": {"host": "127.0.0.1", "port": ports.metrics}
                                }
                            }
                        }
                    ]
                }
            },
            "pipelines": {"traces": pipeline, "logs": pipeline, "metrics": pipeline},
        },
    }


@dataclass(frozen=True)
class Metrics:
    """The collector's own metrics at one moment."""

    samples: dict[tuple[str, frozenset[tuple[str, str]]], float]
    names: set[str]
    """Those of the metrics. A histogram has one, and its samples have others."""

    @classmethod
    def parse(cls, text: str) -> Metrics:
        """Parse Prometheus text format."""
        samples = {}
        for line in text.splitlines():
            if not line or line.startswith("#"):
                continue
            found = _SAMPLE.match(line)
            if found is None:
                raise ValueError(f"not a line of the Prometheus text format: {line!r}")
            name, labels, value = found.groups()
            samples[name, frozenset(_LABEL.findall(labels or ""))] = float(value)
        return cls(samples, set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE)))

    def total(self, name: str, **labels: str) -> int:
        """Sum a metric over every series that has these labels. Unknown names count as 0."""
        wanted = set(labels.items())
        return int(
            sum(v for (key, have), v in self.samples.items() if key == name and wanted <= have)
        )


class Collector:
    """A running collector."""

    process: Process

    def __init__(
        self,
        run: Run,
        config: dict[str, Any] | None = None,
        *,
        ports: Ports | None = None,
        name: str = "collector",
        arguments: Sequence[str] = (),
    ) -> None:
        """Start one. Without a configuration it writes everything to a file in the run's folder."""
        self._run = run
        self._arguments = arguments
        self.name = name
        self.ports = ports or Ports.free()
        self.output = run.directory / f"{name}.jsonl"
        document = config or file_configuration(self.ports, self.output)
        self.config = run.write(f"{name}.yaml", yaml.safe_dump(document, sort_keys=False))
        self.start()

    def start(self) -> None:
        """Start it, also again after a stop."""
        argv = [collector_binary(), "--config", self.config, *self._arguments]
        self.process = self._run.spawn(self.name, argv)
        self.process.wait_until(self._ready, "the collector was ready")

    def _ready(self) -> bool:
        if not (listens(self.ports.grpc) and listens(self.ports.metrics)):
            return False
        try:
            # Its ports are opened one after the other; this is there once everything has started.
            return "spanmesh_config_last_reload_success_timestamp_seconds" in self.metrics().names
        except OSError:
            return False

    def stop(self) -> int:
        """Ask it to end and return its exit status."""
        # More than it gives itself to deliver what waits.
        self.process.stop(60)
        status = self.process.exit_status
        if status is None:
            raise RigError(f"{self.name} did not end")
        return status

    def metrics(self) -> Metrics:
        """Read its own metrics."""
        return Metrics.parse(http.request(self.ports.metrics, "/metrics").text)

    def telemetry(self) -> Telemetry:
        """Read what the `file` exporter has written so far."""
        return records.read_json_lines(self.output)
