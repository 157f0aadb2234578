"""Queues on disk: what is acknowledged is delivered, whatever happens to the process."""

from __future__ import annotations

import random
import signal
import time
from typing import Any

import grpc
import pytest
from rig.collector import Collector, Metrics, Ports, configuration
from rig.load import SPANS, Load
from rig.process import Run, wait_for
from rig.programs import collector_binary
from rig.sink import ACCEPT, Behaviour, Sink


def stored(run: Run, ports: Ports, sink: Sink) -> dict[str, Any]:
    """Return a configuration whose one queue is on disk."""
    exporter = {
        "endpoint": f"127.0.0.1:{sink.port}",
        "tls": {"insecure": True},
        # On a busy machine a sink in Python takes its time, and must not be asked twice for that.
        "timeout": "60s",
        "retry_on_failure": {"initial_interval": "50ms", "max_interval": "200ms"},
        "sending_queue": {"storage": "file_storage"},
    }
    document = configuration(ports, {"otlp_grpc": exporter})
    document["extensions"]["file_storage"] = {"directory": str(run.directory / "storage")}
    document["service"]["extensions"].append("file_storage")
    return document


def balanced(metrics: Metrics) -> bool:
    """Whether the account of the exporter is closed, and nothing waits."""

    def total(name: str) -> int:
        return metrics.total(f"spanmesh_account_{name}_items", exporter="otlp_grpc")

    left = total("sent") + total("sampled_out") + total("dropped")
    assert total("accepted") + total("recovered") == left + total("queued")
    assert total("dropped") == 0
    return total("queued") == 0


def arrived(sink: Sink) -> set[bytes]:
    return {bytes.fromhex(span.span_id) for span in sink.telemetry().spans}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("rounds", [3, pytest.param(20, marks=pytest.mark.soak)])
def test_a_killed_collector_loses_nothing_that_it_acknowledged(
    run: Run, sink: Sink, rounds: int
) -> None:
    ports = Ports.free()
    collector = Collector(run, stored(run, ports, sink), ports=ports)
    client = Load(ports.grpc)
    try:
        for number in range(rounds):
            # Every second time the destination is down, so that the queue is long.
            down = Behaviour(fail=grpc.StatusCode.UNAVAILABLE)
            sink.behaviour = down if number % 2 == 0 else ACCEPT
            before = len(client.acknowledged)
            time.sleep(random.uniform(0.3, 1.5))
            wait_for(lambda b=before: len(client.acknowledged) > b, "the collector took spans")
            collector.process.send_signal(signal.SIGKILL)
            assert collector.process.wait(30) == -signal.SIGKILL
            collector.start()
    finally:
        client.stop()
    sink.behaviour = ACCEPT
    wait_for(lambda: balanced(collector.metrics()), "everything was delivered", 120)
    lost = client.acknowledged - arrived(sink)
    assert not lost, f"{len(lost)} of {len(client.acknowledged)} acknowledged spans are lost"
    assert collector.stop() == 0


@pytest.mark.timeout(300)
def test_a_collector_that_stops_keeps_what_it_could_not_deliver(run: Run) -> None:
    ports = Ports.free()
    sink = Sink()
    collector = Collector(run, stored(run, ports, sink), ports=ports)
    client = Load(ports.grpc)
    try:
        wait_for(lambda: len(client.acknowledged) >= 1000, "the collector took spans")
        assert collector.stop() == 0
    finally:
        client.stop()
    kept = len(client.acknowledged)
    log = collector.process.log.read_text()
    assert "kept in the storage for the next start" in log
    account = next(line for line in log.splitlines() if " account received=" in line)
    queued = int(account.split("queued=")[1].split()[0])
    # A client that was cut off may not have heard that its spans were taken.
    assert kept <= queued <= kept + 4 * SPANS
    with sink:
        collector.start()
        wait_for(lambda: balanced(collector.metrics()), "everything was delivered", 120)
        assert client.acknowledged <= arrived(sink)
        metrics = collector.metrics()
        assert metrics.total("spanmesh_account_recovered_items") == queued
        assert metrics.total("spanmesh_storage_pending_items") == 0
        assert collector.stop() == 0


@pytest.mark.timeout(300)
def test_a_full_disk_refuses_clients_until_there_is_room(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system refuses to let a file grow past a limit, as it does when the disk is full."""
    limited = run.write(
        "limited", f"#!/bin/sh\ntrap '' XFSZ\nulimit -f 1024\nexec {collector_binary()} \"$@\"\n"
    )
    limited.chmod(0o755)
    monkeypatch.setenv("SPANMESH_COLLECTOR", str(limited))
    ports = Ports.free()
    sink = Sink()
    collector = Collector(run, stored(run, ports, sink), ports=ports)
    client = Load(ports.grpc)
    try:
        wait_for(lambda: len(client.refused) >= 100 * SPANS, "the disk was full", 60)
        full = len(client.acknowledged)
        assert full > 0
        with sink:
            wait_for(lambda: len(client.acknowledged) >= 2 * full, "there was room again", 60)
            client.stop()
            wait_for(lambda: balanced(collector.metrics()), "everything was delivered", 120)
            assert client.acknowledged <= arrived(sink)
            assert collector.stop() == 0
    finally:
        client.stop()
    assert "not taken by the storage: " in collector.process.log.read_text()
