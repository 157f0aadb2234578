"""A row of the report, and how much is spent on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.filter.load import Load


@dataclass(frozen=True)
class Effort:
    """How long to measure."""

    rounds: int
    requests: int
    """Of each variant in each round, for the rows that count requests."""
    warm_up: int

    def load(self) -> Load:
        """Return the load of the rows about processor time."""
        return Load(self.requests, self.warm_up)


@dataclass(frozen=True)
class Row:
    """Something that is measured by itself and has a section of its own in the report."""

    name: str
    """For the command line, and for the markers in the report."""
    rounds: int
    """How many, unless the command line says so."""
    measure: Callable[[Effort], str]
    """Measures and returns the section's figures as Markdown."""
