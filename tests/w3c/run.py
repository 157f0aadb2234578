"""Run the official W3C Trace Context suite through a real Envoy with the filter.

    make w3c SUITE=CHECKOUT

CHECKOUT is a checkout of the repository w3c/trace-context, outside of this one: its code is not
part of this project. To pick tests, run this file itself with their names after `--suite CHECKOUT`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from rig.ports import free_port
from rig.process import RigError, Run
from rig.sink import Sink

from w3c import wiring


def main() -> int:
    """Run the suite and return its exit status: the number of tests that failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", type=Path, required=True, help="checkout of w3c/trace-context")
    parser.add_argument("tests", nargs="*", help="names of tests; all of them by default")
    arguments = parser.parse_args()
    program = arguments.suite.resolve() / "test" / "test.py"
    if not program.exists():
        print(f"no suite at {program}: give --suite a checkout of w3c/trace-context")
        return 2
    harness = free_port()
    try:
        with Run("w3c") as run, Sink() as sink:
            envoy = wiring.start(run, harness=harness, collector=sink.port)
            return subprocess.call(
                [sys.executable, program, f"http://127.0.0.1:{envoy.inbound}/test"]
                + arguments.tests,
                cwd=program.parent,
                env={
                    **os.environ,
                    "SPEC_LEVEL": "2",
                    "STRICT_LEVEL": "2",
                    "HARNESS_PORT": str(harness),
                },
            )
    except RigError as error:
        print(error)
        return 2


if __name__ == "__main__":
    sys.exit(main())
