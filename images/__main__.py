"""Build an image as an OCI layout, and print the digest of its manifest."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from images import contents, layout


def main() -> int:
    """Do what the command line says; return the exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m images", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    collector = commands.add_parser("collector", help="the collector's image")
    collector.add_argument("--binary", type=Path, required=True, help="the static binary")
    collector.add_argument(
        "--authorities", type=Path, required=True, help="the authorities to believe, PEM"
    )
    module = commands.add_parser("filter", help="the filter's image")
    module.add_argument("--module", type=Path, required=True, help="the finished .wasm file")
    for command in (collector, module):
        command.add_argument("--version", required=True, help="the version, and the tag")
        command.add_argument("--out", type=Path, required=True, help="the folder of the layout")

    digest = commands.add_parser("digest", help="print the digest of a layout that is there")
    digest.add_argument("layout", type=Path)

    options = parser.parse_args()
    try:
        print(_run(options))
    except (OSError, ValueError) as error:
        print(f"images: {error}", file=sys.stderr)
        return 1
    return 0


def _run(options: argparse.Namespace) -> str:
    """Return the digest of what was built or found."""
    if options.command == "digest":
        return layout.digest_of(options.layout)
    if options.command == "collector":
        image = contents.collector(options.binary, options.authorities, options.version)
    else:
        image = contents.module(options.module, options.version)
    return layout.write(image, options.out, options.version)


if __name__ == "__main__":
    sys.exit(main())
