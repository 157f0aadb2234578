"""The module under a proxy that answers as Envoy does: the ABI, and each kind of callback once."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)
from rig.programs import filter_module
from rig.records import SERVER

from wasm.host import CLUSTER, Host, headers
from wasm.life import Worker
from wasm.vm import EXPORTS, load

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def worker() -> Worker:
    return Worker(filter_module())


def test_it_exports_what_it_needs_and_nothing_else() -> None:
    """A proxy calls each callback that is there."""
    assert {export.name for export in load(filter_module()).exports} == EXPORTS


def test_a_request_becomes_a_span_and_a_log_record(worker: Worker) -> None:
    assert worker.configure()
    worker.request(headers(("traceparent", PARENT)))
    [passed_on] = worker.host.header("traceparent")
    assert not worker.host.calls
    worker.tick()

    assert {call.cluster for call in worker.host.calls} == {CLUSTER.encode()}
    assert {call.path.split(".")[-1] for call in worker.host.calls} == {
        "TraceService/Export",
        "LogsService/Export",
    }
    assert {call.timeout for call in worker.host.calls} == {10_000}
    telemetry = worker.telemetry()
    [span], [log] = telemetry.spans, telemetry.logs
    assert passed_on == f"00-{span.trace_id}-{span.span_id}-01"
    assert (span.trace_id, span.parent_span_id) == tuple(PARENT.split("-")[1:3])
    assert (span.name, span.kind, span.service) == ("GET", SERVER, "cart")
    assert span.attributes["http.response.status_code"] == 200
    assert span.attributes["url.query"] == "sig=REDACTED"
    assert (log.trace_id, log.span_id) == (span.trace_id, span.span_id)

    worker.answer_all()
    worker.tick()
    assert worker.stats() == {
        "requests": 1,
        "spans.emitted": 1,
        "spans.sent": 1,
        "logs.emitted": 1,
        "logs.sent": 1,
    }


def test_what_a_collector_says_is_heard(worker: Worker) -> None:
    assert worker.configure(access_log={"enabled": False})
    for _ in range(3):
        worker.request()
    worker.tick()
    partial = ExportTracePartialSuccess(rejected_spans=2, error_message="too old")
    worker.answer_all(ExportTraceServiceResponse(partial_success=partial).SerializeToString())
    worker.request()
    worker.tick()
    worker.answer_all(status=3)
    worker.request()
    worker.tick()
    worker.answer_all(status=14)
    worker.tick(60)
    worker.answer_all()
    worker.tick()
    stats = worker.stats()
    assert (stats["spans.emitted"], stats["spans.sent"], stats["spans.rejected"]) == (5, 2, 2)
    assert (stats["spans.dropped.export_failed"], stats["spans.retried"]) == (1, 1)
    assert any("too old" in line for _, line in worker.host.lines)


def test_a_full_batch_leaves_at_the_end_of_its_last_request(worker: Worker) -> None:
    assert worker.configure(batch={"max_records": 3}, access_log={"enabled": False})
    for calls in [0, 0, 1, 1, 1, 2]:
        worker.request()
        assert len(worker.host.calls) == calls
    assert len(worker.telemetry().spans) == 6


def test_a_replaced_configuration_drains(worker: Worker) -> None:
    vm, old = worker.vm, worker.root
    assert worker.configure()
    worker.request()
    new = worker.new_root()
    assert worker.configure(new, access_log={"enabled": False})
    assert not vm.done(old)
    worker.request(root=new)
    assert not worker.host.is_done
    worker.answer_all(root=old)
    assert worker.host.is_done
    vm.delete(old)
    worker.tick(root=new)
    worker.answer_all(root=new)
    assert vm.done(new)
    assert (len(worker.telemetry().spans), len(worker.telemetry().logs)) == (2, 1)
    assert worker.stats()["spans.sent"] == 2


def test_a_canary_is_configured_and_goes(worker: Worker) -> None:
    assert worker.configure()
    assert worker.vm.done(worker.root)
    worker.vm.delete(worker.root)
    assert not worker.stats()


def test_a_bad_first_configuration_lets_requests_pass(worker: Worker) -> None:
    assert worker.configure(sampler={"ratio": 7})
    request = headers(("traceparent", PARENT))
    worker.request(request)
    assert worker.host.headers == request
    worker.tick()
    assert worker.stats() == {"config.rejected": 1}
    assert any(level == 4 and "sampler.ratio" in line for level, line in worker.host.lines)


def test_without_cel_the_records_are_the_same() -> None:
    records = []
    for has_cel in [True, False]:
        worker = Worker(filter_module(), Host(has_cel=has_cel))
        assert worker.configure()
        worker.request()
        worker.tick()
        records.append(worker.telemetry())
    assert records[0] == records[1]


def test_the_environment_is_read() -> None:
    environment = {"OTHER": "x", "OTEL_SERVICE_NAME": "of-the-vm", "OTEL_SERVICE_NAME_2": "no"}
    worker = Worker(filter_module(), Host(environment=environment))
    assert worker.configure()
    worker.request()
    worker.tick()
    assert worker.telemetry().spans[0].service == "of-the-vm"


def test_metadata_goes_with_each_call_and_names_of_any_length_are_clusters() -> None:
    name = "spanmesh-" + "x" * 191
    worker = Worker(filter_module(), Host(clusters={name.encode()}))
    assert worker.configure(exporter={"clusters": [name], "headers": {"authorization": "Bearer x"}})
    worker.request()
    worker.tick()
    assert len(worker.host.calls) == 2
    for call in worker.host.calls:
        assert (b"authorization", b"Bearer x") in call.headers
