"""Envoys that have nothing but the address of their control plane."""

from __future__ import annotations

import json
from typing import Any

from rig import http
from rig.bootstrap import any_of
from rig.envoy import Envoy
from rig.istio.workloads import Workload
from rig.ports import free_port
from rig.process import Run, wait_for

COLLECTOR_CLUSTER = "outbound|4317||spanmesh-collector.observability.svc.cluster.local"

RECONNECTED = 90
"""Seconds within which a proxy has what its control plane has: it may have been without one, and
Envoy waits for up to half a minute between its attempts."""

_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def bootstrap(workload: Workload, *, discovery: int, admin: int) -> dict[str, Any]:
    """Return the bootstrap: the node, and where its listeners and clusters come from."""
    ads = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}

    def address(port: int) -> dict[str, Any]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

    cluster = {
        "name": "xds-grpc",
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            _PROTOCOL_OPTIONS: any_of(
                _PROTOCOL_OPTIONS, explicit_http_config={"http2_protocol_options": {}}
            )
        },
        "load_assignment": {
            "cluster_name": "xds-grpc",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(discovery)}}]}],
        },
    }
    return {
        "node": workload.node(),
        "admin": {"address": address(admin)},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
            },
            "lds_config": ads,
            "cds_config": ads,
        },
        "static_resources": {"clusters": [cluster]},
    }


class Proxy(Envoy):
    """A workload's Envoy under a control plane."""

    def __init__(
        self, run: Run, workload: Workload, *, discovery: int, concurrency: int = 2
    ) -> None:
        self.workload = workload
        admin = free_port()
        super().__init__(
            run,
            workload.name,
            bootstrap(workload, discovery=discovery, admin=admin),
            admin=admin,
            concurrency=concurrency,
        )

    def wait_configured(self) -> None:
        """Wait until it has its listeners and the collector's cluster, none of them refused.

        Ready is not enough: an Envoy is ready with listeners that it has refused.
        """
        self.wait_ready()
        self.process.wait_until(
            self._configured, "Envoy had its listener and the clusters", timeout=RECONNECTED
        )
        assert self.rejected() == {}, self.process.tail()

    def _configured(self) -> bool:
        wanted = f"{self.workload.ip}:{self.workload.port}"
        if self.workload.kind == "router":
            wanted = f"0.0.0.0:{self.workload.port}"
        known = COLLECTOR_CLUSTER in self.clusters()
        return wanted in self.listeners() and known == self.workload.sees_collector

    def listeners(self) -> dict[str, str]:
        """Return the names of the listeners by their addresses."""
        answer = http.request(self.admin, "/listeners?format=json").json
        found = {}
        for one in answer.get("listener_statuses", []):
            socket = one["local_address"].get("socket_address")
            if socket is not None:
                found[f"{socket['address']}:{socket['port_value']}"] = one["name"]
        return found

    def clusters(self) -> set[str]:
        """Return the names of the clusters."""
        answer = http.request(self.admin, "/clusters?format=json").json
        return {one["name"] for one in answer.get("cluster_statuses", [])}

    def rejected(self) -> dict[str, int]:
        """Return the statistics of refused updates that are not 0."""
        found = self.stats("(update_rejected|config_fail)$")
        return {name: value for name, value in found.items() if value}

    def extensions(self) -> dict[str, str]:
        """Return the short types of the filters that came by ECDS, by their names."""
        dump = http.request(self.admin, "/config_dump?resource=ecds_filters")
        found: dict[str, str] = {}
        if dump.status == 404:
            # It has none.
            return found
        for one in dump.json.get("configs", []):
            filter_ = one["ecds_filter"]
            found[filter_["name"]] = filter_["typed_config"]["@type"].rpartition(".")[2]
        return found

    def configuration(self) -> str:
        """Return everything that it has been given, as JSON."""
        return json.dumps(http.request(self.admin, "/config_dump?include_eds").json)

    def wait_for_extension(self, kind: str = "Wasm") -> None:
        """Wait until all filters that came by ECDS, at least one, are of this type."""
        wait_for(
            lambda: set(self.extensions().values()) == {kind},
            f"{self.name}: its filters are {kind}",
            timeout=RECONNECTED,
        )
