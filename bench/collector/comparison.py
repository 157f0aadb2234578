"""Several collectors with the same work: the table, and the ratios that the bars are about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench import report
from bench.collector.contenders import OURS, Contender
from bench.collector.measure import Measurement, measure
from bench.collector.work import Load, Work
from bench.rounds import in_rounds
from bench.spread import Spread

Figure = Callable[[Measurement], float]


@dataclass(frozen=True)
class Comparison:
    """What the rounds found out."""

    contenders: Sequence[Contender]
    work: Work
    load: Load
    rounds: int
    results: dict[str, list[Measurement]]
    """By contender's label, one measurement for each round."""

    @classmethod
    def of(
        cls, name: str, contenders: Sequence[Contender], rounds: int, work: Work, load: Load
    ) -> Comparison:
        """Measure all of them `rounds` times."""
        results = in_rounds(
            f"bench-collector-{name}",
            contenders,
            rounds,
            lambda run, label, contender: measure(run, label, contender, work, load),
            lambda found: (
                f"{found.cpu_seconds_per_million:.3f} s, {found.memory_mib:.0f} MiB, "
                f"p99 {found.outcome.p99_ms:.1f} ms"
            ),
        )
        return cls(contenders, work, load, rounds, results)

    def conditions(self) -> str:
        """Return when, where and with what it was measured."""
        return (
            f"{report.machine()}. {self.rounds} rounds; median (lowest to highest). "
            f"{self.load.describe(self.work)}."
        )

    def spread(self, label: str, figure: Figure) -> Spread:
        """Summarise a figure of one contender."""
        return Spread.of(figure(found) for found in self.results[label])

    def ratio(self, label: str, reference: str, figure: Figure) -> Spread:
        """Summarise the figure of one contender by that of another one, of the same round."""
        pairs = zip(self.results[label], self.results[reference], strict=True)
        return Spread.of(figure(mine) / figure(theirs) for mine, theirs in pairs)

    def table(self) -> str:
        """Return everything about all of them, and the ratios to each peer."""
        peers = [c.label for c in self.contenders if not c.label.startswith(OURS)]
        head = [
            "collector",
            "version",
            f"CPU s per million {self.work.items}",
            *(f"times {peer}" for peer in peers),
            f"thousand {self.work.items}/s through",
            "peak memory, MiB",
            "p99 of a call, ms",
            "refused, sent again",
        ]
        if self.work.output != "nop":
            head += ["requests out", "bytes out per item"]
        rows = []
        for contender in self.contenders:
            label = contender.label
            row = [
                label,
                contender.version,
                self.spread(label, cpu).format(2),
                *(f"{self.ratio(label, peer, cpu).median:.2f}" for peer in peers),
                f"{self.spread(label, lambda one: one.items_per_second / 1000).median:.0f}",
                f"{self.spread(label, memory).median:.0f}",
                f"{self.spread(label, p99).median:.1f}",
                f"{sum(one.outcome.refused for one in self.results[label])}",
            ]
            if self.work.output != "nop":
                row += [
                    f"{self.spread(label, lambda one: one.received.requests).median:.0f}",
                    f"{self.spread(label, self._bytes).median:.0f}",
                ]
            rows.append(row)
        return report.table(head, rows)

    def _bytes(self, found: Measurement) -> float:
        return found.received.wire_bytes / self.load.items


def cpu(found: Measurement) -> float:
    """Return CPU seconds per million items."""
    return found.cpu_seconds_per_million


def memory(found: Measurement) -> float:
    """Return the peak memory in MiB."""
    return found.memory_mib


def p99(found: Measurement) -> float:
    """Return the 99th percentile of a call in milliseconds."""
    return found.outcome.p99_ms


def figures(rows: Sequence[tuple[str, str, str]]) -> str:
    """Return a table of what was measured beside its bar."""
    return report.table(["", "measured", "bar"], [list(row) for row in rows])


def section(*parts: str) -> str:
    """Return the parts of a report one below the other."""
    return "\n\n".join(parts)
