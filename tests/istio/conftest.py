"""What the tests of the manifests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rig.process import Run


@pytest.fixture
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Give a test a folder for its files, and stop what it starts."""
    with Run(request.node.name.split("[")[0]) as started:
        yield started
