"""What the rules of OTLP are tried on: a collector, and each transport in each encoding."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rig.collector import Ports
from rig.conformance import Server
from rig.http2 import Connection
from rig.mirror import Mirror
from rig.otlp import JSON, PROTOBUF, Grpc, Http, Wire
from rig.process import Run


@pytest.fixture(scope="package")
def suite_run() -> Iterator[Run]:
    """Give the suite a folder for its files, and stop what it starts."""
    with Run("conformance") as run:
        yield run


@pytest.fixture(scope="package")
def suite_server(suite_run: Run) -> Iterator[Server]:
    """Start the collector and the mirror; at the end everything has arrived."""
    with Mirror() as mirror:
        server = Server(suite_run, mirror)
        yield server
        server.settle()
        server.stop()


@pytest.fixture
def server(suite_server: Server) -> Iterator[Server]:
    """Give a rule the collector, and take the account after it."""
    yield suite_server
    try:
        suite_server.settle()
    finally:
        # A rule that fails is not to fail those after it.
        suite_server.accepted = suite_server.mirror.items()


WIRES = ("grpc", "http-protobuf", "http-json")


def open_wire(name: str, ports: Ports) -> Iterator[Wire]:
    """Open a transport with an encoding."""
    if name != "grpc":
        yield Http(ports, JSON if name == "http-json" else PROTOBUF)
        return
    wire = Grpc(ports)
    yield wire
    wire.close()


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest, server: Server) -> Iterator[Wire]:
    """Give a rule each transport in each encoding."""
    yield from open_wire(request.param, server.ports)


@pytest.fixture(params=WIRES)
def small_wire(request: pytest.FixtureRequest, server: Server) -> Iterator[Wire]:
    """Give a rule each of them, to the port with the small limit."""
    yield from open_wire(request.param, server.small)


@pytest.fixture(params=WIRES)
def full_wire(request: pytest.FixtureRequest, server: Server) -> Iterator[Wire]:
    """Give a rule each of them, to a destination whose queue is full."""
    yield from open_wire(request.param, server.full)


@pytest.fixture(params=WIRES[:2])
def protobuf_wire(request: pytest.FixtureRequest, server: Server) -> Iterator[Wire]:
    """Give a rule the transports that carry protobuf."""
    yield from open_wire(request.param, server.ports)


@pytest.fixture
def http2(server: Server) -> Iterator[Connection]:
    """Give a rule a connection to the gRPC port, for requests that no library makes."""
    with Connection(server.ports.grpc) as connection:
        yield connection
