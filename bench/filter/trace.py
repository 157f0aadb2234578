"""The calls between Envoy and a Wasm module in the course of one request, by Envoy's own log."""

from __future__ import annotations

import re
import time
from collections import Counter

from rig import http
from rig.process import Run

from bench.filter.load import Load
from bench.filter.measure import Bench, started
from bench.filter.variants import Variant

_CALL = re.compile(r"\[(?:host->vm|vm->host)\] (?:[a-z]\w*\.)?proxy_(\w+)\(")
_WARM_UP = 50
_SETTLE_SECONDS = 1.3
"""Longer than the default interval of a batch, after which a tick has nothing to do."""


def calls(run: Run, name: str, variant: Variant) -> Counter[str]:
    """Return how often each function of the ABI is called for one request, in both directions.

    Ticks are left out: they belong to no request.
    """
    with started(run, name, variant) as bench:
        Load(_WARM_UP, 0, connections=1).run(_WARM_UP, bench.port)
        time.sleep(_SETTLE_SECONDS)
        before = len(_lines(bench))
        http.request(bench.envoy.admin, "/logging?wasm=trace", method="POST")
        Load(1, 0, connections=1).run(1, bench.port)
        http.request(bench.envoy.admin, "/logging?wasm=info", method="POST")
        lines = _lines(bench)[before:]
    found: Counter[str] = Counter()
    in_request = False
    for line in lines:
        call = _CALL.search(line)
        if call is None:
            continue
        # Everything between the first and the last callback of the stream is of the request.
        in_request = in_request or call[1] == "on_context_create"
        if in_request:
            found[call[1]] += 1
        if call[1] == "on_delete":
            break
    return found


def _lines(bench: Bench) -> list[str]:
    return bench.envoy.process.log.read_text(errors="replace").splitlines()
