"""`python -m bench.collector`: measure the rows of the report."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rig.process import RigError

from bench import report
from bench.collector.rows import ROWS
from bench.collector.rows.row import Effort, Row


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; return the exit status."""
    args = _parse(arguments)
    effort = Effort(args.rounds, args.items, args.warm_up, args.peer)
    failed = 0
    for row in ROWS:
        if not args.rows or row.name in args.rows:
            failed |= _attempt(row, effort, args.record)
    return failed


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.collector", description=__doc__)
    names = [row.name for row in ROWS]
    parser.add_argument("--rows", nargs="+", choices=names, help="some rows only")
    parser.add_argument("--rounds", type=int, default=5, help="of all collectors (default 5)")
    parser.add_argument("--items", type=int, default=600_000, help="per round and collector")
    parser.add_argument("--warm-up", type=int, default=150_000, help="items before those")
    parser.add_argument("--peer", choices=["otelcol"], action="append", default=[])
    parser.add_argument(
        "--record",
        type=Path,
        metavar="FOLDER",
        help="write the figures into the documents of this folder, too, between their markers",
    )
    return parser.parse_args(arguments)


def _attempt(row: Row, effort: Effort, record: Path | None) -> int:
    """Measure and publish; return the exit status. A row that fails is no reason to lose others."""
    try:
        text = row.measure(effort)
        report.publish(f"collector-{row.name}", text)
        if record is not None:
            report.record(record / row.document, f"collector-{row.name}", text)
    except RigError as error:
        print(f"bench: {row.name}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
