"""`python -m bench.filter`: measure and print the table."""

from __future__ import annotations

import argparse
import gzip
import sys
from collections.abc import Sequence
from pathlib import Path

from rig.process import RigError, Run

from bench import report
from bench.filter import variants
from bench.filter.measure import Load, Measurement, measure
from bench.filter.variants import BARE, NATIVE, Variant
from bench.rounds import alternate
from bench.spread import Spread

Results = dict[str, list[Measurement]]
"""By variant, one measurement for each round."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; return the exit status."""
    args = _parse(arguments)
    load = Load(args.requests, args.warm_up, args.connections)
    try:
        if args.modules:
            compared, name = variants.modules(args.modules), "modules"
        else:
            compared, name = variants.beside_natives(), "filter"
        results = _rounds(compared, args.rounds, load)
    except RigError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    report.publish(name, _report(compared, results, args.rounds, load))
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.filter", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of all variants (default 5)")
    parser.add_argument("--requests", type=int, default=100_000, help="per round and variant")
    parser.add_argument("--warm-up", type=int, default=20_000, help="requests before those")
    parser.add_argument("--connections", type=int, default=16, help="of h2load")
    parser.add_argument(
        "--modules",
        type=Path,
        nargs="+",
        metavar="WASM",
        help="compare modules of the filter with each other instead of ours with the natives",
    )
    return parser.parse_args(arguments)


def _rounds(compared: Sequence[Variant], rounds: int, load: Load) -> Results:
    results: Results = {variant.name: [] for variant in compared}
    with Run("bench-filter") as run:
        for number, index in alternate(len(compared), rounds):
            variant = compared[index]
            found = measure(run, f"{number}-{index}", variant, load)
            results[variant.name].append(found)
            micros = found.micros_per_request
            print(f"round {number + 1}: {variant.name}: {micros:.2f} us", flush=True)
    return results


def _micros(results: Results, name: str) -> list[float]:
    return [found.micros_per_request for found in results[name]]


def _over_bare(results: Results, name: str) -> list[float]:
    """What the variant takes more than the bare Envoy of the same round."""
    pairs = zip(_micros(results, name), _micros(results, BARE), strict=True)
    return [with_it - without for with_it, without in pairs]


def _report(compared: Sequence[Variant], results: Results, rounds: int, load: Load) -> str:
    reference = NATIVE if NATIVE in results else compared[1].name
    of_reference = _over_bare(results, reference)
    rows = []
    for variant in compared:
        found = results[variant.name]
        requests = load.requests + load.warm_up
        row = [
            variant.name,
            Spread.of(_micros(results, variant.name)).format(2),
            f"{Spread.of(one.memory_mib for one in found).median:.0f}",
            f"{Spread.of(one.telemetry.wire_bytes / requests for one in found).median:.0f}",
        ]
        if variant.name == BARE:
            rows.append([*row, "", ""])
            continue
        over = _over_bare(results, variant.name)
        ratio = Spread.of(mine / theirs for mine, theirs in zip(over, of_reference, strict=True))
        rows.append([*row, Spread.of(over).format(2, sign=True), ratio.format(2)])
    head = [
        "Envoy with",
        "us/request",
        "peak memory, MiB",
        "OTLP bytes/request",
        "over bare, us",
        f"over bare, times {reference}",
    ]
    lines = [
        report.machine() + ".",
        f"{rounds} rounds; median (lowest to highest). `"
        + " ".join(["h2load", *load.argv(load.requests, "PORT")[1:]])
        + f"` after {load.warm_up} requests of warm-up.",
        "",
        report.table(head, rows),
        "",
        *_sizes(compared),
    ]
    return "\n".join(lines)


def _sizes(compared: Sequence[Variant]) -> list[str]:
    """Say how large the modules are that are ours."""
    lines = []
    for variant in compared:
        if variant.plugin is None or not variant.spans:
            continue
        code = variant.plugin.module.read_bytes()
        packed = len(gzip.compress(code))
        lines.append(f"{variant.name}: {len(code)} bytes, {packed} with gzip.")
    return lines


if __name__ == "__main__":
    raise SystemExit(main())
