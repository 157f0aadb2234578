"""What the tests share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rig.process import Run
from rig.sink import Sink


def pytest_configure() -> None:
    """Let SIGTERM end a test run as Ctrl-C does, so that what it started is stopped."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the long forms to `make soak`."""
    if os.environ.get("SPANMESH_SOAK"):
        return
    items[:] = [item for item in items if item.get_closest_marker("soak") is None]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the figures that tests have recorded."""
    for report in terminalreporter.getreports("passed"):
        if report.when == "call" and report.user_properties:
            figures = ", ".join(f"{name}: {value}" for name, value in report.user_properties)
            terminalreporter.write_line(f"{report.nodeid}: {figures}")


@pytest.fixture
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Give a test a folder for its files, and stop what it starts."""
    with Run(request.node.name.split("[")[0]) as started:
        yield started


@pytest.fixture(scope="module")
def module_run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Give a test module a folder for its files, and stop what it starts."""
    with Run(Path(str(request.node.name)).stem) as started:
        yield started


@pytest.fixture
def sink() -> Iterator[Sink]:
    """Give a test an OTLP server."""
    with Sink() as started:
        yield started
