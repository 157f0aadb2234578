"""What the collector makes of a next hop that fails: each answer, each broken connection, outages.

What was acknowledged arrives, or is counted as dropped with the reason; told by the spans' ids.
"""

from __future__ import annotations

import shlex
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import grpc
import pytest
from rig.collector import Collector, Metrics, Ports, configuration
from rig.fault_proxy import Fault, FaultProxy
from rig.http_sink import HttpBehaviour, HttpSink
from rig.load import Load, spans
from rig.otlp import TRACES, Grpc
from rig.process import Run, wait_for
from rig.sink import ACCEPT, Behaviour, Sink

REASONS = (
    "queue_full",
    "refused_by_destination",
    "rejected",
    "retries_exhausted",
    "shutdown",
    "too_large",
)

RETRY = {"initial_interval": "20ms", "max_interval": "100ms"}


def grpc_exporter(port: int, **more: Any) -> dict[str, Any]:
    """Return a pipeline's one exporter, over gRPC."""
    hop = {"endpoint": f"127.0.0.1:{port}", "tls": {"insecure": True}}
    return {"otlp_grpc": {**hop, "retry_on_failure": RETRY, **more}}


def http_exporter(port: int, **more: Any) -> dict[str, Any]:
    """Return a pipeline's one exporter, over HTTP."""
    hop = {"endpoint": f"http://127.0.0.1:{port}", "compression": "none"}
    return {"otlp_http": {**hop, "retry_on_failure": RETRY, **more}}


def start(
    run: Run, exporters: dict[str, Any], *, timeout: str = "20ms", arguments: Sequence[str] = ()
) -> Collector:
    """Start a collector with a traces pipeline of `batch` and these exporters."""
    ports = Ports.free()
    document = configuration(ports, exporters)
    document["processors"]["batch"]["timeout"] = timeout
    return Collector(run, document, ports=ports, arguments=arguments)


def send(collector: Collector, numbers: range) -> set[bytes]:
    """Send spans that have to be acknowledged; return their ids."""
    request, ids = spans(numbers)
    wire = Grpc(collector.ports)
    answer = wire.send(TRACES, request.SerializeToString())
    wire.close()
    assert answer.code is grpc.StatusCode.OK, answer
    return set(ids)


def total(metrics: Metrics, name: str, **labels: str) -> int:
    return metrics.total(f"spanmesh_account_{name}_items", signal="traces", **labels)


def settled(collector: Collector, accepted: int, dropped: dict[str, int] | None = None) -> bool:
    """Whether nothing waits; then the account has to say just this."""
    metrics = collector.metrics()
    if total(metrics, "queued") or total(metrics, "accepted") < accepted:
        return False
    dropped = dropped or {}
    assert total(metrics, "accepted") == accepted
    reasons = {reason: total(metrics, "dropped", reason=reason) for reason in REASONS}
    assert {reason: items for reason, items in reasons.items() if items} == dropped
    assert total(metrics, "dropped") == sum(dropped.values())
    assert total(metrics, "sent") == accepted - sum(dropped.values())
    return True


def arrived(sink: Sink | HttpSink) -> Counter[bytes]:
    """Return the ids that arrived, and how often each."""
    return Counter(bytes.fromhex(span.span_id) for span in sink.telemetry().spans)


def once(sink: Sink | HttpSink) -> set[bytes]:
    """Return the ids that arrived, none of them twice."""
    found = arrived(sink)
    assert all(times == 1 for times in found.values())
    return set(found)


CODES = grpc.StatusCode

GRPC_ANSWERS = [
    (CODES.CANCELLED, None, True),
    (CODES.DEADLINE_EXCEEDED, None, True),
    (CODES.ABORTED, None, True),
    (CODES.OUT_OF_RANGE, None, True),
    (CODES.UNAVAILABLE, None, True),
    (CODES.UNAVAILABLE, 0.05, True),
    (CODES.DATA_LOSS, None, True),
    (CODES.RESOURCE_EXHAUSTED, 0.05, True),
    (CODES.RESOURCE_EXHAUSTED, None, False),
    (CODES.UNKNOWN, None, False),
    (CODES.INVALID_ARGUMENT, None, False),
    # A hint makes nothing retryable that is not.
    (CODES.INVALID_ARGUMENT, 0.05, False),
    (CODES.NOT_FOUND, None, False),
    (CODES.ALREADY_EXISTS, None, False),
    (CODES.PERMISSION_DENIED, None, False),
    (CODES.FAILED_PRECONDITION, None, False),
    (CODES.UNIMPLEMENTED, None, False),
    (CODES.INTERNAL, None, False),
    (CODES.UNAUTHENTICATED, None, False),
]


class Trial:
    """Sends one span after the other to a hop that fails each of them at first."""

    def __init__(self, collector: Collector, sink: Sink | HttpSink) -> None:
        self.collector = collector
        self.sink = sink
        self.taking = sink.behaviour
        self.accepted = 0
        self.delivered: set[bytes] = set()
        self.dropped: Counter[str] = Counter()

    def retried(self, failing: Any, label: str, tries: int) -> None:
        """Send a span that is tried so often, and delivered when the hop takes it."""
        before = self._send(failing)
        wait_for(lambda: self.sink.requests >= before + tries, f"{label}: it was tried again")
        self.sink.behaviour = self.taking
        self.delivered.add(self.accepted.to_bytes(8, "big"))
        self._settle(label)

    def refused(self, failing: Any, label: str, reason: str) -> None:
        """Send a span that is tried once, and counted as dropped."""
        before = self._send(failing)
        self.dropped[reason] += 1
        self._settle(label)
        assert self.sink.requests == before + 1, f"{label}: it was tried again"

    def _send(self, failing: Any) -> int:
        self.sink.behaviour = failing
        before = self.sink.requests
        self.accepted += 1
        send(self.collector, range(self.accepted, self.accepted + 1))
        return before

    def _settle(self, label: str) -> None:
        wait_for(lambda: settled(self.collector, self.accepted, self.dropped), label)
        assert once(self.sink) == self.delivered


def test_each_code_of_grpc_is_retried_or_counted_as_dropped(run: Run, sink: Sink) -> None:
    collector = start(run, grpc_exporter(sink.port), timeout="1ms")
    trial = Trial(collector, sink)
    for code, hint, retryable in GRPC_ANSWERS:
        failing = Behaviour(fail=code, retry_after=hint)
        label = f"{code.name}, hint {hint}"
        if retryable:
            trial.retried(failing, label, 3)
        else:
            trial.refused(failing, label, "refused_by_destination")
    assert collector.stop() == 0


HTTP_ANSWERS = [
    (429, None, True),
    (429, 1, True),
    (502, None, True),
    (503, None, True),
    (503, 1, True),
    (504, None, True),
    (301, None, False),
    (400, None, False),
    (401, None, False),
    (403, None, False),
    (404, None, False),
    (405, None, False),
    (408, None, False),
    (413, None, False),
    (415, None, False),
    (422, None, False),
    (500, None, False),
    (500, 1, False),
    (501, None, False),
    (505, None, False),
]


def test_each_code_of_http_is_retried_or_counted_as_dropped(run: Run) -> None:
    with HttpSink() as sink:
        collector = start(run, http_exporter(sink.port), timeout="1ms")
        trial = Trial(collector, sink)
        for status, hint, retryable in HTTP_ANSWERS:
            failing = HttpBehaviour(status=status, retry_after=hint)
            label = f"{status}, hint {hint}"
            if retryable:
                # A hint is in whole seconds.
                trial.retried(failing, label, 2 if hint else 3)
            else:
                reason = "too_large" if status == 413 else "refused_by_destination"
                trial.refused(failing, label, reason)
        assert collector.stop() == 0


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
    with Load(collector.ports.grpc) as load:
        wait_for(lambda: len(arrived(sink)) > 100, "spans arrived")
        proxy.set(fault)
        # A connection that stalls is kept, while one attempt after the other takes too long.
        hits = 1 if fault is Fault.STALL else 3
        wait_for(lambda: proxy.hits >= hits, "the exporter ran into the fault", 30)
        time.sleep(1.5)
        proxy.set(Fault.NONE)
        before = len(arrived(sink))
        wait_for(lambda: len(arrived(sink)) > before + 100, "spans arrived again", 30)
    assert not load.refused and not load.unanswered
    wait_for(lambda: settled(collector, len(load.acknowledged)), "everything was delivered", 30)
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
        with Load(collector.ports.grpc) as load:
            wait_for(lambda: len(arrived(sink)) > 1000, "spans arrived")
            if how == "gone":
                sink.stop()
            else:
                sink.behaviour = Behaviour(fail=CODES.UNAVAILABLE)
            time.sleep(seconds)
            waiting = total(collector.metrics(), "queued")
            assert waiting > 0
            if how == "gone":
                sink.start()
            sink.behaviour = ACCEPT
            before = len(arrived(sink))
            wait_for(lambda: len(arrived(sink)) > before + waiting, "it went on", 30)
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


def account(collector: Collector, what: str) -> dict[str, str]:
    """Return the fields of the last line in the log that begins so."""
    lines = collector.process.log.read_text().splitlines()
    line = [line for line in lines if f" INFO {what}" in line][-1]
    pairs = (part.partition("=") for part in shlex.split(line))
    return {name: value for name, equals, value in pairs if equals}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopping_under_load_delivers_what_was_acknowledged(
    run: Run, sink: Sink, number: signal.Signals
) -> None:
    collector = start(run, grpc_exporter(sink.port))
    with Load(collector.ports.grpc) as load:
        wait_for(lambda: len(arrived(sink)) > 1000, "spans arrived")
        collector.process.send_signal(number)
        assert collector.process.wait(30) == 0
    found = once(sink)
    assert load.acknowledged <= found <= load.acknowledged | load.unanswered
    said = account(collector, "account received=")
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
        said = account(collector, line)
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
        assert answer.code is CODES.OK
        sent.update(ids)
    wire.close()
    with sink:
        wait_for(lambda: settled(collector, len(sent)), "everything was delivered", 60)
        assert once(sink) == sent
        assert collector.stop() == 0
