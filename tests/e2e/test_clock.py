"""A clock that jumps: intervals and order come from a clock that only goes forward.

libfaketime stands between the collector and the system's clock; it moves the time of day alone, as
somebody who sets the clock does.
"""

from __future__ import annotations

import signal
import sysconfig
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from rig.collector import Collector, Ports, configuration
from rig.load import Load
from rig.next_hop import arrived, grpc_exporter, total
from rig.process import RigError, Run, wait_for
from rig.programs import collector_binary
from rig.sink import ACCEPT, Behaviour, Sink

NOW, TOMORROW, LAST_YEAR = "+0", "+86400", "-34560000"
"""Seconds that the clock is off by."""


def library() -> Path:
    """Return the library of Debian's package, for programs with threads."""
    folder = Path("/usr/lib") / sysconfig.get_config_var("MULTIARCH") / "faketime"
    path = folder / "libfaketimeMT.so.1"
    if not path.exists():
        raise RigError(f"no {path}: run `make setup`, or install faketime")
    return path


@pytest.fixture
def set_clock(run: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Give a test a way to set the clock of the collectors that it starts."""
    offset = run.write("offset", NOW)
    variables = {
        "LD_PRELOAD": library(),
        "FAKETIME_TIMESTAMP_FILE": offset,
        "FAKETIME_NO_CACHE": 1,
        "FAKETIME_DONT_FAKE_MONOTONIC": 1,
        "DONT_FAKE_MONOTONIC": 1,
    }
    settings = " ".join(f"{name}={value}" for name, value in variables.items())
    program = run.write("shifted", f'#!/bin/sh\nexec env {settings} {collector_binary()} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("SPANMESH_COLLECTOR", str(program))
    return lambda value: run.write("offset", value) and None


def test_nothing_is_lost_or_held_up_when_the_clock_jumps(
    run: Run, sink: Sink, set_clock: Callable[[str], None]
) -> None:
    ports = Ports.free()
    exporters = grpc_exporter(sink.port, sending_queue={"storage": "file_storage"})
    document = configuration(ports, exporters)
    document["extensions"]["file_storage"] = {"directory": str(run.directory / "storage")}
    document["service"]["extensions"].append("file_storage")
    # Each line has the time, for the last check.
    document["service"]["telemetry"]["logs"] = {"encoding": "json"}
    collector = Collector(run, document, ports=ports)

    def went_on(load: Load) -> None:
        before = len(arrived(sink))
        wait_for(lambda: len(arrived(sink)) > before + 200, "spans arrived", 60)
        taken = len(load.acknowledged)
        wait_for(lambda: len(load.acknowledged) > taken, "spans were taken")

    with Load(ports.grpc, threads=2, pause=0.01) as load:
        for clock in (NOW, TOMORROW, LAST_YEAR, NOW):
            set_clock(clock)
            went_on(load)
            # Attempts that wait when the clock is set are made when they are due.
            sink.behaviour = Behaviour(fail=grpc.StatusCode.UNAVAILABLE)
            tries = sink.requests
            wait_for(lambda tries=tries: sink.requests > tries + 1, "it was tried")
            set_clock({NOW: LAST_YEAR, LAST_YEAR: TOMORROW}.get(clock, NOW))
            sink.behaviour = ACCEPT
            went_on(load)
        # What a process left is read by one that lives before it.
        sink.behaviour = Behaviour(fail=grpc.StatusCode.UNAVAILABLE)
        taken = len(load.acknowledged)
        wait_for(lambda: len(load.acknowledged) > taken + 500, "spans were taken")
        set_clock(LAST_YEAR)
        collector.process.send_signal(signal.SIGKILL)
        assert collector.process.wait(30) == -signal.SIGKILL
        collector.start()
        sink.behaviour = ACCEPT
        went_on(load)
    wait_for(lambda: total(collector.metrics(), "queued") == 0, "everything was delivered", 60)
    metrics = collector.metrics()
    recovered = total(metrics, "recovered")
    assert recovered > 0 and total(metrics, "dropped") == 0
    assert total(metrics, "accepted") + recovered == total(metrics, "sent")
    found = set(arrived(sink))
    assert load.acknowledged <= found <= load.acknowledged | load.unanswered
    assert not load.refused
    assert collector.stop() == 0
    # The clock was another one, or this would show nothing.
    years = {line.split('"', 4)[3][:4] for line in collector.process.log.read_text().splitlines()}
    assert len(years) >= 2, years
