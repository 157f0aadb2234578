"""A real Prometheus on the loopback address."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

from rig import http
from rig.monitoring import prometheus_binary
from rig.ports import free_port, listens
from rig.process import Run

INTERVAL = 1
"""Seconds from one scrape, and one evaluation of the rules, to the next."""


class Prometheus:
    """A running Prometheus, with rules and jobs."""

    def __init__(self, run: Run, jobs: list[dict[str, Any]], rule_files: Iterable[Path]) -> None:
        self.port = free_port()
        timing = {f"{name}_interval": f"{INTERVAL}s" for name in ("scrape", "evaluation")}
        document = {
            "global": {**timing, "scrape_timeout": f"{INTERVAL}s"},
            "rule_files": [str(path) for path in rule_files],
            "scrape_configs": jobs,
        }
        config = run.write("prometheus.yaml", yaml.safe_dump(document, sort_keys=False))
        argv = [
            prometheus_binary("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={run.directory / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]
        process = run.spawn("prometheus", argv)
        process.wait_until(lambda: listens(self.port), "Prometheus listened")
        process.wait_until(self._ready, "Prometheus was ready")

    def _ready(self) -> bool:
        return http.request(self.port, "/-/ready").status == 200

    def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        """Return the series that an expression has now, or had at a time, in seconds since 1970.

        # Errors
        Raises ValueError with what Prometheus says of an expression that it cannot evaluate.
        """
        when = {} if at is None else {"time": str(at)}
        return self._result("query", query=expression, **when)

    def query_range(self, expression: str, seconds: int) -> list[dict[str, Any]]:
        """Return the series that it had in the last seconds, with a value each second."""
        now = time.time()
        return self._result(
            "query_range", query=expression, start=str(now - seconds), end=str(now), step="1"
        )

    def targets(self) -> list[dict[str, Any]]:
        """Return what it scrapes."""
        return http.request(self.port, "/api/v1/targets?state=active").json["data"]["activeTargets"]

    def _result(self, what: str, **parameters: str) -> list[dict[str, Any]]:
        answer = http.request(self.port, f"/api/v1/{what}?{urlencode(parameters)}").json
        if answer["status"] != "success":
            raise ValueError(f"{parameters['query']}: {answer['error']}")
        return answer["data"]["result"]
