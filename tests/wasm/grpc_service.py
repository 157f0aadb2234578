"""The target of a gRPC call, as Envoy reads it."""

from __future__ import annotations

from collections.abc import Iterator

_ENVOY_GRPC = 1
"""The field of `GrpcService`."""
_CLUSTER_NAME = 1
"""The field of `GrpcService.EnvoyGrpc`."""


def cluster_of(target: bytes) -> bytes | None:
    """Return the name of a target's cluster; `None` for what would end Envoy.

    That is the cluster of a serialised `GrpcService`, and the target itself if it is none. A
    message without any of the services that Envoy knows is an assertion that fails.
    """
    try:
        service = dict(_fields(target)).get(_ENVOY_GRPC, b"")
        return dict(_fields(service)).get(_CLUSTER_NAME)
    except (ValueError, IndexError):
        return target


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Return the fields of a message, all of which have a length."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 != 2 or tag >> 3 == 0:
            raise ValueError(f"no field with a length at {at}")
        length, at = _varint(message, at)
        if at + length > len(message):
            raise ValueError(f"the field at {at} is cut")
        yield tag >> 3, message[at : at + length]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (message[at] & 0x7F) << shift
        at += 1
        if message[at - 1] < 0x80:
            return value, at
        shift += 7
