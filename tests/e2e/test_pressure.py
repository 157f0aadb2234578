"""More than a collector can pass on: what it takes it keeps, and the rest is refused with a hint.

The destination is down, the spans come by the hundred thousand, and each is told by its id.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from rig.bulk import SIZE, BulkLoad, Tally
from rig.collector import Collector, Ports, configuration
from rig.mirror import Mirror
from rig.next_hop import RETRY, account_line, settled, start, total
from rig.otlp import METRICS
from rig.process import Run, wait_for

Record = Callable[[str, object], None]

MIB = 1 << 20


def exporter(hop: Tally, **more: Any) -> dict[str, Any]:
    """Return a pipeline's one exporter, with the default queue and the default retries."""
    # On a busy machine a server in Python takes its time, and must not be asked twice for that.
    options = {"tls": {"insecure": True}, "timeout": "60s"}
    return {"otlp_grpc": {"endpoint": f"127.0.0.1:{hop.port}", **options, **more}}


def check(hop: Tally, load: BulkLoad) -> None:
    """Check that all that was acknowledged arrived, once, and nothing that was refused."""
    assert not load.unanswered
    assert hop.times(load.acknowledged) == {1: load.spans}
    assert hop.distinct == hop.total == load.spans


def points(body: bytes, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    """Return the values of a metric that are not 0, by these of its labels."""
    request: Any = METRICS.request.FromString(body)
    found = {}
    for resource in request.resource_metrics:
        for metric in (one for scope in resource.scope_metrics for one in scope.metrics):
            if metric.name != name:
                continue
            for point in getattr(metric, metric.WhichOneof("data")).data_points:
                have = {pair.key: pair.value.string_value for pair in point.attributes}
                if value := getattr(point, point.WhichOneof("value")):
                    found[tuple(have[label] for label in labels)] = value
    return found


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("offered", "limit_mib"),
    [
        (150_000, 64),
        pytest.param(4_000_000, None, marks=[pytest.mark.soak, pytest.mark.timeout(1800)]),
    ],
)
def test_memory_stays_in_its_budget_whatever_is_offered(
    run: Run, offered: int, limit_mib: int | None, record_property: Record
) -> None:
    requests = offered // SIZE
    hop = Tally(requests)
    ports = Ports.free()
    document = configuration(ports, exporter(hop, retry_on_failure={"max_elapsed_time": "0s"}))
    if limit_mib is not None:
        limiter = {"check_interval": "100ms", "limit_mib": limit_mib}
        document["processors"]["memory_limiter"] = limiter
        for pipeline in document["service"]["pipelines"].values():
            pipeline["processors"] = ["memory_limiter", "batch"]
    collector = Collector(run, document, ports=ports)
    budget = (limit_mib or 512) * MIB
    with BulkLoad(ports.grpc, requests=requests) as load:
        load.wait()
    # What the collector needs for itself, and what allocators keep, comes on top.
    peak = collector.process.peak_bytes
    record_property("spans", f"{load.spans} kept, {len(load.refused) * SIZE} refused")
    record_property("peak_mib", peak // MIB)
    assert peak < budget + 48 * MIB
    assert len(load.acknowledged) + len(load.refused) == requests
    assert load.acknowledged and load.refused
    assert total(collector.metrics(), "dropped") == 0
    with hop:
        wait_for(lambda: settled(collector, load.spans), "everything was delivered", 300)
        check(hop, load)
        assert collector.stop() == 0


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seconds", [5, pytest.param(30, marks=pytest.mark.soak)])
def test_an_outage_at_a_steady_rate_costs_nothing(
    run: Run, seconds: int, record_property: Record
) -> None:
    rate = 20_000
    requests = rate * (seconds + 6) // SIZE
    hop = Tally(requests).start()
    try:
        collector = start(run, exporter(hop), timeout="200ms")
        with BulkLoad(collector.ports.grpc, requests=requests, rate=rate) as load:
            wait_for(lambda: hop.total > rate, "spans arrived")
            hop.stop()
            time.sleep(seconds)
            record_property("waiting", total(collector.metrics(), "queued"))
            hop.start()
            wait_for(lambda: hop.first is not None, "spans arrived again", 60)
            load.wait()
        assert hop.first is not None
        record_property("first_data_after_seconds", round(hop.first - hop.started, 2))
        record_property("peak_mb", collector.process.peak_bytes // 1_000_000)
        assert not load.refused
        wait_for(lambda: settled(collector, load.spans), "everything was delivered", 120)
        # A server that goes may have taken what it did not answer any more.
        record_property("duplicates", hop.total - hop.distinct)
        assert not load.unanswered
        assert 0 not in hop.times(load.acknowledged)
        assert hop.distinct == load.spans
        assert collector.stop() == 0
    finally:
        hop.stop()


SPANS = [50_000, pytest.param(200_000, marks=pytest.mark.soak)]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("spans", SPANS)
def test_a_stop_while_the_hop_is_down_says_exactly_what_is_lost(run: Run, spans: int) -> None:
    hop = Tally(spans // SIZE)
    ports = Ports.free()
    with Mirror() as own_metrics:
        document = configuration(ports, exporter(hop) | {"nop": {}})
        readers = document["service"]["telemetry"]["metrics"]["readers"]
        otlp = {"protocol": "grpc", "endpoint": f"http://127.0.0.1:{own_metrics.port}"}
        readers.append({"periodic": {"interval": 60_000, "exporter": {"otlp": otlp}}})
        collector = Collector(run, document, ports=ports, arguments=["--drain-timeout", "2"])
        with BulkLoad(ports.grpc, requests=spans // SIZE) as load:
            load.wait()
        assert (load.spans, load.refused, load.unanswered) == (spans, set(), set())
        collector.process.send_signal(signal.SIGTERM)
        assert collector.process.wait(60) == 0
        [*_, last] = own_metrics.bodies(METRICS)
    dropped = points(last, "spanmesh_account_dropped_items", "exporter", "reason")
    sent = points(last, "spanmesh_account_sent_items", "exporter")
    assert dropped == {("otlp_grpc", "shutdown"): spans}
    assert sent == {("nop",): spans}
    for exporter_name, lost in (("otlp_grpc", spans), ("nop", 0)):
        said = account_line(collector, "account of a destination", exporter_name)
        assert (said["accepted"], said["dropped"]) == (str(spans), str(lost))
        assert said["sent"] == str(spans - lost)
    assert account_line(collector, "account of a destination", "otlp_grpc")["reasons"] == (
        f"shutdown {spans}"
    )


@pytest.mark.timeout(600)
@pytest.mark.parametrize("spans", SPANS)
def test_a_stop_while_the_hop_is_down_loses_nothing_with_storage(run: Run, spans: int) -> None:
    hop = Tally(spans // SIZE)
    ports = Ports.free()
    queue = {"sending_queue": {"storage": "file_storage"}, "retry_on_failure": RETRY}
    document = configuration(ports, exporter(hop, **queue))
    document["extensions"]["file_storage"] = {"directory": str(run.directory / "storage")}
    document["service"]["extensions"].append("file_storage")
    collector = Collector(run, document, ports=ports)
    with BulkLoad(ports.grpc, requests=spans // SIZE) as load:
        load.wait()
    assert (load.spans, load.refused, load.unanswered) == (spans, set(), set())
    assert collector.stop() == 0
    said = account_line(collector, "account of a destination", "otlp_grpc")
    assert (said["accepted"], said["queued"], said["dropped"]) == (str(spans), str(spans), "0")
    with hop:
        collector.start()
        wait_for(lambda: total(collector.metrics(), "sent") == spans, "it was delivered", 120)
        assert total(collector.metrics(), "recovered") == spans
        check(hop, load)
        assert collector.stop() == 0
