"""Other collectors and Jaeger as the next hop: what was sent arrives behind them, field for field.

They are built by `make setup-peers`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal

import grpc
import pytest
from google.protobuf.message import Message
from rig.bulk import SIZE, BulkLoad, Tally, encoded
from rig.collector import Collector, Ports, configuration
from rig.fault_proxy import Fault, FaultProxy
from rig.jaeger import Jaeger
from rig.mirror import Mirror
from rig.next_hop import account_line, grpc_exporter, http_exporter
from rig.otlp import JSON, PROTOBUF, SIGNALS, TRACES, Grpc, Http, Items, Request
from rig.process import Run, wait_for
from rig.samples import small, whole

from bench.collector import contenders
from bench.collector.work import Work

# Fields of OTLP that the peers are too old for.
NEWER = ("key_strindex", "string_value_strindex", "entity_refs")

PEERS = {"rotel": contenders.rotel, "otelcol": contenders.otelcol_peer}


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
        hop = PEERS[name]().start(run, Work(compression="gzip"), mirror.port)
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


@pytest.mark.soak
def test_spans_are_equal_in_jaeger(run: Run) -> None:
    ports = Ports.free()
    jaeger = Jaeger(run)
    exporter = {"endpoint": f"127.0.0.1:{jaeger.port}", "tls": {"insecure": True}}
    collector = Collector(run, configuration(ports, {"otlp_grpc": exporter}), ports=ports)
    # It keeps no schema's URL, and mends spans that end before they begin.
    sent = [whole(TRACES, (*NEWER, "schema_url", "end_time_unix_nano")), small(TRACES, 50)]
    spans = sent[0].resource_spans[0].scope_spans[0].spans
    for span in spans:
        span.end_time_unix_nano = span.start_time_unix_nano + 1
    wires = [Grpc(ports), Http(ports, PROTOBUF), Http(ports, JSON)]
    sent += [small(TRACES, 5) for _ in wires[1:]]
    for resource in (one.resource for request in sent for one in request.resource_spans):
        # Jaeger gives a resource without one a name of its own.
        resource.attributes.add(key="service.name").value.string_value = "shop"
    for wire, request in zip([wires[0], *wires], sent, strict=True):
        assert wire.send(TRACES, wire.encode(request)).code is grpc.StatusCode.OK
    items = sum(map(Items.count, sent))
    wait_for(
        lambda: collector.metrics().total("spanmesh_account_sent_items") == items, "all were sent"
    )
    traces = {
        span.trace_id
        for request in sent
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    }
    found = [jaeger.trace(one) for one in traces]
    assert flat([one for one in found if one is not None]) == flat(sent)
    assert collector.stop() == 0


@pytest.mark.soak
@pytest.mark.parametrize(
    ("name", "transport"), [("rotel", "grpc"), ("otelcol", "grpc"), ("otelcol", "http")]
)
def test_batches_that_are_too_large_for_another_collector_are_split(
    run: Run, name: str, transport: Literal["grpc", "http"]
) -> None:
    """Each says so in its own way: RESOURCE_EXHAUSTED, OUT_OF_RANGE, 400 with a text."""
    limit, requests = (20 << 20, 500) if transport == "http" else (4 << 20, 150)
    ports = Ports.free()
    with Tally(requests) as tally:
        hop = PEERS[name]().start(run, Work(), tally.port)
        with FaultProxy(hop.ports[transport]) as proxy:
            proxy.set(Fault.RESET)
            batch = {"sizer": "bytes", "min_size": limit + 1_000_000, "max_size": 60_000_000}
            queue = {"sizer": "bytes", "queue_size": 100_000_000, "num_consumers": 1}
            queue["batch"] = {**batch, "flush_timeout": "60s"}
            more = {"sending_queue": queue, "timeout": "30s"}
            made = http_exporter if transport == "http" else grpc_exporter
            document = configuration(ports, made(proxy.port, **more))
            document["processors"] = {}
            for pipeline in document["service"]["pipelines"].values():
                pipeline["processors"] = []
            collector = Collector(run, document, ports=ports)
            with BulkLoad(ports.grpc, requests=requests) as load:
                load.wait()
            assert load.spans == requests * SIZE
            # One batch, which is more than the hop takes, has been tried.
            assert requests * len(encoded(0)) > limit + 1_000_000
            wait_for(lambda: proxy.hits > 0, "the batch was sent")
            proxy.set(Fault.NONE)
            # What is left after the first batch is less than one, and goes when it stops.
            wait_for(lambda: tally.distinct > requests * SIZE // 2, "it came in parts", 60)
            assert collector.stop() == 0
            wait_for(lambda: tally.distinct == load.spans, "all arrived behind the hop", 30)
        assert tally.times(load.acknowledged) == {1: load.spans}
        said = account_line(collector, "account received=")
        assert (said["sent"], said["dropped"]) == (str(load.spans), "0")
