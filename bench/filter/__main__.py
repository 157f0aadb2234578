"""`python -m bench.filter`: measure the rows of the report."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from rig.process import RigError

from bench import report
from bench.filter import variants
from bench.filter.comparison import Comparison, figures, section
from bench.filter.rows import ROWS
from bench.filter.rows.row import Effort
from bench.filter.variants import BARE

_ROUNDS = 5
"""Of a comparison of modules."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; return the exit status."""
    args = _parse(arguments)
    if args.modules:
        effort = Effort(args.rounds or _ROUNDS, args.requests, args.warm_up)
        return _attempt("modules", lambda: _modules(args.modules, effort), None)
    failed = 0
    for row in ROWS:
        if args.rows and row.name not in args.rows:
            continue
        effort = Effort(args.rounds or row.rounds, args.requests, args.warm_up)
        failed |= _attempt(row.name, partial(row.measure, effort), args.record)
    return failed


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.filter", description=__doc__)
    names = [row.name for row in ROWS]
    parser.add_argument("--rows", nargs="+", choices=names, help="some rows only")
    parser.add_argument("--rounds", type=int, help="in place of each row's own number of rounds")
    parser.add_argument("--requests", type=int, default=40_000, help="per round and variant")
    parser.add_argument("--warm-up", type=int, default=10_000, help="requests before those")
    parser.add_argument(
        "--record",
        type=Path,
        metavar="FILE",
        help="write the figures into this file, too, between its markers",
    )
    parser.add_argument(
        "--modules",
        type=Path,
        nargs="+",
        metavar="WASM",
        help="compare modules of the filter with each other instead",
    )
    return parser.parse_args(arguments)


def _attempt(name: str, measure: Callable[[], str], record: Path | None) -> int:
    """Measure and publish; return the exit status. A row that fails is no reason to lose others."""
    try:
        text = measure()
        report.publish(f"filter-{name}", text)
        if record is not None:
            report.record(record, f"filter-{name}", text)
    except RigError as error:
        print(f"bench: {name}: {error}", file=sys.stderr)
        return 1
    return 0


def _modules(paths: Sequence[Path], effort: Effort) -> str:
    """Compare builds of ours: what each takes over bare Envoy, and times the first of them."""
    modules = [variants.of_module(str(path), path) for path in paths]
    found = Comparison.of("modules", [BARE, *modules], effort.rounds, effort.load())
    rows = [
        (f"{module.label}, times {modules[0].label}", found.ratio(module, modules[0]).format(2), "")
        for module in modules
    ]
    rows += [
        (f"{module.label}, bytes", str(path.stat().st_size), "")
        for module, path in zip(modules, paths, strict=True)
    ]
    return section(found.conditions(), found.table(), figures(rows))


if __name__ == "__main__":
    raise SystemExit(main())
