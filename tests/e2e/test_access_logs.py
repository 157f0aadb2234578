"""Access log records: one for each request, also for one that an earlier filter rejects."""

from __future__ import annotations

import socket

import pytest
from rig import mesh
from rig.bootstrap import deny
from rig.collector import Collector
from rig.driver import Parent
from rig.mesh import Mesh, Solo, alone
from rig.process import Run, wait_for
from rig.sink import Sink

INFO, WARN, ERROR = 9, 13, 17


@pytest.mark.core
def test_a_record_follows_its_span(run: Run) -> None:
    collector = Collector(run)
    world = Mesh(run, collector=collector.ports.grpc)
    made = world.driver.get(mesh.plain())
    received = world.settle(collector.telemetry, collector=collector)

    spans = {span.span_id: span for span in received.of_request(made.mark or "")}
    for record in received.logs_of_request(made.mark or ""):
        span = spans[record.span_id]
        assert record.trace_id == span.trace_id
        assert record.flags & 0xFF == span.flags & 0xFF
        assert record.resource == span.resource
        assert record.severity_text
        assert record.severity == INFO
        assert record.event_name
        assert record.observed_time >= record.time > 0
        assert "GET" in record.body
        assert " 200 " in record.body
        for key, value in span.attributes.items():
            assert record.attributes[key] == value


@pytest.mark.parametrize(
    ("query", "status", "severity"),
    [("", 200, INFO), ("?fail=404", 404, WARN), ("?fail=500", 500, ERROR)],
)
def test_the_outcome_is_the_severity(
    run: Run, sink: Sink, query: str, status: int, severity: int
) -> None:
    solo = Solo(run, collector=sink.port)
    made = solo.driver.get(alone(path=f"/stock{query}", status=status))
    received = solo.settle(sink.telemetry)
    assert [r.severity for r in received.logs_of_request(made.mark or "")] == [severity]


@pytest.mark.core
def test_a_request_rejected_earlier_is_logged(run: Run, sink: Sink) -> None:
    solo = Solo(run, collector=sink.port, earlier_filters=(deny("/forbidden"),))
    parent = Parent.new()
    rejected = solo.driver.get(
        alone(
            "rejected",
            "/forbidden/fruit",
            headers=(parent.traceparent(), ("user-agent", "rig/1")),
            parent=parent,
            status=403,
        )
    )
    served = solo.driver.get(alone())
    received = solo.settle(sink.telemetry)

    (record,) = received.logs_of_request(rejected.mark or "")
    assert record.attributes["http.request.method"] == "GET"
    assert record.attributes["url.path"] == "/forbidden/fruit"
    assert record.attributes["http.response.status_code"] == 403
    assert record.attributes["user_agent.original"] == "rig/1"
    assert record.severity == WARN
    assert " 403 " in record.body
    assert record.trace_id == parent.trace_id
    assert len(received.of_request(served.mark or "")) == 1


REFUSED = {
    "no host": b"GET /x HTTP/1.1\r\n\r\n",
    "no length": b"GET /x HTTP/1.1\r\nhost: a\r\ncontent-length: many\r\n\r\n",
    "no header": b"GET /x HTTP/1.1\r\nhost: a\r\nbad\r\n\r\n",
    "old": b"GET /x HTTP/0.9\r\n\r\n",
    "unknown coding": b"GET /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: foo\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\r\n\r\n",
    "too long": b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"a" * 70_000 + b"\r\n\r\n",
}


def test_what_the_codec_refuses_is_read_at_once(run: Run, sink: Sink) -> None:
    solo = Solo(run, collector=sink.port)
    for request in REFUSED.values():
        with socket.create_connection(("127.0.0.1", solo.envoy.inbound), timeout=30) as client:
            client.sendall(request)
            assert client.recv(9) == b"HTTP/1.1 "
    # No URL arrives, and so no mark: the account is by numbers.
    count = len(REFUSED)
    wait_for(lambda: len(sink.telemetry().logs) >= count, "the log records arrived")
    wait_for(lambda: len(sink.telemetry().spans) >= count, "the spans arrived")
    assert {len(sink.telemetry().logs), len(sink.telemetry().spans)} == {count}
    assert all(log.attributes["http.response.status_code"] >= 400 for log in sink.telemetry().logs)
    # No attribute was missing that is asked for as if it were always there.
    assert solo.envoy.raw_filter_stats()["attributes.failed"] == 0
