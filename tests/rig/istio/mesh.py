"""A small mesh under Istio's control plane: a gateway, a frontend behind it, an inventory.

The plugin and the Service are the repository's; the pods around them are the rig's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rig.collector import Collector
from rig.driver import Driver, Hop, Wish
from rig.istio import manifests, workloads
from rig.istio.control_plane import ControlPlane
from rig.istio.manifests import Object
from rig.istio.proxy import RECONNECTED, Proxy
from rig.istio.workloads import Workload
from rig.mesh import Deployment, start_service_on
from rig.ports import free_port
from rig.process import Run, wait_for
from rig.programs import filter_module
from rig.records import CLIENT, SERVER

ADDRESSES = ["10.0.0.7", "10.0.0.8", "10.0.0.9"]
"""Of the pods, see `rig.istio.network`."""

THROUGH_GATEWAY = (
    Hop("gateway", SERVER),
    Hop("gateway", CLIENT, logged=False),
    Hop("frontend", SERVER),
    Hop("frontend", CLIENT),
    Hop("inventory", SERVER),
)
"""The hops of a request to the gateway."""

QUICK = {"batch": {"interval": "200ms"}}
"""What the tests change in the filter's configuration, so that they need not wait."""


class IstioMesh(Deployment):
    """The mesh, with `objects` as what the cluster has of Spanmesh's own."""

    def __init__(
        self,
        run: Run,
        objects: Sequence[Object],
        collectors: Sequence[Collector],
        *,
        with_filter: Sequence[str] = ("gateway", "frontend", "inventory"),
        sees_collector: bool = True,
    ) -> None:
        """Start it, and wait until each proxy has its configuration, and these have the filter.

        `sees_collector`: whether the frontend's Sidecar lists the collector's namespace.

        The collectors are the endpoints of the Service.
        """
        self.objects = list(objects)
        self.inventory = Workload("inventory", "shop", ADDRESSES[0], 8081, app=free_port())
        self.frontend = Workload(
            "frontend",
            "shop",
            ADDRESSES[1],
            8080,
            app=free_port(),
            asks=(f"shop/{self.inventory.host}",),
            sees_collector=sees_collector,
        )
        self.gateway = Workload("gateway", "istio-ingress", ADDRESSES[2], 8090, kind="router")
        start_service_on(run, "inventory", self.inventory.app)
        start_service_on(
            run,
            "frontend",
            self.frontend.app,
            following=f"http://{self.inventory.host}:{self.inventory.port}/stock",
            # The outbound listener of the sidecar is where the Service's port leads.
            via=self.inventory.port,
        )
        self.endpoints = [
            workloads.endpoints(
                "spanmesh-collector",
                "observability",
                {"grpc-otlp": one.ports.grpc, "http-otlp": one.ports.http},
                # Istio takes two endpoints of one address for one.
                [f"127.0.0.{number}"],
                suffix=one.name,
            )
            for number, one in enumerate(collectors, 1)
        ]
        self.control_plane = ControlPlane(run, self._cluster())
        self.proxies = [
            Proxy(run, workload, discovery=self.control_plane.port)
            for workload in (self.gateway, self.frontend, self.inventory)
        ]
        self.envoys = self.proxies
        for proxy in self.proxies:
            proxy.wait_configured()
            if proxy.name in with_filter:
                proxy.wait_for_extension("Wasm")
        self.driver = Driver(self.gateway.port)

    def _cluster(self) -> list[Object]:
        pods = (self.inventory, self.frontend, self.gateway)
        return [
            workloads.PLAINTEXT,
            *manifests.known_to_istio(self.objects),
            *self.endpoints,
            *(one for pod in pods for one in pod.objects()),
            *workloads.ingress(self.gateway, self.frontend),
        ]

    def apply(self, objects: Sequence[Object]) -> None:
        """Change what the cluster has of Spanmesh's own."""
        self.objects = list(objects)
        self.control_plane.apply(self._cluster())

    def show_collector(self) -> None:
        """List the collector's namespace in the frontend's Sidecar."""
        self.frontend = replace(self.frontend, sees_collector=True)
        self.apply(self.objects)

    def restart_control_plane(self) -> None:
        """Start the control plane again, with what the cluster has by now."""
        self.control_plane.write(self._cluster())
        self.control_plane.start()

    def wait_for_text(self, text: str) -> None:
        """Wait until each proxy's configuration holds this text."""
        for proxy in self.proxies:
            wait_for(
                lambda proxy=proxy: text in proxy.configuration(),
                f"{proxy.name}: its configuration holds {text}",
                timeout=RECONNECTED,
            )


def wish(
    label: str, path: str = "/checkout", hops: tuple[Hop, ...] = THROUGH_GATEWAY, **more: Any
) -> Wish:
    """Return a request through the whole mesh."""
    return Wish(label, path, hops, **more)


def module_url() -> str:
    """Return where a proxy on this machine finds the module."""
    return f"file://{filter_module()}"
