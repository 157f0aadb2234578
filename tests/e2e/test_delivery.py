"""Nothing is lost silently: outages, refusals and ends of processes, each with its account."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import grpc
import pytest
from rig import accounting, mesh
from rig.collector import Collector, Ports
from rig.mesh import Deployment, Mesh, Solo, alone
from rig.process import Run, wait_for
from rig.records import Telemetry, read_json_lines
from rig.sink import ACCEPT, Behaviour, Sink

INTERVAL = 0.2
"""Seconds between flushes, as `mesh.plugin` configures them."""

UNDER_WAY = 1.0
"""Seconds that an export is on its way at most: milliseconds, and what a busy machine adds."""


def retried(deployment: Deployment) -> int:
    """Return how many spans the filters have sent again, whatever came of it."""
    return sum(stats.spans.retried for stats in deployment.filter_stats())


@pytest.mark.core
def test_nothing_is_lost_while_the_collector_is_down(run: Run) -> None:
    ports = Ports.free()
    collector = Collector(run, ports=ports)
    world = Mesh(run, collector=ports.grpc)
    world.driver.load([mesh.plain() for _ in range(10)])
    world.settle(collector.telemetry, collector=collector)

    collector.stop()
    world.driver.load([mesh.plain() for _ in range(30)])
    wait_for(lambda: retried(world) > 0, "a filter tried again")
    collector.output.rename(before := collector.output.with_suffix(".before"))
    collector.start()

    def both() -> Telemetry:
        first, second = read_json_lines(before), collector.telemetry()
        return Telemetry(first.spans + second.spans, first.logs + second.logs)

    world.settle(both, timeout=60)


@pytest.mark.core
def test_what_the_queue_cannot_hold_is_counted(run: Run) -> None:
    sink = Sink()
    configuration = mesh.plugin(batch={"max_queue_bytes": 65536})
    solo = Solo(run, collector=sink.port, configuration=configuration, concurrency=1)
    solo.driver.load([alone() for _ in range(200)])
    # The filter counts up its statistics when it flushes.
    wait_for(lambda: solo.envoy.filter_stats().spans.queue_full > 0, "the queue was full")
    assert 0 < solo.envoy.filter_stats().queue_bytes <= 65536
    with sink:
        # What was dropped never comes, so this waits for the queue to be empty instead.
        wait_for(lambda: solo.envoy.filter_stats().queue_bytes == 0, "the queue was empty", 60)
        solo.settle(sink.telemetry, lossy=True, timeout=1)


@pytest.mark.parametrize(
    "code",
    [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.ABORTED],
)
def test_a_passing_failure_is_retried(run: Run, sink: Sink, code: grpc.StatusCode) -> None:
    solo = Solo(run, collector=sink.port)
    sink.behaviour = Behaviour(fail=code)
    solo.driver.load([alone() for _ in range(10)])
    wait_for(lambda: retried(solo) > 0, "the filter tried again")
    sink.behaviour = ACCEPT
    solo.settle(sink.telemetry, timeout=60)


@pytest.mark.parametrize(
    "code",
    [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INTERNAL],
)
def test_a_lasting_failure_is_counted(run: Run, sink: Sink, code: grpc.StatusCode) -> None:
    solo = Solo(run, collector=sink.port)
    sink.behaviour = Behaviour(fail=code)
    solo.driver.load([alone() for _ in range(10)])
    wait_for(lambda: solo.envoy.filter_stats().logs.dropped == 10, "the filter gave up")
    wait_for(lambda: solo.envoy.filter_stats().spans.dropped == 10, "the filter gave up")
    sink.behaviour = ACCEPT
    solo.driver.load([alone() for _ in range(10)])
    solo.settle(sink.telemetry, lossy=True, timeout=3)
    stats = solo.envoy.filter_stats()
    assert (stats.spans.export_failed, stats.spans.sent) == (10, 10)


def test_a_partial_success_is_counted(run: Run, sink: Sink) -> None:
    solo = Solo(run, collector=sink.port, concurrency=1)
    sink.behaviour = Behaviour(reject=1)
    solo.driver.get(alone())
    wait_for(lambda: solo.envoy.filter_stats().logs.rejected == 1, "the refusal was counted")
    wait_for(lambda: solo.envoy.filter_stats().spans.rejected == 1, "the refusal was counted")
    sink.behaviour = ACCEPT
    solo.driver.load([alone() for _ in range(5)])
    solo.settle(sink.telemetry, lossy=True, timeout=3)


def test_an_answer_that_never_comes_is_given_up_and_retried(run: Run, sink: Sink) -> None:
    configuration = mesh.plugin(exporter={"timeout": "500ms"})
    solo = Solo(run, collector=sink.port, configuration=configuration)
    sink.behaviour = Behaviour(hang=30)
    solo.driver.load([alone() for _ in range(5)])
    wait_for(lambda: retried(solo) > 0, "the filter tried again", 60)
    sink.behaviour = ACCEPT
    # The sink may have kept what the filter had given up in the same moment.
    solo.settle(sink.telemetry, timeout=60, duplicates=True)


@pytest.mark.parametrize(("failing", "taken"), [("logs", "spans"), ("traces", "logs")])
def test_one_signal_that_fails_does_not_hold_up_the_other(
    run: Run, sink: Sink, failing: str, taken: str
) -> None:
    solo = Solo(run, collector=sink.port)
    sink.behaviour = Behaviour(fail=grpc.StatusCode.UNAVAILABLE, only=failing)
    solo.driver.load([alone() for _ in range(10)])
    wait_for(lambda: len(getattr(sink.telemetry(), taken)) == 10, f"ten {taken} had arrived", 60)
    sink.behaviour = ACCEPT
    solo.settle(sink.telemetry, timeout=60)


@pytest.mark.core
def test_a_drained_shutdown_loses_nothing(run: Run, sink: Sink) -> None:
    solo = Solo(run, collector=sink.port)
    solo.driver.load([alone() for _ in range(100)])
    # As a mesh drains: no traffic for longer than a flush takes, then the signal.
    wait_for(lambda: solo.envoy.filter_stats().logs.sent == 100, "the logs were flushed")
    wait_for(lambda: solo.envoy.filter_stats().spans.sent == 100, "the spans were flushed")
    stats = [solo.envoy.filter_stats()]
    solo.envoy.process.send_signal(signal.SIGTERM)
    solo.envoy.process.wait(30)
    accounting.take(solo.driver.made, sink.telemetry(), filters=stats).check()


def come_to_rest(sink: Sink) -> Telemetry:
    """Return what has arrived once nothing more comes from a client that has ended."""
    found = sink.telemetry()
    while True:
        time.sleep(0.5)
        later = sink.telemetry()
        if (len(later.spans), len(later.logs)) == (len(found.spans), len(found.logs)):
            return later
        found = later


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("rounds", [2, pytest.param(40, marks=pytest.mark.soak)])
def test_an_abrupt_end_loses_at_most_the_last_interval(
    run: Run,
    sink: Sink,
    rounds: int,
    number: signal.Signals,
    record_property: Callable[[str, object], None],
) -> None:
    """What an Envoy dispatches while it exits never leaves it: the reason why flushes are often."""
    lost = kept = 0
    oldest_lost = 0.0
    for round_number in range(rounds):
        solo = Solo(run, collector=sink.port)
        # Until the signal, so that there is always something unflushed; and for much longer than
        # what may be lost.
        until = time.monotonic() + 3 * (INTERVAL + UNDER_WAY) + 0.05 * (round_number % 10)
        while time.monotonic() < until:
            solo.driver.get(alone())
        ended = time.time_ns()
        solo.envoy.process.send_signal(number)
        solo.envoy.process.wait(30)
        telemetry = come_to_rest(sink)
        spans = {span.request for span in telemetry.spans}
        logs = {record.request for record in telemetry.logs}
        missing = [made for made in solo.driver.made if made.mark not in spans & logs]
        lost += len(missing)
        kept += len(solo.driver.made) - len(missing)
        oldest = ended - int((INTERVAL + UNDER_WAY) * 1e9)
        too_old = [made for made in missing if made.finished < oldest]
        assert not too_old, f"{len(too_old)} of {len(missing)} lost requests ended long before"
        oldest_lost = max([oldest_lost, *((ended - made.finished) / 1e9 for made in missing)])
    record_property("lost", f"{lost} of {lost + kept} requests in {rounds} rounds")
    record_property("oldest_lost_seconds", round(oldest_lost, 3))


def test_the_collector_drains_when_it_ends(run: Run) -> None:
    ports = Ports.free()
    collector = Collector(run, ports=ports)
    solo = Solo(run, collector=ports.grpc)
    solo.driver.load([alone() for _ in range(50)])
    wait_for(lambda: solo.envoy.filter_stats().logs.sent == 50, "the filter had sent the logs")
    wait_for(lambda: solo.envoy.filter_stats().spans.sent == 50, "the filter had sent the spans")
    assert collector.stop() == 0
    accounting.take(solo.driver.made, collector.telemetry(), filters=solo.filter_stats()).check()
