"""The filter makes no records of telemetry exports: a sidecar may stand before a collector."""

from __future__ import annotations

import pytest
from rig import http
from rig.driver import Parent, Wish
from rig.mesh import Solo, alone, start_grpc_service
from rig.process import Run
from rig.sink import Sink

METHODS = [
    f"/opentelemetry.proto.collector.{signal}.v1.{signal.capitalize()}Service/Export"
    for signal in ("trace", "logs", "metrics")
]


def test_exports_leave_no_records(run: Run, sink: Sink) -> None:
    solo = Solo(run, collector=sink.port, app_grpc=start_grpc_service(run))
    for path in ("/v1/traces", "/v1/logs", "/v1/metrics"):
        answer = http.request(
            solo.envoy.inbound,
            path,
            method="POST",
            headers=[("content-type", "application/x-protobuf")],
        )
        assert answer.status == 200
    for method in METHODS:
        # The demo's service does not know the methods; what it answers does not matter.
        exporting = Wish("export", method, (), method="POST", parent=Parent.new(), status=12)
        assert solo.driver.call(exporting, port=solo.envoy.inbound).status == 12
    solo.driver.get(alone())
    received = solo.settle(sink.telemetry)
    assert len(received.spans) == 1
    assert len(received.logs) == 1


@pytest.mark.parametrize("path", ["/v1/traces/17", "/api/v1/traces", "/v1/trace"])
def test_paths_that_look_alike_are_recorded(run: Run, sink: Sink, path: str) -> None:
    solo = Solo(run, collector=sink.port)
    solo.driver.get(alone(path=path))
    solo.settle(sink.telemetry)
