"""Several measurements of one thing: the median and how far they lie apart."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """The median of some values, the smallest and the largest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Summarise values; there has to be one at least."""
        known = list(values)
        return cls(statistics.median(known), min(known), max(known))

    def format(self, digits: int, *, sign: bool = False) -> str:
        """Return `median (low to high)`."""
        form = f"{'+' if sign else ''}.{digits}f"
        return f"{self.median:{form}} ({self.low:{form}} to {self.high:{form}})"
