"""A collector that takes over new configurations while SDKs send."""

from __future__ import annotations

import signal
import threading
from typing import Any

import yaml
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
    OTLPSpanExporter as GrpcExporter,
)
from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
    OTLPSpanExporter as HttpExporter,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from rig.collector import Collector, Ports, configuration
from rig.process import Run, wait_for
from rig.sink import Sink


class Client(threading.Thread):
    """Exports ten spans after ten, each only once and all from one thread."""

    def __init__(self, exporter: SpanExporter, stop: threading.Event) -> None:
        """Send with an SDK's exporter, which tries again what may be tried again."""
        super().__init__()
        self.exporter, self.stop = exporter, stop
        self.ids: set[str] = set()
        self.failures = 0

    def run(self) -> None:
        """Send until told to stop."""
        tracer = TracerProvider(shutdown_on_exit=False).get_tracer("clients")
        while not self.stop.is_set():
            spans: list[ReadableSpan] = []
            for _ in range(10):
                span = tracer.start_span("work")
                span.end()
                spans.append(span)  # type: ignore[arg-type]
            if self.exporter.export(spans) is SpanExportResult.SUCCESS:
                self.ids |= {f"{span.get_span_context().span_id:016x}" for span in spans}
            else:
                self.failures += 1
        self.exporter.shutdown()


def to_sinks(ports: Ports, timeout: str, **sinks: Sink) -> dict[str, Any]:
    """Return a configuration with batches of this age to each of these sinks."""
    exporters = {
        f"otlp_grpc/{name}": {
            "endpoint": f"127.0.0.1:{sink.port}",
            "tls": {"insecure": True},
            "retry_on_failure": {"initial_interval": "50ms", "max_interval": "200ms"},
        }
        for name, sink in sinks.items()
    }
    config = configuration(ports, exporters)
    config["processors"]["batch"]["timeout"] = timeout
    return config


def test_nothing_is_lost_while_configurations_change(run: Run) -> None:
    """Unchanged, moved, doubled and removed destinations, and two files that are refused."""
    ports = Ports.free()
    with Sink() as first, Sink() as second:
        collector = Collector(run, to_sinks(ports, "20ms", a=first), ports=ports)
        stop = threading.Event()
        # A client that nobody stops keeps the whole test run from ending.
        run.on_close(stop.set)
        grpc_url, http_url = f"127.0.0.1:{ports.grpc}", f"http://127.0.0.1:{ports.http}/v1/traces"
        clients = [
            *(Client(GrpcExporter(endpoint=grpc_url, insecure=True), stop) for _ in range(2)),
            *(Client(HttpExporter(endpoint=http_url), stop) for _ in range(2)),
        ]
        for client in clients:
            client.start()
        wrong = to_sinks(ports, "fast", a=first)
        counts = {"success": 0, "failure": 0}
        for document, result in [
            (to_sinks(ports, "5ms", a=first), "success"),
            (wrong, "failure"),
            (to_sinks(ports, "5ms", a=second), "success"),
            (to_sinks(ports, "5ms", b=second), "success"),
            (wrong, "failure"),
            (to_sinks(ports, "50ms", a=first, b=second), "success"),
            (to_sinks(ports, "50ms", a=first), "success"),
        ]:
            before = sum(len(client.ids) for client in clients)
            wait_for(
                lambda before=before: sum(len(client.ids) for client in clients) > before + 100,
                "the clients send",
            )
            run.write("collector.yaml", yaml.safe_dump(document))
            collector.process.send_signal(signal.SIGHUP)
            counts[result] += 1
            wait_for(
                lambda result=result: (
                    collector.metrics().total("spanmesh_config_reloads", result=result)
                    == counts[result]
                ),
                "the configuration is read",
            )
        stop.set()
        for client in clients:
            client.join()
        wait_for(
            lambda: collector.metrics().total("spanmesh_account_queued_items") == 0,
            "everything is delivered",
            60,
        )
        metrics = collector.metrics()
        assert collector.stop() == 0
        sent = set().union(*(client.ids for client in clients))
        spans = [*first.telemetry().spans, *second.telemetry().spans]
    assert [client.failures for client in clients] == [0] * len(clients)
    assert {span.span_id for span in spans} == sent
    # The account: what the clients were told was taken, arrived; some of it in both places.
    accepted = metrics.total("spanmesh_account_accepted_items")
    assert accepted == metrics.total("spanmesh_account_sent_items") == len(spans)
    assert metrics.total("otelcol_receiver_accepted_spans") == len(sent)
    assert metrics.total("spanmesh_account_dropped_items") == 0
