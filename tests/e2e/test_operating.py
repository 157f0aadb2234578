"""What operators see of a collector: its pages and health under load, and its last words."""

from __future__ import annotations

import json
import time
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from rig import http
from rig.collector import Collector, Ports, configuration
from rig.ports import free_port
from rig.process import Run, wait_for

SPANS = 100


def operated(run: Run, ports: Ports, zpages: int) -> dict[str, Any]:
    """Return a configuration with one destination that is dead and one that is not."""
    dead = {
        "endpoint": f"127.0.0.1:{free_port()}",
        "tls": {"insecure": True},
        "retry_on_failure": {"initial_interval": "10ms", "max_interval": "20ms"},
    }
    document = configuration(ports, {"otlp_grpc": dead, "nop": None})
    health = {"use_v2": True, "http": {"endpoint": f"127.0.0.1:{ports.health}"}}
    document["extensions"] = {
        "health_check": health,
        "zpages": {"endpoint": f"127.0.0.1:{zpages}"},
    }
    document["service"]["extensions"] = ["health_check", "zpages"]
    document["service"]["telemetry"]["logs"] = {
        "encoding": "json",
        "output_paths": ["stderr", str(run.directory / "log.jsonl")],
        "initial_fields": {"cluster": "test"},
    }
    return document


def request(first: int) -> trace_service_pb2.ExportTraceServiceRequest:
    made = trace_service_pb2.ExportTraceServiceRequest()
    scope = made.resource_spans.add().scope_spans.add()
    for number in range(first, first + SPANS):
        span_id = (number + 1).to_bytes(8, "big")
        span = scope.spans.add(name="work", span_id=span_id, trace_id=span_id * 2)
        span.start_time_unix_nano, span.end_time_unix_nano = 1, 2
    return made


def test_a_collector_with_a_dead_destination_says_so_and_counts_what_it_drops(run: Run) -> None:
    ports, zpages = Ports.free(), free_port()
    document = operated(run, ports, zpages)
    collector = Collector(run, document, ports=ports, arguments=("--drain-timeout", "2"))
    sent = 0
    with grpc.insecure_channel(f"127.0.0.1:{ports.grpc}") as channel:
        stub = trace_service_pb2_grpc.TraceServiceStub(channel)
        for first in range(0, 20_000, SPANS):
            stub.Export(request(first), timeout=30)
            sent += SPANS

        def verbose() -> dict[str, Any]:
            return json.loads(http.request(ports.health, "/status?verbose").text)

        def condition() -> str:
            pipeline = verbose()["components"]["pipeline:traces"]
            return pipeline["components"]["exporter:otlp_grpc"]["status"]

        wait_for(lambda: condition() == "StatusRecoverableError", "the failure is told")
        queues = http.request(zpages, "/debug/queuez").text
        assert "fails since" in queues
        assert "cannot connect" in queues
        assert "traces/" not in http.request(zpages, "/debug/pipelinez").text
        # Many attempts, few lines.
        time.sleep(1)
        # The last requests are under way when it is told to stop.
        pending = [stub.Export.future(request(sent + n * SPANS), timeout=30) for n in range(20)]
        status = collector.stop()
        for call in pending:
            error = call.exception()
            if error is None:
                sent += SPANS
            else:
                assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert status == 0
    lines = [json.loads(line) for line in (run.directory / "log.jsonl").read_text().splitlines()]
    assert all(line["cluster"] == "test" for line in lines)
    assert len(lines) < 60, "a dead destination must not fill the log"
    accounts = {
        line["exporter"]: line
        for line in lines
        if line["message"].startswith("account of a destination")
    }
    for exporter, account in accounts.items():
        left = account["sent"] + account["sampled_out"] + account["dropped"] + account["queued"]
        assert account["accepted"] + account["recovered"] == left, exporter
        assert (account["pipelines"], account["signal"]) == ("traces", "traces")
    dead, alive = accounts["otlp_grpc"], accounts["nop"]
    # A client that was cut off may not have heard that its spans were taken.
    assert sent <= dead["accepted"] <= sent + 20 * SPANS
    assert dead["dropped"] == dead["accepted"]
    assert dead["reasons"] == f"shutdown {dead['accepted']}"
    assert (alive["sent"], alive["dropped"]) == (dead["accepted"], 0)
    sums = next(line for line in lines if line["message"] == "account")
    assert sums["received"] == dead["accepted"]
    warned = [line for line in lines if line["message"].startswith("dropped: not delivered")]
    assert [(line["exporter"], line["items"]) for line in warned] == [
        ("otlp_grpc", dead["accepted"])
    ]
