"""Real OpenTelemetry SDKs against the collector: Python and JavaScript, three protocols each."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest
from opentelemetry.exporter.otlp.json.http.trace_exporter import (
    OTLPSpanExporter as JsonExporter,
)
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
    OTLPSpanExporter as GrpcExporter,
)
from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
    OTLPSpanExporter as ProtobufExporter,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode
from rig.collector import Collector, Ports
from rig.process import ROOT, Run, wait_for
from rig.records import Span

SPANS = 25


def grpc_exporter(ports: Ports) -> SpanExporter:
    return GrpcExporter(endpoint=f"http://127.0.0.1:{ports.grpc}", insecure=True)


def protobuf_exporter(ports: Ports) -> SpanExporter:
    return ProtobufExporter(endpoint=f"http://127.0.0.1:{ports.http}/v1/traces")


def json_exporter(ports: Ports) -> SpanExporter:
    return JsonExporter(endpoint=f"http://127.0.0.1:{ports.http}/v1/traces")


def spans_of(collector: Collector, service: str) -> list[Span]:
    """Wait for the client's spans and return them, after checking the collector's account."""

    def found() -> list[Span]:
        return [span for span in collector.telemetry().spans if span.service == service]

    wait_for(lambda: len(found()) >= SPANS, f"{SPANS} spans of {service}")
    spans = found()
    assert len({span.span_id for span in spans}) == len(spans) == SPANS
    sent = "otelcol_exporter_sent_spans"
    # They are written a moment before they are counted.
    wait_for(lambda: collector.metrics().total(sent) >= SPANS, "they are sent")
    metrics = collector.metrics()
    for name in ("otelcol_receiver_accepted_spans", sent):
        assert metrics.total(name) == SPANS
    assert metrics.total("otelcol_receiver_refused_spans") == 0
    return spans


def check(spans: list[Span], version: str) -> None:
    """Check that what the clients set is what arrived."""
    by_index = {span.attributes["index"]: span for span in spans}
    assert set(by_index) == set(range(SPANS))
    span = by_index[7]
    assert span.name == "work"
    assert span.kind == 3
    assert span.status == 2
    assert span.status_message == "broken"
    assert span.attributes["text"] == "żółw ✓"
    assert span.attributes["ratio"] == 0.25
    assert span.attributes["big"] == 2**40 + 1
    assert span.attributes["flag"] is True
    assert span.attributes["list"] == ["a", "b"]
    assert span.scope == "clients"
    assert span.scope_version == version
    assert span.end > span.start > 0


@pytest.mark.parametrize("make", [grpc_exporter, protobuf_exporter, json_exporter])
def test_python(run: Run, make: Callable[[Ports], SpanExporter]) -> None:
    collector = Collector(run)
    provider = TracerProvider(resource=Resource({"service.name": "python-client"}))
    provider.add_span_processor(BatchSpanProcessor(make(collector.ports)))
    tracer = provider.get_tracer("clients", "1.2")
    for index in range(SPANS):
        with tracer.start_as_current_span("work", kind=SpanKind.CLIENT) as span:
            span.set_attributes(
                {
                    "index": index,
                    "text": "żółw ✓",
                    "ratio": 0.25,
                    "big": 2**40 + 1,
                    "flag": True,
                    "list": ["a", "b"],
                }
            )
            span.set_status(Status(StatusCode.ERROR, "broken"))
    assert provider.force_flush()
    provider.shutdown()
    check(spans_of(collector, "python-client"), "1.2")


@pytest.mark.parametrize("protocol", ["grpc", "http", "proto"])
def test_javascript(run: Run, protocol: str) -> None:
    collector = Collector(run)
    port = collector.ports.grpc if protocol == "grpc" else collector.ports.http
    done = subprocess.run(
        ["node", "send.js", protocol, f"http://127.0.0.1:{port}", str(SPANS)],
        cwd=ROOT / "tests" / "sdk-js",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    check(spans_of(collector, "javascript-client"), "1.2")
