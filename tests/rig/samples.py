"""Requests of every signal: one with every field of OTLP, and small ones to take apart."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from rig.otlp import LOGS, TRACES, Request, Signal

_ID_BYTES = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}

# Values nest in values.
_DEPTH = 12

_numbers = itertools.count(1)


def unique(length: int) -> bytes:
    """Return an id that was not there before."""
    return next(_numbers).to_bytes(length, "big")


def small(signal: Signal, items: int = 1) -> Request:
    """Return a request with so many records of ids of their own."""
    request: Any = signal.request()
    if signal is TRACES:
        scope = request.resource_spans.add().scope_spans.add()
        for _ in range(items):
            span = scope.spans.add(trace_id=unique(16), span_id=unique(8), name="work", kind=2)
            span.start_time_unix_nano = 1_700_000_000_000_000_001
            span.end_time_unix_nano = 1_700_000_000_000_000_002
    elif signal is LOGS:
        scope = request.resource_logs.add().scope_logs.add()
        for _ in range(items):
            record = scope.log_records.add(trace_id=unique(16), span_id=unique(8))
            record.body.string_value = "done"
    else:
        gauge = request.resource_metrics.add().scope_metrics.add().metrics.add(name="m").gauge
        for _ in range(items):
            gauge.data_points.add(time_unix_nano=next(_numbers), as_int=1)
    return request


def whole(signal: Signal, without: Collection[str] = ()) -> Request:
    """Return a request in which every field of every message is set, and every member of a oneof.

    It follows the descriptors of `opentelemetry-proto`, so that a new field of OTLP is in it too.
    Names in `without` are left out.
    """
    request = signal.request()
    _fill(request, _DEPTH, without)
    return request


def _fill(
    message: Message, depth: int, without: Collection[str], member: int | None = None
) -> None:
    """Set every field; of a oneof, the member of that number, or one after the other."""
    left_out = set(without)
    for union in message.DESCRIPTOR.oneofs:
        members = _members(union.fields, depth, without)
        number = next(_turns[union.full_name]) if member is None else member
        kept = members[number % len(members)]
        left_out.update(one.name for one in union.fields if one.name != kept.name)
    for descriptor in message.DESCRIPTOR.fields:
        if descriptor.name not in left_out and (depth > 0 or descriptor.message_type is None):
            _set(message, descriptor, depth, without)


def _members(
    fields: Sequence[FieldDescriptor], depth: int, without: Collection[str]
) -> Sequence[FieldDescriptor]:
    """Leave out what nests where it has to end, and what is not wanted."""
    wanted = [f for f in fields if f.name not in without]
    return [f for f in wanted if depth > 1 or f.message_type is None] or wanted


_turns: dict[str, Iterator[int]] = defaultdict(itertools.count)
"""Which member of a oneof comes next, where it stands alone."""


def _set(
    message: Message, descriptor: FieldDescriptor, depth: int, without: Collection[str]
) -> None:
    values: Any = getattr(message, descriptor.name)
    if descriptor.message_type is None:
        if descriptor.is_repeated:
            values.extend([_scalar(descriptor), _scalar(descriptor)])
        else:
            setattr(message, descriptor.name, _scalar(descriptor))
    elif descriptor.is_repeated:
        for member in range(_width(descriptor.message_type, depth, without)):
            _fill(values.add(), depth - 1, without, member)
    else:
        values.SetInParent()
        _fill(values, depth - 1, without)


def _width(descriptor: Descriptor, depth: int, without: Collection[str]) -> int:
    """How many elements show every member of the message's oneofs."""
    return max([1, *(len(_members(o.fields, depth - 1, without)) for o in descriptor.oneofs)])


def _scalar(descriptor: FieldDescriptor) -> Any:
    number = next(_numbers)
    match descriptor.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING if descriptor.type == FieldDescriptor.TYPE_BYTES:
            length = _ID_BYTES.get(descriptor.name, 5)
            return number.to_bytes(length, "big")
        case FieldDescriptor.CPPTYPE_STRING:
            return f'żółw "{number}" \\ \u0007 𝄞'
        case FieldDescriptor.CPPTYPE_BOOL:
            return True
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            return number + 0.1
        case FieldDescriptor.CPPTYPE_ENUM:
            return max(value.number for value in descriptor.enum_type.values)
        case FieldDescriptor.CPPTYPE_INT64:
            return number - 2**62
        case FieldDescriptor.CPPTYPE_UINT64:
            return 2**64 - number
        case FieldDescriptor.CPPTYPE_INT32:
            return -number
        case _:
            return 2**32 - number
