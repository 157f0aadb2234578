"""Envoy's own telemetry: its OpenTelemetry tracer and access logger, with the collector of the rig
as their target and everything else at its default."""

from __future__ import annotations

from rig.bootstrap import COLLECTOR_CLUSTER, Document, any_of

from bench.filter.attributes import NATIVE_LOG


def tracing(percent: float) -> Document:
    """Return the connection manager's `tracing`: this share of the requests is sampled."""
    config = any_of(
        "envoy.config.trace.v3.OpenTelemetryConfig",
        grpc_service=_grpc_service(),
        service_name="bench",
    )
    return {
        "provider": {"name": "envoy.tracers.opentelemetry", "typed_config": config},
        "random_sampling": {"value": percent},
    }


def access_log() -> Document:
    """Return an entry of the connection manager's `access_log`, without a body."""
    config = any_of(
        "envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig",
        common_config={
            "log_name": "bench",
            "transport_api_version": "V3",
            "grpc_service": _grpc_service(),
        },
        attributes={
            "values": [
                {"key": key, "value": {"string_value": value}} for key, value in NATIVE_LOG.items()
            ]
        },
    )
    return {"name": "envoy.access_loggers.open_telemetry", "typed_config": config}


def _grpc_service() -> Document:
    return {"envoy_grpc": {"cluster_name": COLLECTOR_CLUSTER}, "timeout": "10s"}
