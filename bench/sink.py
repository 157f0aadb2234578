"""The sink of the benchmarks: OTLP/gRPC in, a success out, everything counted."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass

from rig.ports import free_port, listens
from rig.process import Run

from bench import programs


@dataclass(frozen=True)
class Totals:
    """What a sink has received; the difference of two is what came in between."""

    requests: int = 0
    spans: int = 0
    log_records: int = 0
    metric_points: int = 0
    ids: int = 0
    wire_bytes: int = 0
    compressed: int = 0
    malformed: int = 0

    def __sub__(self, earlier: Totals) -> Totals:
        pairs = zip(vars(self).values(), vars(earlier).values(), strict=True)
        return Totals(*(now - then for now, then in pairs))


class Sink:
    """A running sink that listens on `port`."""

    def __init__(self, run: Run) -> None:
        self.port = free_port()
        self._status = free_port()
        argv = [
            programs.sink(),
            f"--listen=127.0.0.1:{self.port}",
            f"--status=127.0.0.1:{self._status}",
        ]
        self.process = run.spawn("sink", argv)
        self.process.wait_until(lambda: listens(self.port), "the sink listened")

    def totals(self) -> Totals:
        """Return what it has received so far."""
        with (
            socket.create_connection(("127.0.0.1", self._status), timeout=10) as connection,
            connection.makefile() as lines,
        ):
            return Totals(**json.loads(lines.readline()))
