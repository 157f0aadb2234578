"""h2load: HTTP/1.1 with keep-alive on loopback."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from rig.process import RigError

from bench import programs
from bench.process import first_and_other_processors, pinned

_SUCCEEDED = re.compile(r"(\d+) succeeded, (\d+) failed, (\d+) errored")
_RATE = re.compile(r"finished in [^,]+, ([\d.]+) req/s")


@dataclass(frozen=True)
class Load:
    """What is sent to an Envoy."""

    requests: int
    """Counted ones."""
    warm_up: int
    """Requests before those."""
    connections: int = 16
    per_second: float | None = None
    """Over all connections; without, each sends as soon as it is answered."""
    path: str = "/items/42?page=3"
    body: Path | None = None
    """A file that every request posts."""

    def argv(self, requests: int, port: int | str) -> list[str]:
        """Return the command line."""
        argv = [
            programs.h2load(),
            "--h1",
            "--threads=1",
            f"--clients={self.connections}",
            f"--requests={requests}",
        ]
        if self.per_second is not None:
            argv.append(f"--rps={self.per_second / self.connections:.0f}")
        if self.body is not None:
            argv.append(f"--data={self.body}")
        return [*argv, f"http://127.0.0.1:{port}{self.path}"]

    def describe(self) -> str:
        """Return the command line of the counted requests and the warm-up, for a report."""
        argv = ["h2load", *self.argv(self.requests, "PORT")[1:]]
        if self.body is not None:
            argv = [part.replace(str(self.body), self.body.name) for part in argv]
        return f"`{' '.join(argv)}` after {self.warm_up} requests of warm-up"

    def run(self, requests: int, port: int, *, log: Path | None = None) -> float:
        """Send requests; return how many a second were answered.

        `log` is a file for the time that each of them took. Fails when one did not succeed.
        """
        argv = self.argv(requests, port)
        if log is not None:
            argv.insert(1, f"--log-file={log}")
        _, others = first_and_other_processors()
        with pinned(others):
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
        found, rate = _SUCCEEDED.search(done.stdout), _RATE.search(done.stdout)
        if found is None or rate is None or found.groups() != (str(requests), "0", "0"):
            raise RigError(
                f"h2load: not all of {requests} requests succeeded:\n{done.stdout[-800:]}"
            )
        return float(rate[1])
