"""Other collectors as the next hop: what was sent arrives behind them, field for field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from rig.collector import Collector, Ports, configuration
from rig.mirror import Mirror
from rig.otlp import JSON, PROTOBUF, SIGNALS, Grpc, Http, Items, Request
from rig.process import Run, wait_for
from rig.samples import small, whole

from bench.collector import contenders, otelcol
from bench.collector.work import Work

# Fields of OTLP that the peers are too old for.
NEWER = ("key_strindex", "string_value_strindex", "entity_refs")


def peer(name: str) -> contenders.Contender:
    """Return a peer; one that takes minutes to build only if it is there."""
    if name == "rotel":
        return contenders.rotel()
    if not otelcol.PROGRAM.exists():
        pytest.skip("otelcol is not built: `make bench-collector PEERS=otelcol` does that")
    return contenders.otelcol_peer()


ENVELOPES = ("resource_", "scope_", "spans", "log_records", "metrics")


def flat(requests: list[Request]) -> Counter[tuple[bytes, ...]]:
    """Return each record with its resource and scope, whatever else is in its request."""
    return Counter(record for request in requests for record in _records(request))


def _records(message: Message, above: tuple[bytes, ...] = ()) -> Iterator[tuple[bytes, ...]]:
    """Go down the envelopes; what stands beside the records belongs to each of them."""
    below = [
        field.name
        for field, _ in message.ListFields()
        if field.is_repeated and field.name.startswith(ENVELOPES)
    ]
    beside: Any = type(message)()
    beside.CopyFrom(message)
    for name in below:
        beside.ClearField(name)
    _prune(beside)
    above = (*above, beside.SerializeToString(deterministic=True))
    if not below:
        yield above
    for name in below:
        for one in getattr(message, name):
            yield from _records(one, above)


def _prune(message: Message) -> None:
    """Take out the empty messages that otelcol writes where there were none."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for one in value if field.is_repeated else [value]:
            _prune(one)
        if not field.is_repeated and field.containing_oneof is None and not value.ByteSize():
            message.ClearField(field.name)


@pytest.mark.soak
@pytest.mark.parametrize("name", ["rotel", "otelcol"])
def test_records_are_equal_behind_another_collector(run: Run, name: str) -> None:
    ports = Ports.free()
    with Mirror() as mirror:
        hop = peer(name).start(run, Work(compression="gzip"), mirror.port)
        exporter = {"endpoint": f"127.0.0.1:{hop.ports['grpc']}", "tls": {"insecure": True}}
        collector = Collector(run, configuration(ports, {"otlp_grpc": exporter}), ports=ports)
        wires = [Grpc(ports), Http(ports, PROTOBUF), Http(ports, JSON)]
        sent: dict[str, list[Request]] = {signal.name: [] for signal in SIGNALS}
        for signal in SIGNALS:
            for wire in wires:
                for request in (whole(signal, NEWER), small(signal, 50)):
                    answer = wire.send(signal, wire.encode(request))
                    assert answer.code is grpc.StatusCode.OK
                    sent[signal.name].append(request)
        items = sum(Items.count(one) for requests in sent.values() for one in requests)
        wait_for(lambda: mirror.items() >= items, "everything arrived behind the hop", 30)
        for signal in SIGNALS:
            arrived = [signal.request.FromString(body) for body in mirror.bodies(signal)]
            assert flat(arrived) == flat(sent[signal.name])
        metrics = collector.metrics()
        assert metrics.total("spanmesh_account_accepted_items") == items
        assert metrics.total("spanmesh_account_sent_items") == items
        assert collector.stop() == 0
