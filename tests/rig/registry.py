"""A registry of images on the loopback address, and what is done with it by `crane`."""

from __future__ import annotations

import subprocess
from pathlib import Path

from rig.ports import free_port, listens
from rig.process import Process, RigError, Run
from rig.programs import go_tool


class Registry:
    """A running registry, which keeps what it is given in memory."""

    process: Process

    def __init__(self, run: Run) -> None:
        self._run = run
        self.port = free_port()
        self.start()

    def start(self) -> None:
        """Start it, empty, also again after a stop."""
        argv = [go_tool("registry"), "-port", str(self.port)]
        self.process = self._run.spawn("registry", argv)
        self.process.wait_until(lambda: listens(self.port), "the registry listened")

    def stop(self) -> None:
        """End it, with everything in it."""
        self.process.stop()

    def reference(self, name: str) -> str:
        """Return the reference of an image in it, as `filter:1.0.0`."""
        return f"127.0.0.1:{self.port}/{name}"

    def push(self, layout: Path, name: str) -> str:
        """Push the image of a layout and return the reference by digest."""
        return crane("push", layout, self.reference(name))


def crane(*arguments: str | Path) -> str:
    """Run crane and return what it prints."""
    argv = [go_tool("crane"), *arguments]
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RigError(f"crane {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()
