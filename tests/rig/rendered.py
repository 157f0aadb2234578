"""Collectors that the chart has rendered, run on this machine: its ports, its certificates."""

from __future__ import annotations

import re
from typing import Any

import yaml

from rig.certificates import Authority, Identity
from rig.collector import Collector, Ports
from rig.http_sink import HttpSink
from rig.ports import free_port
from rig.process import Run
from rig.sink import Sink

_SERVICES = {
    "spanmesh-collector": "spanmesh-collector",
    "spanmesh-collector-headless": "spanmesh-collector",
    "spanmesh-collector-agent": "spanmesh-collector-agent",
}
"""Which collector a Service of the chart leads to."""

_SERVER = "spanmesh-collector"
"""The name in the collectors' certificate."""


class Mesh:
    """The collectors of one rendering, wired as their Services would, and two back ends.

    Everything that leaves them goes to the back ends: OTLP/gRPC to one, OTLP/HTTP to the other.
    """

    def __init__(self, run: Run, configurations: dict[str, str]) -> None:
        self._run = run
        self.grpc_sink = Sink().start()
        run.on_close(self.grpc_sink.stop)
        self.http_sink = HttpSink()
        self.http_sink.__enter__()
        run.on_close(lambda: self.http_sink.__exit__())
        self.documents = {name: yaml.safe_load(text) for name, text in configurations.items()}
        self.identity = self._certificates() if "spanmesh-tls" in str(configurations) else None
        self.ports = {name: Ports.free() for name in self.documents}
        for name, document in self.documents.items():
            self._settle(document, self.ports[name], name)
        self.collectors = {
            name: Collector(run, document, ports=self.ports[name], name=name)
            for name, document in self.documents.items()
        }

    def _certificates(self) -> Identity:
        return Authority(self._run).issue(_SERVER)

    def _settle(self, document: dict[str, Any], ports: Ports, name: str) -> None:
        """Put this machine's ports, folders and files in the place of a pod's."""
        for receiver, options in document["receivers"].items():
            for protocol, served in options["protocols"].items():
                own = receiver == "otlp"
                port = getattr(ports, protocol) if own else free_port()
                served["endpoint"] = f"127.0.0.1:{port}"
                self._settle_files(served.get("tls"))
        document["extensions"]["health_check"]["endpoint"] = f"127.0.0.1:{ports.health}"
        if storage := document["extensions"].get("file_storage"):
            storage["directory"] = str(self._run.directory / f"queues-{name}")
        (reader,) = document["service"]["telemetry"]["metrics"]["readers"]
        reader["pull"]["exporter"]["prometheus"] = {"host": "127.0.0.1", "port": ports.metrics}
        for exporter, options in document.get("exporters", {}).items():
            if exporter.startswith("otlp_"):
                self._lead(exporter, options)

    def _lead(self, exporter: str, options: dict[str, Any]) -> None:
        """Lead an exporter to a collector of this rendering, or out of it."""
        service = options["endpoint"].removeprefix("https://").split(".")[0]
        if target := _SERVICES.get(service):
            options["endpoint"] = f"127.0.0.1:{self.ports[target].grpc}"
            tls = options["tls"]
            if not tls.get("insecure"):
                self._settle_files(tls)
                tls["server_name_override"] = _SERVER
        elif exporter.startswith("otlp_http"):
            options["endpoint"] = f"http://127.0.0.1:{self.http_sink.port}"
            options["compression"] = "none"
        else:
            options["endpoint"] = f"127.0.0.1:{self.grpc_sink.port}"
            options["tls"] = {"insecure": True}

    def _settle_files(self, tls: dict[str, Any] | None) -> None:
        if tls is None:
            return
        assert self.identity is not None
        files = {
            "tls.crt": self.identity.certificate,
            "tls.key": self.identity.key,
            "ca.crt": self.identity.authority,
        }
        for key, value in tls.items():
            if found := re.fullmatch(r"/etc/spanmesh-tls/(.*)", str(value)):
                tls[key] = str(files[found[1]])

    def arrived(self) -> set[str]:
        """Return the ids of the spans that are at the back ends."""
        spans = [*self.grpc_sink.telemetry().spans, *self.http_sink.telemetry().spans]
        return {span.span_id for span in spans}
