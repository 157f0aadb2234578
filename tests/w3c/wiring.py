"""A harness's way through one sidecar: in by the inbound listener, out by the outbound one.

harness → Envoy inbound (SERVER span) → service → Envoy outbound (CLIENT span) → harness
"""

from __future__ import annotations

import sys
from pathlib import Path

from rig.bootstrap import Filter, Sidecar
from rig.envoy import SidecarEnvoy
from rig.mesh import plugin
from rig.ports import free_port, listens
from rig.process import Run
from rig.programs import filter_module


def start(run: Run, *, harness: int, collector: int) -> SidecarEnvoy:
    """Start service and Envoy. Whatever the service calls goes to the port `harness`."""
    service = free_port()
    sidecar = Sidecar(
        "w3c",
        service,
        Filter(filter_module(), plugin()),
        collector,
        # Host and path stay as they are; only the connection is the outbound listener's.
        upstreams={"*": harness},
    )
    envoy = SidecarEnvoy(run, sidecar)
    program = Path(__file__).with_name("service.py")
    argv = [sys.executable, program, "--port", str(service), "--via", f"127.0.0.1:{envoy.outbound}"]
    process = run.spawn("w3c.service", argv)
    process.wait_until(lambda: listens(service), "the service listened")
    envoy.wait_ready()
    return envoy
