"""Envoy processes: start, statistics, configuration updates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from rig import bootstrap, http
from rig.bootstrap import Document, Filter, Sidecar
from rig.ports import free_port
from rig.process import Run
from rig.programs import envoy_binary

STAT_PREFIX = "wasmcustom.spanmesh."


@dataclass(frozen=True)
class SignalCounts:
    """The filter's own account of one signal, spans or logs, summed over all workers."""

    emitted: int = 0
    sent: int = 0
    sampled_out: int = 0
    filtered: int = 0
    retried: int = 0
    rejected: int = 0
    queue_full: int = 0
    export_failed: int = 0
    shutdown: int = 0

    @property
    def dropped(self) -> int:
        """What was lost, for whatever reason."""
        return self.queue_full + self.export_failed + self.shutdown

    @property
    def queued(self) -> int:
        """What is neither delivered nor lost yet, by the account's equation."""
        return self.emitted - self.sent - self.rejected - self.dropped

    def __add__(self, other: SignalCounts) -> SignalCounts:
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return SignalCounts(*(mine + theirs for mine, theirs in pairs))


@dataclass(frozen=True)
class FilterStats:
    """The filter's statistics in one Envoy."""

    spans: SignalCounts
    logs: SignalCounts
    queue_bytes: int
    config_rejected: int

    @classmethod
    def parse(cls, stats: dict[str, int]) -> FilterStats:
        """Read them out of Envoy's statistics, without the common prefix."""

        def counts(signal: str) -> SignalCounts:
            def value(name: str) -> int:
                return stats.get(f"{signal}.{name}", 0)

            return SignalCounts(
                value("emitted"),
                value("sent"),
                value("sampled_out"),
                value("filtered"),
                value("retried"),
                value("rejected"),
                value("dropped.queue_full"),
                value("dropped.export_failed"),
                value("dropped.shutdown"),
            )

        return cls(
            counts("spans"),
            counts("logs"),
            stats.get("queue_bytes", 0),
            stats.get("config.rejected", 0),
        )


class Envoy:
    """A running Envoy with the admin interface on `admin`."""

    def __init__(
        self,
        run: Run,
        name: str,
        document: Document,
        *,
        admin: int,
        concurrency: int = 2,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.admin = admin
        # A round through JSON, so that YAML needs no anchors for what is there twice.
        text = yaml.safe_dump(json.loads(json.dumps(document)), sort_keys=False)
        config = run.write(f"{name}.envoy.yaml", text)
        self.process = run.spawn(
            f"{name}.envoy",
            [
                envoy_binary(),
                "--config-path",
                config,
                "--disable-hot-restart",
                "--concurrency",
                str(concurrency),
                "--log-level",
                "warning",
                "--component-log-level",
                "wasm:info,config:info",
                # A listener that is replaced closes its old connections at once.
                "--drain-time-s",
                "1",
                "--drain-strategy",
                "immediate",
            ],
            env,
        )

    def wait_ready(self) -> None:
        """Wait until it serves."""
        self.process.wait_until(self._ready, "Envoy was ready")

    def _ready(self) -> bool:
        try:
            return http.request(self.admin, "/ready", timeout=2).status == 200
        except OSError:
            return False

    def stats(self, pattern: str = ".*") -> dict[str, int]:
        """Return the counters and gauges whose names match the regular expression."""
        answer = http.request(self.admin, f"/stats?format=json&filter={pattern}")
        entries: list[dict[str, Any]] = json.loads(answer.body)["stats"]
        return {entry["name"]: entry["value"] for entry in entries if "name" in entry}

    def filter_stats(self) -> FilterStats:
        """Return the filter's statistics."""
        return FilterStats.parse(self.raw_filter_stats())

    def raw_filter_stats(self) -> dict[str, int]:
        """Return the filter's statistics by name, without the common prefix."""
        found = self.stats("^wasmcustom%5C.")
        return {
            name.removeprefix(STAT_PREFIX): value
            for name, value in found.items()
            if name.startswith(STAT_PREFIX)
        }

    def resident_bytes(self) -> int:
        """Return how much of its memory is resident."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
        return int(line.split()[1]) * 1024

    @property
    def log(self) -> str:
        """What it has logged."""
        return self.process.log.read_text(errors="replace")


class SidecarEnvoy(Envoy):
    """An Envoy that runs a `Sidecar`."""

    def __init__(self, run: Run, sidecar: Sidecar, *, concurrency: int = 2) -> None:
        self.sidecar = sidecar
        self.inbound = free_port()
        self.outbound = free_port()
        self._run = run
        self._version = 0
        # One run may have several sidecars of one name.
        name = f"{sidecar.name}-{self.inbound}"
        self._lds = run.directory / f"{name}.lds.yaml"
        self._ecds = {"spanmesh": run.directory / f"{name}.ecds.yaml"}
        self._publish()
        admin = free_port()
        document = bootstrap.bootstrap(
            sidecar,
            inbound=self.inbound,
            outbound=self.outbound,
            admin=admin,
            lds=self._lds,
            ecds=self._ecds,
        )
        super().__init__(run, name, document, admin=admin, concurrency=concurrency)

    def _publish(self) -> None:
        """Write the files that Envoy watches."""
        self._version += 1
        plugin = self.sidecar.filter
        if plugin is not None and plugin.delivery == "ecds":
            resource = bootstrap.any_of(
                "envoy.config.core.v3.TypedExtensionConfig",
                name="spanmesh",
                typed_config=bootstrap.wasm_configuration(plugin),
            )
            self._write(self._ecds["spanmesh"].name, [resource])
        if self.sidecar.listeners == "lds":
            documents = bootstrap.listeners(self.sidecar, self.inbound, self.outbound, self._ecds)
            self._write(
                self._lds.name,
                [
                    bootstrap.any_of("envoy.config.listener.v3.Listener", **listener)
                    for listener in documents
                ],
            )

    def _write(self, name: str, resources: list[Document]) -> None:
        document = {"version_info": str(self._version), "resources": resources}
        self._run.write(name, yaml.safe_dump(document, sort_keys=False))

    def lose_filter(self) -> None:
        """Put into the filter's place what Istio's agent does when a module cannot be fetched."""
        self._version += 1
        resource = bootstrap.any_of(
            "envoy.config.core.v3.TypedExtensionConfig",
            name="spanmesh",
            typed_config=bootstrap.any_of("envoy.extensions.filters.http.rbac.v3.RBAC"),
        )
        self._write(self._ecds["spanmesh"].name, [resource])

    def update_filter(self, plugin: Filter) -> None:
        """Give the running Envoy another configuration of the filter."""
        self.sidecar = replace(self.sidecar, filter=plugin)
        self._publish()

    def update_counts(self) -> tuple[int, int]:
        """Return how many updates of filter and listeners Envoy has taken and refused."""
        stats = self.stats("(lds|extension_config_discovery).*update_(success|rejected)")
        taken = sum(value for name, value in stats.items() if name.endswith("update_success"))
        refused = sum(value for name, value in stats.items() if name.endswith("update_rejected"))
        return taken, refused
