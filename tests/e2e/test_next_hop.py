"""What the collector makes of a next hop that goes away, breaks connections, or takes little.

What was acknowledged arrives, or is counted as dropped with the reason; told by the spans' ids.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import grpc
import pytest
from rig.collector import Collector
from rig.fault_proxy import Fault, FaultProxy
from rig.http_sink import HttpSink
from rig.load import Load, spans
from rig.next_hop import (
    account_line,
    arrived,
    grpc_exporter,
    http_exporter,
    once,
    settled,
    start,
    total,
)
from rig.otlp import TRACES, Grpc
from rig.process import Run, wait_for
from rig.sink import ACCEPT, Behaviour, Sink

Hop = tuple[Sink | HttpSink, FaultProxy, Collector]


@pytest.fixture(params=["grpc", "http"])
def hop(request: pytest.FixtureRequest, run: Run) -> Iterator[Hop]:
    """Give a test a next hop behind a proxy that breaks connections, and a collector before it."""
    made: Sink | HttpSink = Sink() if request.param == "grpc" else HttpSink()
    exporter = grpc_exporter if request.param == "grpc" else http_exporter
    with made as sink, FaultProxy(sink.port) as proxy:
        yield sink, proxy, start(run, exporter(proxy.port, timeout="500ms"))


FAULTS = [
    Fault.RESET,
    Fault.CLOSE,
    Fault.RESET_REQUEST,
    Fault.STALL,
    Fault.GARBAGE,
    Fault.HALF_ANSWER,
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.lower())
def test_broken_connections_cost_nothing(hop: Hop, fault: Fault) -> None:
    sink, proxy, collector = hop
    # The fault comes on a connection that is in use, and on those that follow.
    # No more than the sink, which is in Python, can catch up with on a busy machine.
    with Load(collector.ports.grpc, pause=0.02) as load:
        wait_for(lambda: len(arrived(sink)) > 100, "spans arrived")
        proxy.set(fault)
        # A connection that stalls is kept, while one attempt after the other takes too long.
        hits = 1 if fault is Fault.STALL else 3
        wait_for(lambda: proxy.hits >= hits, "the exporter ran into the fault", 60)
        time.sleep(1.5)
        proxy.set(Fault.NONE)
        before = len(arrived(sink))
        wait_for(lambda: len(arrived(sink)) > before + 100, "spans arrived again", 90)
    assert not load.refused and not load.unanswered
    wait_for(lambda: settled(collector, len(load.acknowledged)), "everything was delivered", 90)
    # What was sent again may be there twice: nobody knows what became of it the first time.
    assert set(arrived(sink)) == load.acknowledged
    assert collector.stop() == 0


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seconds", [4, pytest.param(60, marks=pytest.mark.soak)])
@pytest.mark.parametrize("how", ["gone", "refusing"])
def test_an_outage_under_load_costs_nothing(run: Run, how: str, seconds: int) -> None:
    sink = Sink().start()
    try:
        collector = start(run, grpc_exporter(sink.port))
        # So much that the sink, which is in Python, can catch up with it.
        with Load(collector.ports.grpc, pause=0.05) as load:
            wait_for(lambda: len(arrived(sink)) > 1000, "spans arrived")
            if how == "gone":
                sink.stop()
            else:
                sink.behaviour = Behaviour(fail=grpc.StatusCode.UNAVAILABLE)
            time.sleep(seconds)
            waiting = total(collector.metrics(), "queued")
            assert waiting > 0
            if how == "gone":
                sink.start()
            sink.behaviour = ACCEPT
            before = len(arrived(sink))
            wait_for(lambda: len(arrived(sink)) > before + waiting, "it went on", 60)
        assert not load.refused and not load.unanswered
        wait_for(lambda: settled(collector, len(load.acknowledged)), "all was delivered", 60)
        found = arrived(sink)
        assert set(found) == load.acknowledged
        # When the hop went away, it may have taken what it did not answer any more.
        assert how == "gone" or found.total() == len(found)
        assert collector.stop() == 0
    finally:
        sink.stop()


@pytest.mark.parametrize("sizer", ["items", "bytes", "requests"])
def test_a_full_queue_refuses_and_drops_nothing(run: Run, sizer: str) -> None:
    size = {"items": 5_000, "bytes": 300_000, "requests": 20}[sizer]
    queue = {"queue_size": size, "sizer": sizer}
    sink = Sink()
    collector = start(run, grpc_exporter(sink.port, sending_queue=queue))
    with Load(collector.ports.grpc) as load:
        wait_for(lambda: len(load.refused) > 2_000, "the queue was full", 60)
        assert load.acknowledged
        assert total(collector.metrics(), "dropped") == 0
    assert not load.unanswered
    refused = collector.metrics().total("otelcol_receiver_refused_spans")
    assert refused == len(load.refused)
    with sink:
        wait_for(lambda: settled(collector, len(load.acknowledged)), "it was delivered", 60)
        assert once(sink) == load.acknowledged
        assert collector.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopping_under_load_delivers_what_was_acknowledged(
    run: Run, sink: Sink, number: signal.Signals
) -> None:
    collector = start(run, grpc_exporter(sink.port))
    with Load(collector.ports.grpc) as load:
        wait_for(lambda: len(arrived(sink)) > 1000, "spans arrived")
        collector.process.send_signal(number)
        assert collector.process.wait(60) == 0
    found = once(sink)
    assert load.acknowledged <= found <= load.acknowledged | load.unanswered
    said = account_line(collector, "account received=")
    assert int(said["received"]) == int(said["sent"]) == len(found)
    assert (said["dropped"], said["queued"]) == ("0", "0")


def test_stopping_while_the_hop_is_down_says_what_is_lost(run: Run) -> None:
    sink = Sink()
    exporters = grpc_exporter(sink.port, sending_queue={"queue_size": 1_000})
    collector = start(run, exporters, arguments=["--drain-timeout", "2"])
    with Load(collector.ports.grpc) as load:
        wait_for(lambda: len(load.acknowledged) > 1000, "spans were taken")
    collector.process.send_signal(signal.SIGTERM)
    assert collector.process.wait(60) == 0
    lost = len(load.acknowledged)
    for line in ("account received=", "account of a destination"):
        said = account_line(collector, line)
        assert (said["accepted"], said["sent"], said["dropped"]) == (str(lost), "0", str(lost))
        assert said["reasons"] == f"shutdown {lost}"
    assert (said["exporter"], said["signal"]) == ("otlp_grpc", "traces")


def test_a_hop_that_takes_4_mib_gets_everything(run: Run) -> None:
    # The default of gRPC's own libraries.
    sink = Sink(max_message_bytes=4 << 20)
    collector = start(run, grpc_exporter(sink.port), timeout="2s")
    sent: set[bytes] = set()
    wire = Grpc(collector.ports)
    for first in range(1, 8_001, 500):
        request, ids = spans(range(first, first + 500), name="x" * 2_000)
        answer = wire.send(TRACES, request.SerializeToString())
        assert answer.code is grpc.StatusCode.OK
        sent.update(ids)
    wire.close()
    with sink:
        wait_for(lambda: settled(collector, len(sent)), "everything was delivered", 60)
        assert once(sink) == sent
        assert collector.stop() == 0
