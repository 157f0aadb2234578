"""What an access log record says of times and attempts, and on demand of connections."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from rig import http, mesh
from rig.bootstrap import Filter, Sidecar
from rig.driver import Driver, Hop, Made, Wish
from rig.envoy import SidecarEnvoy
from rig.mesh import Deployment, Solo, alone
from rig.process import Run
from rig.programs import filter_module
from rig.records import CLIENT
from rig.sink import Sink

THINKS, WRITES = 0.2, 1.5
"""Seconds until the slow service answers, and from then on until it has answered in full."""


class Slow(BaseHTTPRequestHandler):
    """Takes its time twice: for the head of its response, and for the body."""

    def do_GET(self) -> None:  # noqa: N802, the name that the base class calls
        """Answer."""
        time.sleep(THINKS)
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.flush()
        time.sleep(WRITES)
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class SlowSolo(Deployment):
    """The slow service behind an Envoy."""

    def __init__(self, run: Run, sink: Sink, service: int) -> None:
        loaded = Filter(filter_module(), mesh.plugin())
        envoy = SidecarEnvoy(run, Sidecar("inventory", service, loaded, sink.port))
        envoy.wait_ready()
        self.envoys = [envoy]
        self.driver = Driver(envoy.inbound)


@pytest.fixture
def slow_service() -> Iterator[int]:
    """Run the slow service, and give its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.core
def test_the_times_of_a_slow_response_come_apart(run: Run, sink: Sink, slow_service: int) -> None:
    solo = SlowSolo(run, sink, slow_service)
    made = solo.driver.get(alone())
    [record] = solo.settle(sink.telemetry).logs_of_request(made.mark or "")
    found = record.attributes
    first_byte = found["spanmesh.upstream.first_byte_ms"]
    whole = found["spanmesh.upstream.duration_ms"]
    total = found["spanmesh.duration_ms"]
    thinks, writes = THINKS * 1000, WRITES * 1000
    # A sleep is no shorter than it was told to be; Envoy gives whole milliseconds.
    assert isinstance(first_byte, int)
    assert first_byte >= thinks - 1
    assert whole >= thinks + writes - 2
    # Most of what passes between them; a busy machine may see the first byte late.
    assert whole >= first_byte + writes / 3
    assert total >= whole
    assert found["spanmesh.upstream.attempts"] == 1


def in_turn(driver: Driver, wishes: Iterable[Wish]) -> Iterator[Made]:
    """Make several requests, one after the other, on one connection."""
    with closing(HTTPConnection("127.0.0.1", driver.port, timeout=15)) as connection:
        for wish in wishes:
            mark, target = driver.target(wish)
            yield driver.note(wish, http.exchange(connection, target).status, mark)


CONNECTIONS = {
    "access_log": {
        "attributes": {
            "connection": "connection.id",
            "upstream.wait": "upstream.cx_pool_ready_duration",
        }
    }
}


def test_connections_can_be_told_apart_on_demand(run: Run, sink: Sink) -> None:
    solo = Solo(run, collector=sink.port, configuration=mesh.plugin(**CONNECTIONS))
    together = [*in_turn(solo.driver, [alone(), alone()])]
    apart = solo.driver.get(alone())
    received = solo.settle(sink.telemetry)
    first, second, third = (
        received.logs_of_request(made.mark or "")[0].attributes for made in (*together, apart)
    )
    assert first["connection"] == second["connection"] != third["connection"]
    assert 0 <= second["upstream.wait"] < 1


def test_without_an_upstream_there_are_no_times_of_it(run: Run, sink: Sink) -> None:
    solo = Solo(run, collector=sink.port)
    # The outbound listener has no route at all.
    solo.driver.port = solo.envoy.outbound
    made = solo.driver.get(Wish("no route", "/", (Hop("inventory", CLIENT),), status=404))
    [record] = solo.settle(sink.telemetry).logs_of_request(made.mark or "")
    assert [key for key in record.attributes if key.startswith("spanmesh.upstream.")] == []
