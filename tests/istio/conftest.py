"""What the tests with Istio share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rig.istio.mesh import ADDRESSES
from rig.istio.network import private_network


@pytest.fixture(scope="module")
def pod_network() -> Iterator[None]:
    """Give a module a network of its own, with the addresses of the mesh's pods."""
    with private_network(ADDRESSES):
        yield
