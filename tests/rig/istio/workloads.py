"""Workloads of a mesh: their addresses and nodes, and the objects that a cluster has for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from rig.istio.manifests import Object

ROOT_NAMESPACE = "istio-system"

PLAINTEXT: Object = {
    "apiVersion": "security.istio.io/v1",
    "kind": "PeerAuthentication",
    "metadata": {"name": "default", "namespace": ROOT_NAMESPACE},
    "spec": {"mtls": {"mode": "DISABLE"}},
}
"""Without it the listeners wait for certificates, which nobody issues here."""


@dataclass(frozen=True)
class Workload:
    """A pod with a proxy: a service behind a sidecar, or a gateway."""

    name: str
    namespace: str
    ip: str
    port: int
    """Of its Service and of its proxy's inbound listener; of a gateway the one it serves."""
    app: int = 0
    """Where the service itself listens, on 127.0.0.1."""
    kind: Literal["sidecar", "router", "waypoint"] = "sidecar"
    asks: tuple[str, ...] = ()
    """Hosts that it calls, as NAMESPACE/HOST."""
    sees_collector: bool = True
    """Whether its Sidecar lets it know the collector's namespace."""
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def pod(self) -> str:
        """The pod's name."""
        return f"{self.name}-7d4b9c6f5-x2x7q"

    @property
    def host(self) -> str:
        """The name of its Service."""
        return f"{self.name}.{self.namespace}.svc.cluster.local"

    def node(self) -> dict[str, Any]:
        """Return Envoy's node as pilot-agent makes it, which istiod goes by."""
        space = self.namespace
        return {
            "id": f"{self.kind}~{self.ip}~{self.pod}.{space}~{space}.svc.cluster.local",
            "cluster": f"{self.name}.{space}",
            "metadata": {
                "NAME": self.pod,
                "NAMESPACE": space,
                "WORKLOAD_NAME": self.name,
                "OWNER": f"kubernetes://apis/apps/v1/namespaces/{space}/deployments/{self.name}",
                "CLUSTER_ID": "Kubernetes",
                "MESH_ID": "cluster.local",
                "NODE_NAME": "node-1",
                "SERVICE_ACCOUNT": self.name,
                "ISTIO_VERSION": "1.31.0",
                "INSTANCE_IPS": self.ip,
                # Nothing redirects connections here, so Envoy listens where clients connect to.
                "INTERCEPTION_MODE": "NONE",
                "LABELS": {
                    "app": self.name,
                    "version": "v1",
                    "service.istio.io/canonical-name": self.name,
                    "service.istio.io/canonical-revision": "v1",
                    **self.labels,
                },
            },
        }

    def objects(self) -> list[Object]:
        """Return its Service with its endpoint and, for a service, its Sidecar."""
        found = [
            service(self.name, self.namespace, self.port),
            endpoints(self.name, self.namespace, {"http": self.port}, [self.ip]),
        ]
        if self.kind == "sidecar":
            found.append(self._sidecar())
        return found

    def _sidecar(self) -> Object:
        hosts = [*(["observability/*"] if self.sees_collector else []), *self.asks]
        ingress = {
            "port": {"number": self.port, "protocol": "HTTP", "name": "http"},
            "bind": self.ip,
            "defaultEndpoint": f"127.0.0.1:{self.app}",
        }
        return {
            "apiVersion": "networking.istio.io/v1",
            "kind": "Sidecar",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {
                "workloadSelector": {"labels": {"app": self.name}},
                "ingress": [ingress],
                "egress": [{"hosts": hosts}],
            },
        }


WAYPOINT = Workload(
    "waypoint",
    "shop",
    "10.0.0.10",
    15008,
    kind="waypoint",
    labels={
        "gateway.networking.k8s.io/gateway-name": "waypoint",
        "gateway.istio.io/managed": "istio.io-mesh-controller",
    },
)
"""A waypoint of the namespace `shop`, as Istio's ambient mode makes it."""


def service(name: str, namespace: str, port: int) -> Object:
    """Return a Service with one HTTP port."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "clusterIP": f"10.96.2.{port % 250 + 1}",
            "selector": {"app": name},
            "ports": [{"name": "http", "port": port, "targetPort": port, "protocol": "TCP"}],
        },
    }


def endpoints(
    service: str, namespace: str, ports: dict[str, int], addresses: list[str], suffix: str = "1"
) -> Object:
    """Return a part of a Service's endpoints: these addresses, ready, with these ports."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{service}-{suffix}",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": addresses, "conditions": {"ready": True}}],
        "ports": [{"name": name, "port": port, "protocol": "TCP"} for name, port in ports.items()],
    }


def ingress(gateway: Workload, to: Workload) -> list[Object]:
    """Return the Gateway and the VirtualService that lead everything to one workload."""
    where = {"name": gateway.name, "namespace": gateway.namespace}
    return [
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "Gateway",
            "metadata": where,
            "spec": {
                "selector": {"app": gateway.name},
                "servers": [
                    {
                        "port": {"number": gateway.port, "name": "http", "protocol": "HTTP"},
                        "hosts": ["*"],
                    }
                ],
            },
        },
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": where,
            "spec": {
                "hosts": ["*"],
                "gateways": [gateway.name],
                "http": [
                    {"route": [{"destination": {"host": to.host, "port": {"number": to.port}}}]}
                ],
            },
        },
    ]
