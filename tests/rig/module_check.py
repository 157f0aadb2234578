"""Says whether a real Envoy loads a module of the filter and a request has its records.

`python -m rig.module_check MODULE`, before the module is given away: one that Envoy cannot load
costs every request of every proxy that gets it, whatever its failure policy says.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rig.mesh import Solo, alone
from rig.process import RigError, Run
from rig.sink import Sink


def check(run: Run, module: Path) -> None:
    """Load it and make a request through it.

    # Errors
    Raises RigError with what does not hold.
    """
    sink = Sink().start()
    run.on_close(sink.stop)
    solo = Solo(run, collector=sink.port, module=module, concurrency=1)
    status = solo.driver.get(alone()).status
    if status != 200:
        raise RigError(f"a request through it is answered {status}, expected 200")
    rejected = solo.envoy.raw_filter_stats().get("config.rejected")
    if rejected != 0:
        raise RigError(f"the filter is not active: its config.rejected is {rejected}, expected 0")
    try:
        solo.settle(sink.telemetry)
    except AssertionError as error:
        raise RigError(str(error)) from error


def main() -> int:
    """Check the module that the command line names; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m rig.module_check", description=__doc__)
    parser.add_argument("module", type=Path, help="the finished .wasm file")
    module = parser.parse_args().module
    if not module.is_file():
        print(f"check of the module: no file {module}", file=sys.stderr)
        return 1
    try:
        with Run("module-check") as run:
            check(run, module)
    except RigError as error:
        print(f"check of the module: {module} must not be given away: {error}", file=sys.stderr)
        return 1
    print(f"check of the module: Envoy runs {module}, and a request has its records")
    return 0


if __name__ == "__main__":
    sys.exit(main())
