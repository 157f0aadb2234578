"""The order of measurements."""

from __future__ import annotations

from collections.abc import Iterator


def alternate(count: int, rounds: int) -> Iterator[tuple[int, int]]:
    """Return (round, index) pairs: in each round every index once, another one first each time.

    So a machine that gets slower or faster during a round treats all alike.
    """
    for number in range(rounds):
        for offset in range(count):
            yield number, (number + offset) % count
