"""The Envoys that are compared: one listener, and one kind of telemetry each."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rig import bootstrap
from rig.bootstrap import COLLECTOR_CLUSTER, Document, Filter, Sidecar, any_of
from rig.process import RigError
from rig.programs import filter_module

from bench import programs
from bench.filter import natives

DIRECT_RESPONSE: Document = {
    "match": {"prefix": "/"},
    "direct_response": {"status": 200, "body": {"inline_string": "ok\n"}},
}
"""A route that costs as little as a request can."""


@dataclass(frozen=True)
class Variant:
    """One Envoy configuration and what its telemetry has to consist of."""

    label: str
    plugin: Filter | None = None
    sampled_percent: float | None = None
    """What the native tracer samples; None is without it."""
    native_logs: bool = False
    spans: int = 0
    """Spans per request."""
    logs: int = 0
    """Log records per request."""
    routes: tuple[Document, ...] | Document = (DIRECT_RESPONSE,)
    """The routes in their order, or a matcher (a tree of them)."""
    upstream: int = 0
    """The port of the cluster `app`."""
    raw_configuration: bytes | None = None
    """The plugin's configuration, if it is no text."""

    def document(self, port: int, admin: int, sink: int) -> Document:
        """Return the bootstrap document: a sidecar's inbound listener."""
        sidecar = Sidecar("bench", app=self.upstream or sink, filter=self.plugin, collector=sink)
        document = bootstrap.bootstrap(
            sidecar, inbound=port, outbound=0, admin=admin, lds=Path(), ecds={}
        )
        resources = document["static_resources"]
        inbound = resources["listeners"][0]
        resources["listeners"] = [inbound]
        needed = {COLLECTOR_CLUSTER, "app"} if self.upstream else {COLLECTOR_CLUSTER}
        resources["clusters"] = [
            cluster for cluster in resources["clusters"] if cluster["name"] in needed
        ]
        manager = inbound["filter_chains"][0]["filters"][0]["typed_config"]
        host = manager["route_config"]["virtual_hosts"][0]
        host.pop("routes")
        if isinstance(self.routes, dict):
            host["matcher"] = self.routes
        else:
            host["routes"] = list(self.routes)
        if self.raw_configuration is not None:
            value = base64.b64encode(self.raw_configuration).decode()
            config = manager["http_filters"][0]["typed_config"]["config"]
            config["configuration"] = any_of("google.protobuf.BytesValue", value=value)
        if self.sampled_percent is not None:
            manager["tracing"] = natives.tracing(self.sampled_percent)
        if self.native_logs:
            manager["access_log"] = [natives.access_log()]
        return document

    def named(self, label: str, **changes: Any) -> Variant:
        """Return another one, of another name."""
        return replace(self, label=label, **changes)


BARE = Variant("bare Envoy")
NATIVE = Variant(
    "native tracer and access log", sampled_percent=100, native_logs=True, spans=1, logs=1
)
NATIVE_SPANS = Variant("native tracer", sampled_percent=100, spans=1)
NATIVE_LOGS = Variant("native access log", native_logs=True, logs=1)
NATIVE_UNSAMPLED = Variant("native tracer, nothing sampled", sampled_percent=0)


def empty() -> Variant:
    """Return the Wasm filter that does nothing."""
    return Variant("empty Wasm filter", Filter(programs.empty_filter()))


def ours(label: str = "Spanmesh filter", **configuration: Any) -> Variant:
    """Return ours with everything at its default but the cluster's name and what is given."""
    return of_module(label, filter_module(), **configuration)


def ours_spans(**configuration: Any) -> Variant:
    """Return ours without its access log."""
    variant = ours("Spanmesh, spans only", access_log={"enabled": False}, **configuration)
    return replace(variant, logs=0)


def ours_logs() -> Variant:
    """Return ours without its spans."""
    return replace(ours("Spanmesh, logs only", spans={"enabled": False}), spans=0)


def ours_unsampled(label: str = "Spanmesh, nothing sampled", **configuration: Any) -> Variant:
    """Return ours without its access log, and with no trace sampled."""
    variant = ours(label, access_log={"enabled": False}, sampler={"ratio": 0}, **configuration)
    return replace(variant, spans=0, logs=0)


def probe(call: str, count: int, data: bytes = b"") -> Variant:
    """Return the Wasm filter that makes `count` hostcalls of one kind for each request."""
    label = f"{count} times {call}"
    plugin = Filter(programs.probe_filter(), None)
    return Variant(label, plugin, raw_configuration=f"{call} {count}\n".encode() + data)


def of_module(label: str, module: Path, **configuration: Any) -> Variant:
    """Return a build of ours."""
    if not module.is_file():
        raise RigError(f"no module at {module}")
    document = {"exporter": {"clusters": [COLLECTOR_CLUSTER]}, **configuration}
    return Variant(label, Filter(module.resolve(), document), spans=1, logs=1)
