"""The order of measurements: in each round everything that is compared once, in turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from rig.process import Run


class Compared(Protocol):
    """Something that is measured beside others."""

    @property
    def label(self) -> str:
        """What it is called in the tables; no two of one comparison are called the same."""


_Compared = TypeVar("_Compared", bound=Compared)
_Measurement = TypeVar("_Measurement")


def in_rounds(
    name: str,
    compared: Sequence[_Compared],
    rounds: int,
    measure: Callable[[Run, str, _Compared], _Measurement],
    summary: Callable[[_Measurement], str],
) -> dict[str, list[_Measurement]]:
    """Measure everything `rounds` times and return, by label, one measurement for each round.

    `name` is for the run's folder; `measure` gets the run, a name for a folder of its own, and what
    to measure; `summary` is printed as the measurements come in.
    """
    results: dict[str, list[_Measurement]] = {one.label: [] for one in compared}
    with Run(name) as run:
        for number, index in _alternate(len(compared), rounds):
            one = compared[index]
            found = measure(run, f"{number}-{index}", one)
            results[one.label].append(found)
            print(f"{name}, round {number + 1}: {one.label}: {summary(found)}", flush=True)
    return results


def _alternate(count: int, rounds: int) -> Iterator[tuple[int, int]]:
    """Return (round, index) pairs: in each round every index once, another one first each time.

    So a machine that gets slower or faster during a round treats all alike.
    """
    for number in range(rounds):
        for offset in range(count):
            yield number, (number + offset) % count
