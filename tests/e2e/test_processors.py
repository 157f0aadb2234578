"""The collector's processors and connectors, between an SDK and a sink of the rig's own."""

from __future__ import annotations

import hashlib
from typing import Any

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
    OTLPSpanExporter as GrpcExporter,
)
from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
    OTLPSpanExporter as HttpExporter,
)
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind
from rig import http
from rig.collector import Collector, Ports, configuration
from rig.process import Run, wait_for
from rig.records import Span
from rig.sink import Behaviour, Sink

SPANS = 200


def to_sink(ports: Ports, sink: Sink, processors: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration with these processors before `batch`, which sends to the sink."""
    exporter = {
        "endpoint": f"127.0.0.1:{sink.port}",
        "tls": {"insecure": True},
        "retry_on_failure": {"initial_interval": "100ms", "max_interval": "200ms"},
    }
    config = configuration(ports, {"otlp_grpc": exporter})
    config["processors"] = {**processors, **config["processors"]}
    traces = {
        "receivers": ["otlp"],
        "processors": list(config["processors"]),
        "exporters": ["otlp_grpc"],
    }
    config["service"]["pipelines"] = {"traces": traces}
    for protocol in config["receivers"]["otlp"]["protocols"].values():
        protocol["include_metadata"] = True
    return config


def send(exporter: SpanExporter) -> set[str]:
    """Make spans with an SDK, each the root of its trace, and return their ids."""
    resource = Resource({"service.name": "shop", "host.name": "secret-host"})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=4 * SPANS))
    tracer = provider.get_tracer("clients", "1.2")
    ids = set()
    for index in range(SPANS):
        kind = SpanKind.SERVER if index % 2 else SpanKind.CLIENT
        with tracer.start_as_current_span(f"work {index}", kind=kind) as span:
            span.set_attributes(
                {
                    "index": index,
                    "user": f"user-{index}@example.com",
                    "card": "4000-1234",
                    "size": "17",
                    "ok": True,
                }
            )
            ids.add(f"{span.get_span_context().span_id:016x}")
    assert provider.force_flush()
    provider.shutdown()
    assert len(ids) == SPANS
    return ids


def grpc_exporter(ports: Ports) -> SpanExporter:
    return GrpcExporter(
        endpoint=f"http://127.0.0.1:{ports.grpc}", insecure=True, headers={"x-tenant": "blue"}
    )


def http_exporter(ports: Ports) -> SpanExporter:
    return HttpExporter(
        endpoint=f"http://127.0.0.1:{ports.http}/v1/traces", headers={"x-tenant": "blue"}
    )


def arrived(collector: Collector, sink: Sink, expected: int, sampled_out: int = 0) -> list[Span]:
    """Wait for the spans, and check the account by ids and by metrics."""
    wait_for(lambda: len(sink.telemetry().spans) >= expected, f"{expected} spans")
    sent = "otelcol_exporter_sent_spans"
    # The sink has them a moment before the collector hears of it.
    wait_for(lambda: collector.metrics().total(sent) >= expected, "they are sent")
    metrics = collector.metrics()
    accepted = metrics.total("spanmesh_account_accepted_items", signal="traces")
    assert metrics.total("otelcol_receiver_accepted_spans") == SPANS
    assert metrics.total(sent) == expected
    assert metrics.total("spanmesh_account_sampled_out_items") == sampled_out
    assert metrics.total("spanmesh_account_dropped_items") == 0
    assert metrics.total("spanmesh_account_queued_items") == 0
    assert accepted == expected + sampled_out
    assert collector.stop() == 0
    spans = sink.telemetry().spans
    assert len(spans) == expected
    return spans


@pytest.mark.parametrize("make", [grpc_exporter, http_exporter])
def test_attributes_and_resource(run: Run, sink: Sink, make: Any) -> None:
    ports = Ports.free()
    processors = {
        "resource": {
            "attributes": [
                {"key": "host.name", "action": "delete"},
                {"key": "deployment.environment.name", "value": "test", "action": "upsert"},
            ]
        },
        "attributes/all": {
            "actions": [
                {"key": "card", "action": "hash"},
                {"key": "user", "pattern": "^(?P<user_name>[^@]+)@", "action": "extract"},
                {"key": "user", "action": "delete"},
                {"key": "size", "converted_type": "int", "action": "convert"},
                {"key": "tenant", "from_context": "metadata.x-tenant", "action": "insert"},
                {"key": "peer", "from_context": "client.address", "action": "insert"},
                {"key": "ok", "value": False, "action": "update"},
            ]
        },
        "attributes/servers": {
            "include": {"match_type": "strict", "span_kinds": ["SPAN_KIND_SERVER"]},
            "exclude": {
                "match_type": "regexp",
                "attributes": [{"key": "index", "value": "^1..$"}],
            },
            "actions": [{"key": "marked", "value": ["a", 1], "action": "insert"}],
        },
    }
    collector = Collector(run, to_sink(ports, sink, processors), ports=ports)
    ids = send(make(ports))
    spans = arrived(collector, sink, SPANS)
    assert {span.span_id for span in spans} == ids
    for span in spans:
        index = span.attributes["index"]
        expected = {
            "index": index,
            "card": hashlib.sha256(b"4000-1234").hexdigest(),
            "size": 17,
            "ok": False,
            "user_name": f"user-{index}",
            "tenant": "blue",
            "peer": "127.0.0.1",
        }
        if index % 2 and not 100 <= index <= 199:
            expected["marked"] = ["a", 1]
        assert span.attributes == expected
        assert span.name == f"work {index}"
        assert span.service == "shop"
        assert "host.name" not in span.resource
        assert span.resource["deployment.environment.name"] == "test"


def kept_by_hash(trace_id: str, seed: int, percentage: float) -> bool:
    """Decide as otelcol does in the mode `hash_seed`: FNV-1a, of which 14 bits count."""
    value = 0x811C9DC5
    for byte in seed.to_bytes(4, "little") + bytes.fromhex(trace_id):
        value = (value ^ byte) * 0x01000193 % 2**32
    return value & 0x3FFF < int(percentage * 16384 / 100)


@pytest.mark.parametrize("mode", ["hash_seed", "proportional", "equalizing"])
def test_probabilistic_sampler(run: Run, sink: Sink, mode: str) -> None:
    ports = Ports.free()
    options = {"mode": mode, "sampling_percentage": 25, "hash_seed": 22}
    config = to_sink(ports, sink, {"probabilistic_sampler": options})
    # Beside it everything arrives, so that what went is known, too.
    config["exporters"]["file"] = {"path": str(run.directory / "all.jsonl")}
    config["service"]["pipelines"]["traces/all"] = {"receivers": ["otlp"], "exporters": ["file"]}
    collector = Collector(run, config, ports=ports)
    collector.output = run.directory / "all.jsonl"
    send(grpc_exporter(ports))
    wait_for(lambda: len(collector.telemetry().spans) == SPANS, "all spans beside the sampler")
    spans = collector.telemetry().spans
    if mode == "hash_seed":
        kept = {span.span_id for span in spans if kept_by_hash(span.trace_id, 22, 25)}
    else:
        kept = {span.span_id for span in spans if int(span.trace_id[-14:], 16) >= 3 << 54}
    assert 0 < len(kept) < SPANS
    account = {"exporter": "otlp_grpc", "signal": "traces"}
    sent = "spanmesh_account_sent_items"
    # The sink has them a moment before the collector hears of it.
    wait_for(lambda: collector.metrics().total(sent, **account) >= len(kept), "they are sent")
    metrics = collector.metrics()
    assert metrics.total("spanmesh_account_accepted_items", **account) == SPANS
    assert metrics.total(sent, **account) == len(kept)
    flow = {"pipeline": "traces", "signal": "traces"}
    assert metrics.total("spanmesh_pipeline_received_items", **flow) == SPANS
    assert metrics.total("spanmesh_pipeline_handed_on_items", **flow) == len(kept)
    assert metrics.total("spanmesh_pipeline_sampled_out_items", **flow) == SPANS - len(kept)
    assert metrics.total("spanmesh_account_sampled_out_items", **account) == SPANS - len(kept)
    counted = "otelcol_processor_probabilistic_sampler_count_traces_sampled"
    assert metrics.total(counted, sampled="true") == len(kept)
    assert metrics.total(counted, sampled="false") == SPANS - len(kept)
    items = "otelcol_processor_{}_items"
    assert metrics.total(items.format("incoming"), processor="probabilistic_sampler") == SPANS
    assert metrics.total(items.format("outgoing"), processor="probabilistic_sampler") == len(kept)
    assert collector.stop() == 0
    sampled = sink.telemetry().spans
    assert len(sampled) == len(kept)
    assert {span.span_id for span in sampled} == kept
    for span in sampled:
        assert span.trace_state.startswith("ot=th:c")


def test_forward(run: Run, sink: Sink) -> None:
    ports = Ports.free()
    insert = {"key": "way", "value": "long", "action": "insert"}
    config = to_sink(ports, sink, {"attributes": {"actions": [insert]}})
    pipelines = config["service"]["pipelines"]
    config["connectors"] = {"forward": None, "forward/2": None}
    pipelines["traces/in"] = {"receivers": ["otlp"], "exporters": ["forward"]}
    pipelines["traces/middle"] = {"receivers": ["forward"], "exporters": ["forward/2"]}
    pipelines["traces"]["receivers"] = ["forward/2"]
    collector = Collector(run, config, ports=ports)
    ids = send(http_exporter(ports))
    spans = arrived(collector, sink, SPANS)
    assert {span.span_id for span in spans} == ids
    assert {span.attributes["way"] for span in spans} == {"long"}


def large_request(size: int) -> trace_service_pb2.ExportTraceServiceRequest:
    """Return a request for one span of about so many bytes."""
    request = trace_service_pb2.ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id = bytes(15) + b"\x01"
    span.span_id = bytes(7) + b"\x01"
    span.name = "x" * size
    return request


def test_memory_limiter(run: Run, sink: Sink) -> None:
    ports = Ports.free()
    limiter = {
        # For so long it is not ready after a refusal at the hard limit.
        "check_interval": "5s",
        "limit_mib": 10,
        "spike_limit_mib": 5,
        "fail_readiness_when_hard_limited": True,
    }
    config = to_sink(ports, sink, {"memory_limiter": limiter})
    collector = Collector(run, config, ports=ports)
    sink.behaviour = Behaviour(fail=grpc.StatusCode.UNAVAILABLE)
    body = large_request(2 << 20).SerializeToString()
    headers = [("content-type", "application/x-protobuf")]

    def post(size: int | None = None) -> http.Response:
        sent = body if size is None else large_request(size).SerializeToString()
        return http.request(ports.http, "/v1/traces", method="POST", headers=headers, body=sent)

    # The soft limit is 5 MiB: the third request still finds less than that.
    assert [post().status for _ in range(3)] == [200, 200, 200]
    refused = post()
    assert refused.status == 503
    assert refused.header("retry-after") == "1"
    channel = grpc.insecure_channel(f"127.0.0.1:{ports.grpc}")
    stub = trace_service_pb2_grpc.TraceServiceStub(channel)
    with pytest.raises(grpc.RpcError) as error:
        stub.Export(large_request(10), timeout=10)
    assert error.value.code() == grpc.StatusCode.UNAVAILABLE
    details = {key for key, _ in error.value.trailing_metadata()}
    assert "grpc-status-details-bin" in details
    # Refused before anything was read, so that the hard limit has not been felt.
    assert http.request(ports.health, "/").status == 200
    metrics = collector.metrics()
    assert metrics.total("spanmesh_receiver_rejected_requests", reason="overloaded") == 2
    assert metrics.total("otelcol_processor_memory_limiter_accepted_spans") == 3
    assert metrics.total("spanmesh_memory_budget_bytes") == 10 << 20
    assert metrics.total("spanmesh_memory_budget_used_bytes") >= 6 << 20

    sink.behaviour = Behaviour()
    wait_for(lambda: len(sink.telemetry().spans) == 3, "what was taken")
    wait_for(
        lambda: collector.metrics().total("spanmesh_memory_budget_used_bytes") == 0,
        "the memory is given back",
    )
    # One that goes beyond the hard limit while it is read, beside one that waits already.
    sink.behaviour = Behaviour(fail=grpc.StatusCode.UNAVAILABLE)
    assert post().status == 200
    refused = post(9 << 20)
    assert refused.status == 503
    assert refused.header("retry-after") == "1"
    assert http.request(ports.health, "/").status == 503
    wait_for(lambda: http.request(ports.health, "/").status == 200, "it was ready again")
    sink.behaviour = Behaviour()
    wait_for(lambda: len(sink.telemetry().spans) == 4, "what was taken")
    wait_for(lambda: collector.metrics().total("spanmesh_account_sent_items") == 4, "the account")
    metrics = collector.metrics()
    assert metrics.total("spanmesh_account_accepted_items") == 4
    assert metrics.total("spanmesh_account_dropped_items") == 0
    assert metrics.total("otelcol_processor_memory_limiter_accepted_spans") == 4
    # Larger than all there is: not to be tried again.
    assert post(11 << 20).status == 413
    assert collector.stop() == 0
