"""A collector before one next hop: how it is started, and its account of what it sent there."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from typing import Any

import grpc

from rig.collector import Collector, Metrics, Ports, configuration
from rig.http_sink import HttpSink
from rig.load import spans
from rig.otlp import TRACES, Grpc
from rig.process import Run
from rig.sink import Sink

REASONS = (
    "queue_full",
    "refused_by_destination",
    "rejected",
    "retries_exhausted",
    "shutdown",
    "too_large",
)

RETRY = {"initial_interval": "20ms", "max_interval": "100ms"}

# On a busy machine a sink in Python takes its time, and must not be asked twice for that.
_USUAL = {"retry_on_failure": RETRY, "timeout": "60s"}


def grpc_exporter(port: int, **more: Any) -> dict[str, Any]:
    """Return a pipeline's one exporter, over gRPC."""
    hop = {"endpoint": f"127.0.0.1:{port}", "tls": {"insecure": True}}
    return {"otlp_grpc": {**hop, **_USUAL, **more}}


def http_exporter(port: int, **more: Any) -> dict[str, Any]:
    """Return a pipeline's one exporter, over HTTP."""
    hop = {"endpoint": f"http://127.0.0.1:{port}", "compression": "none"}
    return {"otlp_http": {**hop, **_USUAL, **more}}


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
    """Return a number of the traces' account."""
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


def account_line(collector: Collector, what: str, exporter: str | None = None) -> dict[str, str]:
    """Return the fields of the last line in the log that begins so, and is about the exporter."""
    found = {}
    for line in collector.process.log.read_text().splitlines():
        if f" INFO {what}" not in line:
            continue
        pairs = (part.partition("=") for part in shlex.split(line))
        fields = {name: value for name, equals, value in pairs if equals}
        if exporter in {None, fields.get("exporter")}:
            found = fields
    assert found, f"no line about {exporter or what} in {collector.process.log}"
    return found


def arrived(sink: Sink | HttpSink) -> Counter[bytes]:
    """Return the ids that arrived, and how often each."""
    return Counter(bytes.fromhex(span.span_id) for span in sink.telemetry().spans)


def once(sink: Sink | HttpSink) -> set[bytes]:
    """Return the ids that arrived, none of them twice."""
    found = arrived(sink)
    assert all(times == 1 for times in found.values())
    return set(found)
