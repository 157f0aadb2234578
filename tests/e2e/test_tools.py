"""Programs that people send OTLP with: grpcurl, telemetrygen and h2load, as they come.

What they send arrives behind the collector, and the account of both sides holds.
"""

from __future__ import annotations

import json
import re
import resource
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from rig.collector import Collector, Ports, configuration
from rig.mirror import Mirror
from rig.otlp import LOGS, METRICS, SIGNALS, TRACES, Items, Request, Signal
from rig.process import Run, wait_for
from rig.programs import go_tool, installed
from rig.samples import small

TRACE_ID = "5b8efff798038103d269b633813fc60c"
SPAN_ID = "eee19b7ec3c1b174"


class Rig:
    """A collector with a mirror behind it."""

    def __init__(self, run: Run, mirror: Mirror) -> None:
        self.run = run
        self.mirror = mirror
        self.ports = Ports.free()
        exporter = {"endpoint": f"127.0.0.1:{mirror.port}", "tls": {"insecure": True}}
        document = configuration(self.ports, {"otlp_grpc": exporter})
        self.collector = Collector(run, document, ports=self.ports)

    def call(
        self, argv: Sequence[str | Path], *, status: int = 0, text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a client to its end."""
        done = subprocess.run(
            argv, input=text, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done

    def settle(self, **items: int) -> dict[Signal, list[Request]]:
        """Wait for so many records of each signal; they and nothing else were taken and sent."""
        wanted = {signal: items.get(signal.name, 0) for signal in SIGNALS}
        for signal, count in wanted.items():
            wait_for(lambda s=signal, c=count: self.mirror.items(s) >= c, f"all {signal.name}", 60)
        assert {signal: self.mirror.items(signal) for signal in SIGNALS} == wanted
        wait_for(lambda: self._total("queued") == 0, "nothing was queued")
        total = sum(wanted.values())
        assert (self._total("accepted"), self._total("sent")) == (total, total)
        assert self._total("dropped") == 0
        return {
            signal: [signal.request.FromString(body) for body in self.mirror.bodies(signal)]
            for signal in SIGNALS
        }

    def _total(self, name: str) -> int:
        return self.collector.metrics().total(f"spanmesh_account_{name}_items")


@pytest.fixture
def rig(run: Run) -> Iterator[Rig]:
    # What is started has it from here.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with Mirror() as mirror:
        yield (made := Rig(run, mirror))
        assert made.collector.stop() == 0


def span_ids(requests: list[Request]) -> Counter[bytes]:
    """Return the ids of the spans, and how often each is there."""
    return Counter(
        span.span_id
        for request in requests
        for outer in request.resource_spans
        for scope in outer.scope_spans
        for span in scope.spans
    )


def descriptors(path: Path) -> Path:
    """Write what grpcurl has to know of OTLP, since the collector has no server reflection."""
    found: dict[str, FileDescriptor] = {}

    def add(one: FileDescriptor) -> None:
        for below in one.dependencies:
            add(below)
        found[one.name] = one

    for signal in SIGNALS:
        add(signal.request.DESCRIPTOR.file)
    written = FileDescriptorSet()
    for one in found.values():
        one.CopyToProto(written.file.add())
    path.write_bytes(written.SerializeToString())
    return path


def grpcurl(rig: Rig, signal: Signal, document: object, status: int = 0) -> str:
    """Make one call; return what was printed."""
    protocol = descriptors(rig.run.directory / "otlp.protoset")
    argv = ["-plaintext", "-format-error", "-protoset", protocol, "-d", "@"]
    target = [f"127.0.0.1:{rig.ports.grpc}", signal.grpc_path.strip("/")]
    done = rig.call([go_tool("grpcurl"), *argv, *target], status=status, text=json.dumps(document))
    return done.stdout + done.stderr


def test_grpcurl(rig: Rig) -> None:
    # Ids are bytes to it, and so in base64.
    span = {
        "traceId": "W47/95gDgQPSabYzgT/GDA==",
        "spanId": "7uGbfsPBsXQ=",
        "name": "by hand",
        "kind": "SPAN_KIND_CLIENT",
        "startTimeUnixNano": "1700000000000000001",
        "attributes": [{"key": "big", "value": {"intValue": "9007199254740993"}}],
    }
    request = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    assert json.loads(grpcurl(rig, TRACES, request)) == {}
    log = {"body": {"stringValue": "żółw"}, "severityNumber": "SEVERITY_NUMBER_WARN"}
    record = {"resourceLogs": [{"scopeLogs": [{"logRecords": [log]}]}]}
    assert json.loads(grpcurl(rig, LOGS, record)) == {}
    # Nothing is a success, and what is wrong a status that says so.
    assert json.loads(grpcurl(rig, METRICS, {})) == {}
    wrong = {"resourceSpans": [{"scopeSpans": [{"spans": [{**span, "spanId": "7uE="}]}]}]}
    # The exit status is 64 and the code.
    said = json.loads(grpcurl(rig, TRACES, wrong, status=64 + 3))
    assert said["code"] == 3 and "span_id" in said["message"], said

    arrived = rig.settle(traces=1, logs=1)
    [found] = [s for r in arrived[TRACES] for a in r.resource_spans for s in a.scope_spans[0].spans]
    assert (found.trace_id.hex(), found.span_id.hex()) == (TRACE_ID, SPAN_ID)
    assert (found.name, found.kind) == ("by hand", 3)
    assert found.attributes[0].value.int_value == 2**53 + 1
    [kept] = [
        log
        for request in arrived[LOGS]
        for outer in request.resource_logs
        for log in outer.scope_logs[0].log_records
    ]
    assert (kept.body.string_value, kept.severity_number) == ("żółw", 13)


@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_telemetrygen(rig: Rig, transport: str) -> None:
    port = rig.ports.http if transport == "http" else rig.ports.grpc
    common = ["--otlp-insecure", f"--otlp-endpoint=127.0.0.1:{port}", "--rate=0", "--workers=2"]
    common += ['--otlp-attributes=deployment.environment.name="test"']
    if transport == "http":
        common.append("--otlp-http")
    program = go_tool("telemetrygen")
    rig.call([program, "traces", *common, "--traces=50", "--child-spans=3", "--status-code=Error"])
    rig.call([program, "logs", *common, "--logs=40", "--body=a line"])
    rig.call([program, "metrics", *common, "--metrics=30", "--metric-type=Sum"])

    arrived = rig.settle(traces=2 * 50 * 4, logs=2 * 40, metrics=2 * 30)
    ids = span_ids(arrived[TRACES])
    assert (len(ids), ids.total()) == (400, 400)
    resources = [one.resource for r in arrived[TRACES] for one in r.resource_spans]
    for one in resources:
        have = {pair.key: pair.value.string_value for pair in one.attributes}
        assert have["deployment.environment.name"] == "test"
    bodies = {
        log.body.string_value
        for request in arrived[LOGS]
        for outer in request.resource_logs
        for scope in outer.scope_logs
        for log in scope.log_records
    }
    assert bodies == {"a line"}


def h2load(rig: Rig, transport: str, *, connections: int, requests: int) -> None:
    """Send requests of one span each, each connection at least one; all have to succeed."""
    body = small(TRACES).SerializeToString()
    options: list[str | Path] = [f"--requests={requests}", f"--clients={connections}"]
    if transport == "grpc":
        body = b"\0" + len(body).to_bytes(4, "big") + body
        options += ["--header=content-type: application/grpc", "--header=te: trailers"]
        url = f"http://127.0.0.1:{rig.ports.grpc}{TRACES.grpc_path}"
    else:
        options += ["--header=content-type: application/x-protobuf"]
        url = f"http://127.0.0.1:{rig.ports.http}{TRACES.http_path}"
        if transport == "http1":
            options.append("--h1")
    data = rig.run.directory / "body"
    data.write_bytes(body)
    done = rig.call([installed("h2load", "nghttp2-client"), *options, f"--data={data}", url])
    counts = re.search(r"requests: (\d+) total, .* (\d+) succeeded, (\d+) failed", done.stdout)
    assert counts is not None, done.stdout
    assert tuple(map(int, counts.groups())) == (requests, requests, 0), done.stdout


@pytest.mark.parametrize(
    ("transport", "connections"),
    [("grpc", 20), ("http1", 20), ("http2", 20), ("grpc", 10_000), ("http1", 10_000)],
)
def test_h2load(rig: Rig, transport: str, connections: int) -> None:
    requests = max(2_000, 2 * connections)
    h2load(rig, transport, connections=connections, requests=requests)
    # An answer of gRPC is 200 whatever its status, so the account tells.
    arrived = rig.settle(traces=requests)
    [(_, times)] = span_ids(arrived[TRACES]).items()
    assert times == requests
    assert Items.count(small(TRACES)) == 1
