"""The Envoys that are compared: one listener that answers every request itself, and one kind of
telemetry each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rig import bootstrap
from rig.bootstrap import COLLECTOR_CLUSTER, Document, Filter, Sidecar, any_of
from rig.process import RigError
from rig.programs import filter_module

from bench import programs

_LOG_ATTRIBUTES = {
    "http.request.method": "%REQ(:METHOD)%",
    "url.path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "url.scheme": "%REQ(:SCHEME)%",
    "server.address": "%REQ(:AUTHORITY)%",
    "user_agent.original": "%REQ(USER-AGENT)%",
    "client.address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "network.protocol.name": "%PROTOCOL%",
    "http.response.status_code": "%RESPONSE_CODE%",
    "http.response.body.size": "%BYTES_SENT%",
    "duration": "%DURATION%",
    "envoy.response_flags": "%RESPONSE_FLAGS%",
}
"""The attributes of the native access log, as many as the issue that set the bar had."""


@dataclass(frozen=True)
class Variant:
    """One Envoy configuration and what its telemetry has to consist of."""

    name: str
    plugin: Filter | None = None
    native_spans: bool = False
    native_logs: bool = False
    spans: int = 0
    """Spans per request."""
    logs: int = 0
    """Log records per request."""

    def document(self, port: int, admin: int, sink: int) -> Document:
        """Return the bootstrap document: a sidecar's inbound listener with a direct response."""
        sidecar = Sidecar("bench", app=sink, filter=self.plugin, collector=sink)
        document = bootstrap.bootstrap(
            sidecar, inbound=port, outbound=0, admin=admin, lds=Path(), ecds={}
        )
        resources = document["static_resources"]
        inbound = resources["listeners"][0]
        resources["listeners"] = [inbound]
        resources["clusters"] = [
            cluster for cluster in resources["clusters"] if cluster["name"] == COLLECTOR_CLUSTER
        ]
        manager = inbound["filter_chains"][0]["filters"][0]["typed_config"]
        manager["route_config"]["virtual_hosts"][0]["routes"] = [
            {
                "match": {"prefix": "/"},
                "direct_response": {"status": 200, "body": {"inline_string": "ok\n"}},
            }
        ]
        if self.native_spans:
            manager["tracing"] = {"provider": _tracer()}
        if self.native_logs:
            manager["access_log"] = [_access_log()]
        return document


def _grpc_service() -> Document:
    return {"envoy_grpc": {"cluster_name": COLLECTOR_CLUSTER}, "timeout": "10s"}


def _tracer() -> Document:
    config = any_of(
        "envoy.config.trace.v3.OpenTelemetryConfig",
        grpc_service=_grpc_service(),
        service_name="bench",
    )
    return {"name": "envoy.tracers.opentelemetry", "typed_config": config}


def _access_log() -> Document:
    config = any_of(
        "envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig",
        common_config={
            "log_name": "bench",
            "transport_api_version": "V3",
            "grpc_service": _grpc_service(),
        },
        attributes={
            "values": [
                {"key": key, "value": {"string_value": value}}
                for key, value in _LOG_ATTRIBUTES.items()
            ]
        },
    )
    return {"name": "envoy.access_loggers.open_telemetry", "typed_config": config}


def _ours(name: str, module: Path) -> Variant:
    """Return ours with everything at its default but the cluster's name."""
    plugin = Filter(module, {"exporter": {"clusters": [COLLECTOR_CLUSTER]}})
    return Variant(name, plugin, spans=1, logs=1)


BARE = "bare Envoy"
NATIVE = "native tracer and access log"
OURS = "Spanmesh filter"

_MAKERS: dict[str, Callable[[], Variant]] = {
    BARE: lambda: Variant(BARE),
    NATIVE: lambda: Variant(NATIVE, native_spans=True, native_logs=True, spans=1, logs=1),
    "native tracer": lambda: Variant("native tracer", native_spans=True, spans=1),
    "native access log": lambda: Variant("native access log", native_logs=True, logs=1),
    "empty Wasm filter": lambda: Variant("empty Wasm filter", Filter(programs.empty_filter())),
    OURS: lambda: _ours(OURS, filter_module()),
}


def beside_natives() -> list[Variant]:
    """Return a bare Envoy, the native telemetry in parts and whole, an empty filter, and ours."""
    return [make() for make in _MAKERS.values()]


def modules(paths: list[Path]) -> list[Variant]:
    """Return a bare Envoy and one with each of the modules, named by its path."""
    for path in paths:
        if not path.is_file():
            raise RigError(f"no module at {path}")
    return [Variant(BARE), *(_ours(str(path), path.resolve()) for path in paths)]
