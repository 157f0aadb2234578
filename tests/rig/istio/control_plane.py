"""Istio's control plane as a process, and what it is told."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Sequence
from typing import Any

import yaml

from rig.istio.manifests import Object
from rig.istio.tools import tool
from rig.istio.workloads import Workload
from rig.ports import free_port
from rig.process import Process, RigError, Run


class ControlPlane:
    """Istio's ADS for some objects, on a loopback port without TLS."""

    process: Process

    def __init__(
        self,
        run: Run,
        objects: Sequence[Object],
        *,
        mesh: dict[str, Any] | None = None,
        ambient: bool = False,
        name: str = "istiod",
    ) -> None:
        """Start one. `mesh` is a MeshConfig in place of the rig's own."""
        self._run = run
        self._arguments = ["-ambient"] if ambient else []
        if mesh is not None:
            self._arguments += ["-mesh", str(run.write(f"{name}.mesh.yaml", yaml.safe_dump(mesh)))]
        self.name = name
        self.port = free_port()
        self._directory = run.directory / f"{name}.objects"
        self._directory.mkdir()
        self.write(objects)
        self.start()

    @property
    def address(self) -> str:
        """Host and port of ADS."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, also again after an end."""
        served = self._said("rig: ADS on")
        argv = [tool("rig"), "serve", "-listen", self.address, *self._arguments, self._directory]
        self.process = self._run.spawn(self.name, argv)
        self.process.wait_until(
            lambda: self._said("rig: ADS on") > served, "the control plane served", timeout=60
        )

    def apply(self, objects: Sequence[Object]) -> None:
        """Change what it knows into these objects, as `kubectl apply` and `delete` do."""
        applied, refused = self._said("rig: applied"), self._said("rig: not applied")
        self.write(objects)
        self.process.send_signal(signal.SIGHUP)
        self.process.wait_until(
            lambda: (
                self._said("rig: applied") > applied or self._said("rig: not applied") > refused
            ),
            "the control plane took the objects",
            timeout=60,
        )
        if self._said("rig: not applied") > refused:
            raise RigError(f"the control plane refused the objects:\n{self.process.tail()}")

    def resources(
        self, kind: str, node: dict[str, Any], names: Sequence[str] = ()
    ) -> list[dict[str, Any]]:
        """Ask as a proxy does, and return the resources of one kind, such as `listeners`."""
        done = subprocess.run(
            [
                str(tool("rig")),
                "xds",
                "-server",
                self.address,
                "-node",
                node["id"],
                "-metadata",
                json.dumps(node["metadata"]),
                kind,
                *names,
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if done.returncode != 0:
            raise RigError(f"{self.name}: {kind}: {done.stderr.strip()}")
        # Istio's packages log to standard output, too.
        return json.loads(done.stdout.splitlines()[-1])

    def write(self, objects: Sequence[Object]) -> None:
        """Put down what it is to know from its next start on."""
        # In one step, since a reader of two files could see one of them of each state.
        text = yaml.safe_dump_all([json.loads(json.dumps(one)) for one in objects], sort_keys=False)
        partial = self._directory / "objects.partial"
        partial.write_text(text)
        partial.rename(self._directory / "objects.yaml")

    def _said(self, line: str) -> int:
        log = self._run.directory / f"{self.name}.log"
        text = log.read_text(errors="replace") if log.exists() else ""
        return sum(one.startswith(line) for one in text.splitlines())


def http_filters(control_plane: ControlPlane, workload: Workload) -> dict[str, list[str]]:
    """Return the HTTP filters of a workload's proxy in their order, by listener and filter chain.

    Those of the plugin are "spanmesh".
    """
    found = {}
    for listener in control_plane.resources("listeners", workload.node()):
        for chain in listener.get("filterChains", []):
            for filter_ in chain["filters"]:
                names = [one["name"] for one in filter_["typedConfig"].get("httpFilters", [])]
                if names:
                    found[f"{listener['name']} {chain.get('name', '')}".rstrip()] = [
                        "spanmesh" if "spanmesh" in name else name for name in names
                    ]
    return found
