"""`python -m bench.collector`: measure and print the table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rig.process import RigError

from bench import report
from bench.collector import contenders
from bench.collector.contenders import Contender
from bench.collector.measure import Load, Measurement, measure
from bench.rounds import in_rounds
from bench.spread import Spread

Results = dict[str, list[Measurement]]
"""By contender's label, one measurement for each round."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; return the exit status."""
    args = _parse(arguments)
    load = Load(
        args.spans,
        args.warm_up,
        args.spans_per_request,
        args.connections,
        args.in_flight,
        args.rate,
    )
    try:
        compared = _contenders(args.peer)
        results = in_rounds(
            "bench-collector",
            compared,
            args.rounds,
            lambda run, name, contender: measure(run, name, contender, load),
            lambda found: f"{found.cpu_seconds_per_million:.3f} s",
        )
    except RigError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    report.publish("collector", _report(compared, results, args.rounds, load))
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.collector", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of all collectors (default 5)")
    parser.add_argument("--spans", type=int, default=1_000_000, help="per round and collector")
    parser.add_argument("--warm-up", type=int, default=200_000, help="spans before those")
    parser.add_argument("--spans-per-request", type=int, default=100)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--in-flight", type=int, default=4, help="requests per connection")
    parser.add_argument("--rate", type=int, help="spans per second (default: without a limit)")
    parser.add_argument("--peer", choices=["otelcol"], action="append", default=[])
    return parser.parse_args(arguments)


def _contenders(peers: Sequence[str]) -> list[Contender]:
    """Return rotel, ours in both ways of compression and with its queue on disk, and the peers that
    were asked for."""
    compared = [
        contenders.rotel(),
        contenders.ours("gzip"),
        contenders.ours("none"),
        contenders.ours("none", durable=True),
    ]
    if "otelcol" in peers:
        compared += [contenders.otelcol_peer("gzip"), contenders.otelcol_peer("none")]
    return compared


def _report(compared: Sequence[Contender], results: Results, rounds: int, load: Load) -> str:
    reference = [found.cpu_seconds_per_million for found in results[compared[0].label]]
    rows = []
    for contender in compared:
        found = results[contender.label]
        cpu = [one.cpu_seconds_per_million for one in found]
        ratio = Spread.of(mine / theirs for mine, theirs in zip(cpu, reference, strict=True))
        rate = Spread.of(one.spans_per_second / 1000 for one in found)
        rows.append(
            [
                contender.label,
                contender.version,
                Spread.of(cpu).format(2),
                ratio.format(2),
                f"{rate.median:.0f}",
                f"{Spread.of(one.memory_mib for one in found).median:.0f}",
                f"{Spread.of(one.received.wire_bytes / load.spans for one in found).median:.0f}",
                f"{sum(one.received.compressed for one in found)}"
                f" of {sum(one.received.requests for one in found)}",
                f"{sum(one.refused for one in found)}",
            ]
        )
    head = [
        "collector",
        "version",
        "CPU s per million spans",
        f"times {compared[0].name}",
        "thousand spans/s through",
        "peak memory, MiB",
        "bytes/span out",
        "compressed requests out",
        "refused, sent again",
    ]
    lines = [
        report.machine() + ".",
        f"{rounds} rounds; median (lowest to highest). `"
        + " ".join(["bench-load", f"--spans={load.spans}", *load.options()])
        + f"` after {load.warm_up} spans of warm-up. Every span that was acknowledged arrived"
        " once.",
        "",
        report.table(head, rows),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
