"""A row of the report, and how much is spent on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.collector.work import Load


@dataclass(frozen=True)
class Effort:
    """How long to measure, and beside whom."""

    rounds: int
    items: int
    """For each collector in each round."""
    warm_up: int
    """Items before those."""
    peers: Sequence[str]
    """Beyond rotel, which is always there."""

    def load(self, connections: int = 4, in_flight: int = 4) -> Load:
        """Return the load: as fast as it is answered."""
        return Load(self.items, self.warm_up, connections, in_flight)


@dataclass(frozen=True)
class Row:
    """Something that is measured by itself and has a section of its own in the report."""

    name: str
    """For the command line, and for the markers in the report."""
    measure: Callable[[Effort], str]
    """Measures and returns the section's figures as Markdown."""
    document: str = "performance.md"
    """Which of the documents has the section."""
