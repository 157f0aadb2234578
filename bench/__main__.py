"""`python -m bench`: the rows of the filter and the table of the collectors."""

from __future__ import annotations

import argparse

from bench.collector import __main__ as collector
from bench.filter import __main__ as filter_


def main() -> int:
    """Run both; return the exit status."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--peer", choices=["otelcol"], action="append", default=[])
    args = parser.parse_args()
    peers = [argument for peer in args.peer for argument in ("--peer", peer)]
    return filter_.main([]) or collector.main(peers)


if __name__ == "__main__":
    raise SystemExit(main())
