"""Variants beside each other: differences and ratios within each round, and their tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench import report
from bench.filter.load import Load
from bench.filter.measure import Measurement, measure
from bench.filter.variants import Variant
from bench.rounds import in_rounds
from bench.spread import Spread


@dataclass(frozen=True)
class Comparison:
    """The measurements of several variants, the first of which is the base."""

    variants: Sequence[Variant]
    load: Load
    results: dict[str, list[Measurement]]
    """By variant's label, one for each round."""

    @classmethod
    def of(cls, name: str, variants: Sequence[Variant], rounds: int, load: Load) -> Comparison:
        """Measure the processor time of each."""
        results = in_rounds(
            f"bench-filter-{name}",
            variants,
            rounds,
            lambda run, folder, variant: measure(run, folder, variant, load),
            lambda found: f"{found.micros_per_request:.2f} us",
        )
        return cls(variants, load, results)

    def micros(self, variant: Variant) -> list[float]:
        """Return the processor time of a request, in microseconds, by round."""
        return [found.micros_per_request for found in self.results[variant.label]]

    def over(self, variant: Variant, base: Variant | None = None) -> list[float]:
        """Return what a request takes more than with `base` (the first variant) in each round."""
        than = self.micros(base or self.variants[0])
        return [mine - theirs for mine, theirs in zip(self.micros(variant), than, strict=True)]

    def ratio(self, variant: Variant, other: Variant) -> Spread:
        """Return how many times as much over the base it takes as another one."""
        pairs = zip(self.over(variant), self.over(other), strict=True)
        return Spread.of(mine / theirs for mine, theirs in pairs)

    def bytes_per_request(self, variant: Variant) -> float:
        """Return the bytes of OTLP that a request costs."""
        requests = self.load.requests + self.load.warm_up
        found = self.results[variant.label]
        return Spread.of(one.telemetry.wire_bytes / requests for one in found).median

    def exports_per_thousand(self, variant: Variant) -> Spread:
        """Return how many OTLP requests a thousand records take."""
        return Spread.of(
            1000 * one.telemetry.requests / (one.telemetry.spans + one.telemetry.log_records)
            for one in self.results[variant.label]
        )

    def table(self, bases: Mapping[str, Variant] | None = None) -> str:
        """Return a table of all variants.

        `bases` is, by label, what a variant is held against if that is not the first one.
        """
        rows = []
        for variant in self.variants:
            base = (bases or {}).get(variant.label, self.variants[0])
            over = Spread.of(self.over(variant, base)).format(2, sign=True)
            rows.append(
                [
                    variant.label,
                    Spread.of(self.micros(variant)).format(2),
                    "" if variant is base else over,
                    f"{self.bytes_per_request(variant):.0f}",
                ]
            )
        head = ["Envoy with", "us/request", "over bare, us", "OTLP bytes/request"]
        return report.table(head, rows)

    def conditions(self) -> str:
        """Return where, when and how it was measured."""
        rounds = len(self.results[self.variants[0].label])
        return (
            f"{report.machine()}. {rounds} rounds; median (lowest to highest). "
            f"{self.load.describe()}."
        )


def figures(rows: Sequence[tuple[str, str, str]]) -> str:
    """Return a table of what was measured beside the bar that it has to clear."""
    return report.table(["", "measured", "bar"], rows)


def section(*parts: str) -> str:
    """Put parts of a section together."""
    return "\n\n".join(part for part in parts if part)
