"""Envoy bootstrap documents for a sidecar: an inbound and an outbound listener, the filter in both.

The shape is the one that Istio gives a sidecar: listener traffic directions, the node's identity
and metadata in Istio's keys, no tracer of Envoy's own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rig.certificates import Identity

Document = dict[str, Any]

COLLECTOR_CLUSTER = "spanmesh-collector"
"""The cluster that the filter sends its telemetry to in the rig."""

_HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def any_of(type_name: str, **fields: Any) -> Document:
    """Return a protobuf `Any` in its JSON form."""
    return {"@type": f"type.googleapis.com/{type_name}", **fields}


def deny(prefix: str) -> Document:
    """Return an HTTP filter, RBAC, that rejects a part of the paths."""
    policy = {
        "permissions": [{"url_path": {"path": {"prefix": prefix}}}],
        "principals": [{"any": True}],
    }
    rules = {"action": "DENY", "policies": {"forbidden": policy}}
    return {
        "name": "envoy.filters.http.rbac",
        "typed_config": any_of("envoy.extensions.filters.http.rbac.v3.RBAC", rules=rules),
    }


@dataclass(frozen=True)
class Filter:
    """How the filter is loaded."""

    module: Path
    configuration: Document | str | None = field(default_factory=dict)
    """The plugin's configuration: a document, raw text (to send what is no JSON), or none."""
    delivery: Literal["static", "ecds"] = "static"
    """In the listener itself, or through a file that Envoy watches."""
    environment: dict[str, str] = field(default_factory=dict)
    failure_policy: str = "FAIL_OPEN"
    """Or `fail_open`, for the older field of that name."""
    otherwise_pass: bool = False
    """With ECDS: a filter that does nothing stands in until there is one that loads."""


@dataclass(frozen=True)
class Sidecar:
    """What one Envoy stands in front of and where it can reach others. Ports are on loopback."""

    name: str
    app: int
    """The service's HTTP/1.1 port."""
    filter: Filter | None
    collector: int
    """Where the filter's telemetry goes: an OTLP port."""
    collector_protocol: Literal["http1", "http2"] = "http2"
    app_grpc: int | None = None
    upstreams: dict[str, int] = field(default_factory=dict)
    """Authority to port, for the outbound listener. `*` takes every other authority."""
    earlier_filters: tuple[Document, ...] = ()
    """HTTP filters of the inbound listener that run before ours."""
    listeners: Literal["static", "lds"] = "static"
    namespace: str = "demo"
    collector_cluster: str = COLLECTOR_CLUSTER
    outbound_filter: Filter | None = None
    """Another configuration of the filter for the outbound listener."""
    upgrades: tuple[str, ...] = ()
    """What both listeners let a request upgrade to, such as `websocket` and `CONNECT`."""
    tunnel: int | None = None
    """The TCP port where CONNECT ends on the inbound listener; outbound it is passed on."""
    manager: Document = field(default_factory=dict)
    """Further fields of both connection managers."""
    kind: Literal["sidecar", "router", "waypoint"] = "sidecar"
    """What Istio calls this kind of proxy."""
    inbound_tls: Identity | None = None
    """With it the inbound listener demands mutual TLS."""
    upstream_tls: Identity | None = None
    """With it requests go on over mutual TLS, to the service and to others."""


def wasm_configuration(plugin: Filter) -> Document:
    """Return the typed configuration of the Wasm HTTP filter."""
    config: Document = {
        "name": "spanmesh",
        "root_id": "spanmesh",
        "vm_config": {
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"filename": str(plugin.module)}},
        },
    }
    if plugin.failure_policy == "fail_open":
        config["fail_open"] = True
    else:
        config["failure_policy"] = plugin.failure_policy
    if plugin.environment:
        config["vm_config"]["environment_variables"] = {"key_values": dict(plugin.environment)}
    document = plugin.configuration
    if document is not None:
        # As text: a `google.protobuf.Struct` reaches the filter as its protobuf encoding.
        text = document if isinstance(document, str) else json.dumps(document)
        config["configuration"] = any_of("google.protobuf.StringValue", value=text)
    return any_of("envoy.extensions.filters.http.wasm.v3.Wasm", config=config)


def _http_filters(sidecar: Sidecar, direction: str, ecds: dict[str, Path]) -> list[Document]:
    filters: list[Document] = []
    if direction == "INBOUND":
        filters += sidecar.earlier_filters
    plugin = sidecar.filter
    if direction == "OUTBOUND" and sidecar.outbound_filter is not None:
        plugin = sidecar.outbound_filter
    if plugin is not None and plugin.delivery == "ecds":
        discovery: Document = {
            "config_source": {
                "path_config_source": {"path": str(ecds["spanmesh"])},
                "resource_api_version": "V3",
            },
            "type_urls": ["type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"],
        }
        if plugin.otherwise_pass:
            # Without rules it lets everything pass.
            nothing = any_of("envoy.extensions.filters.http.rbac.v3.RBAC")
            discovery["type_urls"].append(nothing["@type"])
            discovery["default_config"] = nothing
        filters.append({"name": "spanmesh", "config_discovery": discovery})
    elif plugin is not None:
        filters.append({"name": "spanmesh", "typed_config": wasm_configuration(plugin)})
    router = any_of("envoy.extensions.filters.http.router.v3.Router")
    filters.append({"name": "envoy.filters.http.router", "typed_config": router})
    return filters


def _address(port: int) -> Document:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _listener(
    sidecar: Sidecar, direction: str, port: int, hosts: list[Document], ecds: dict[str, Path]
) -> Document:
    name = direction.lower()
    manager = any_of(
        _HCM,
        stat_prefix=name,
        codec_type="AUTO",
        route_config={"name": name, "virtual_hosts": hosts},
        http_filters=_http_filters(sidecar, direction, ecds),
        upgrade_configs=[{"upgrade_type": upgrade} for upgrade in sidecar.upgrades],
        http2_protocol_options={"allow_connect": bool(sidecar.upgrades)},
        **sidecar.manager,
    )
    chain: Document = {
        "filters": [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
        ]
    }
    if direction == "INBOUND" and sidecar.inbound_tls is not None:
        chain["transport_socket"] = sidecar.inbound_tls.server_socket()
    return {
        "name": name,
        "traffic_direction": direction,
        "address": _address(port),
        "filter_chains": [chain],
    }


def _cluster(name: str, port: int, protocol: Literal["http1", "http2", "same"]) -> Document:
    options: Document = {
        "http1": {"explicit_http_config": {"http_protocol_options": {}}},
        "http2": {"explicit_http_config": {"http2_protocol_options": {}}},
        "same": {
            "use_downstream_protocol_config": {
                "http_protocol_options": {},
                "http2_protocol_options": {},
            }
        },
    }[protocol]
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(port)}}]}],
        },
        "typed_extension_protocol_options": {
            _PROTOCOL_OPTIONS: any_of(_PROTOCOL_OPTIONS, **options)
        },
    }


def _inbound_hosts(sidecar: Sidecar) -> list[Document]:
    routes: list[Document] = []
    if sidecar.tunnel is not None:
        routes.append(_connect_route("tunnel", {"connect_config": {}}))
    if sidecar.app_grpc is not None:
        routes.append({"match": {"prefix": "/", "grpc": {}}, "route": {"cluster": "app-grpc"}})
    routes.append({"match": {"prefix": "/"}, "route": {"cluster": "app"}})
    return [{"name": "inbound", "domains": ["*"], "routes": routes}]


def _connect_route(cluster: str, options: Document) -> Document:
    """Return a route for CONNECT. With a `connect_config` the tunnel ends here."""
    upgrade = {"upgrade_type": "CONNECT", **options}
    return {
        "match": {"connect_matcher": {}},
        "route": {"cluster": cluster, "upgrade_configs": [upgrade]},
    }


def _outbound_hosts(sidecar: Sidecar) -> list[Document]:
    return [
        {
            "name": f"outbound-{index}",
            "domains": [authority] if authority == "*" else [authority, f"{authority}:*"],
            "routes": [
                *(
                    [_connect_route(f"outbound-{index}", {})]
                    if "CONNECT" in sidecar.upgrades
                    else []
                ),
                {"match": {"prefix": "/"}, "route": {"cluster": f"outbound-{index}"}},
            ],
        }
        for index, authority in enumerate(sidecar.upstreams)
    ]


def listeners(
    sidecar: Sidecar, inbound: int, outbound: int, ecds: dict[str, Path]
) -> list[Document]:
    """Return the two listeners."""
    return [
        _listener(sidecar, "INBOUND", inbound, _inbound_hosts(sidecar), ecds),
        _listener(sidecar, "OUTBOUND", outbound, _outbound_hosts(sidecar), ecds),
    ]


def node(sidecar: Sidecar) -> Document:
    """Return the node's identity, with metadata in Istio's keys."""
    pod = f"{sidecar.name}-7d4b9c6f5-x2x7q"
    space = sidecar.namespace
    return {
        "id": f"{sidecar.kind}~127.0.0.1~{pod}.{space}~{space}.svc.cluster.local",
        "cluster": f"{sidecar.name}.{space}",
        "metadata": {
            "NAME": pod,
            "NAMESPACE": space,
            "WORKLOAD_NAME": sidecar.name,
            "OWNER": f"kubernetes://apis/apps/v1/namespaces/{space}/deployments/{sidecar.name}",
            "CLUSTER_ID": "Kubernetes",
            "MESH_ID": "cluster.local",
            "NODE_NAME": "node-1",
            "SERVICE_ACCOUNT": sidecar.name,
            "INSTANCE_IPS": "127.0.0.1",
            "LABELS": {
                "app": sidecar.name,
                "version": "v1",
                "service.istio.io/canonical-name": sidecar.name,
                "service.istio.io/canonical-revision": "v1",
            },
        },
    }


def bootstrap(
    sidecar: Sidecar,
    *,
    inbound: int,
    outbound: int,
    admin: int,
    lds: Path,
    ecds: dict[str, Path],
) -> Document:
    """Return the bootstrap document. `lds` and `ecds` are the files that Envoy watches."""
    clusters = [_cluster("app", sidecar.app, "http1")]
    if sidecar.tunnel is not None:
        clusters.append(_cluster("tunnel", sidecar.tunnel, "http1"))
    if sidecar.app_grpc is not None:
        clusters.append(_cluster("app-grpc", sidecar.app_grpc, "http2"))
    clusters += [
        _cluster(f"outbound-{index}", port, "same")
        for index, port in enumerate(sidecar.upstreams.values())
    ]
    if sidecar.upstream_tls is not None:
        for cluster in clusters:
            cluster["transport_socket"] = sidecar.upstream_tls.client_socket()
    clusters.append(
        _cluster(sidecar.collector_cluster, sidecar.collector, sidecar.collector_protocol)
    )
    document: Document = {
        "node": node(sidecar),
        "admin": {"address": _address(admin)},
        "static_resources": {"clusters": clusters},
    }
    if sidecar.listeners == "lds":
        document["dynamic_resources"] = {
            "lds_config": {
                "path_config_source": {"path": str(lds)},
                "resource_api_version": "V3",
            }
        }
    else:
        document["static_resources"]["listeners"] = listeners(sidecar, inbound, outbound, ecds)
    return document
