"""What the compared telemetry consists of: every attribute of the natives and of ours, for the
request that the benchmark sends. The row `attributes` holds these lists against what really
arrives, so that nobody wins by sending less than is said here."""

from __future__ import annotations

from collections.abc import Collection

NATIVE_LOG = {
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
"""The attributes of the native access log, as many as the issue that set the bar had, each with the
format that fills it."""

NATIVE_SPAN = (
    "component",
    "downstream_cluster",
    "guid:x-request-id",
    "http.method",
    "http.protocol",
    "http.status_code",
    "http.url",
    "node_id",
    "peer.address",
    "request_size",
    "response_flags",
    "response_size",
    "user_agent",
    "zone",
)
"""The attributes of the native tracer; nobody chooses them."""

OUR_SPAN = (
    "client.address",
    "http.request.method",
    "http.response.status_code",
    "network.peer.address",
    "network.peer.port",
    "network.protocol.version",
    "server.address",
    "server.port",
    "spanmesh.response_code_details",
    "url.path",
    "url.query",
    "url.scheme",
    "user_agent.original",
)
"""The attributes of our spans by default."""

OUR_LOG = (
    "client.address",
    "http.request.body.size",
    "http.request.method",
    "http.response.body.size",
    "http.response.status_code",
    "network.peer.address",
    "network.peer.port",
    "network.protocol.version",
    "server.address",
    "server.port",
    "spanmesh.duration_ms",
    "spanmesh.response_code_details",
    "url.path",
    "url.query",
    "url.scheme",
    "user_agent.original",
)
"""The attributes of our access log records by default."""

Names = Collection[str]
"""A list of attributes."""
