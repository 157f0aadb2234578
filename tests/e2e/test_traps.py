"""What one trap of a module costs, by `failure_policy`. The module is not ours: ours has no trap.

docs/filter-operations.md has the outcome as a table.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import wasmtime
from rig import http, streams
from rig.bootstrap import Filter, Sidecar
from rig.envoy import SidecarEnvoy
from rig.process import Run, wait_for
from rig.sink import Sink

MODULE = """
(module
  (import "env" "proxy_get_header_map_value"
    (func $header (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "x-trap")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (i32.store (i32.const 4) (i32.const 0))
    (drop (call $header
      (i32.const 0) (i32.const 16) (i32.const 6) (i32.const 0) (i32.const 4)))
    (if (i32.load (i32.const 4)) (then unreachable))
    (i32.const 0)))
"""
"""A filter that traps on a request with the header `x-trap`, and else does nothing."""

UNDER_WAY = 5
"""Requests that are under way when the trap comes."""

SERVED_WITHIN = 3_000
"""Milliseconds that each of them takes, unless the trap ends it."""

WATCHED = 1.0
"""Seconds after the trap in which new requests are made."""

LEAST_BACKOFF, BACKOFF = 1.0, 1.5
"""Seconds before which Envoy does not load a module again, and after which it does at once. In
between it is at random."""


@dataclass(frozen=True)
class Cost:
    """What a trap costs, as status codes."""

    trapping: int
    under_way: set[int]
    later: list[tuple[float, int]]
    """Of new requests, with the seconds since the trap."""

    def recovered_after(self) -> float | None:
        """Return when the first request was answered with 200, if one was."""
        return next((after for after, status in self.later if status == 200), None)


@dataclass(frozen=True)
class Trapping:
    """An Envoy of one worker with the trapping module, before a service."""

    envoy: SidecarEnvoy

    @classmethod
    def start(cls, run: Run, sink: Sink, policy: str) -> Trapping:
        module = Path(run.directory) / "trap.wasm"
        module.write_bytes(wasmtime.wat2wasm(MODULE))
        loaded = Filter(module, None, failure_policy=policy)
        sidecar = Sidecar("inventory", streams.start_http(run), loaded, sink.port)
        envoy = SidecarEnvoy(run, sidecar, concurrency=1)
        envoy.wait_ready()
        return cls(envoy)

    def ask(self, path: str, **headers: str) -> int:
        pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
        return http.request(self.envoy.inbound, path, headers=pairs).status

    def under_way(self) -> int:
        """Return how many requests the service has and has not answered."""
        return sum(self.envoy.stats("cluster.*upstream_rq_active$").values())

    def trap(self) -> Cost:
        """Trap once, with requests under way, and watch what becomes of new ones."""
        with ThreadPoolExecutor(UNDER_WAY) as pool:
            under_way: list[Future[int]] = [
                pool.submit(self.ask, f"/slow?delay_ms={SERVED_WITHIN}") for _ in range(UNDER_WAY)
            ]
            wait_for(lambda: self.under_way() == UNDER_WAY, "all were under way")
            trapping = self.ask("/slow?delay_ms=0", x_trap="yes")
            began = time.monotonic()
            later = []
            while (after := time.monotonic() - began) < WATCHED:
                later.append((after, self.ask("/slow?delay_ms=0")))
                time.sleep(0.02)
            return Cost(trapping, {one.result() for one in under_way}, later)


def reloads(envoy: SidecarEnvoy) -> int:
    return sum(envoy.stats("wasm.*vm_reload_success").values())


def always(cost: Cost, status: int) -> bool:
    return {code for _, code in cost.later} == {status}


@pytest.mark.core
@pytest.mark.parametrize(
    ("policy", "others", "later"),
    [
        # The filter is bypassed from then on.
        ("FAIL_OPEN", 503, lambda cost: always(cost, 200)),
        # The old field spares the requests, too.
        ("fail_open", 200, lambda cost: always(cost, 200)),
        # The next request has it loaded again.
        ("FAIL_RELOAD", 503, lambda cost: always(cost, 200)),
        ("FAIL_CLOSED", 503, lambda cost: always(cost, 503)),
    ],
)
def test_what_a_trap_costs(
    run: Run,
    sink: Sink,
    policy: str,
    others: int,
    later: Callable[[Cost], bool],
    record_property: Callable[[str, object], None],
) -> None:
    trapping = Trapping.start(run, sink, policy)
    time.sleep(BACKOFF)
    assert trapping.ask("/slow?delay_ms=0") == 200
    cost = trapping.trap()
    record_property("recovered_after", cost.recovered_after())
    assert cost.trapping == others
    assert cost.under_way == {others}
    assert later(cost), cost
    # Only with FAIL_RELOAD is there a filter again, and so a second trap.
    traps_again = trapping.ask("/slow?delay_ms=0", x_trap="yes") == 503
    assert traps_again == (policy in {"FAIL_RELOAD", "FAIL_CLOSED"})
    assert reloads(trapping.envoy) == (policy == "FAIL_RELOAD")


def test_a_second_trap_within_the_backoff_costs_new_requests(run: Run, sink: Sink) -> None:
    trapping = Trapping.start(run, sink, "FAIL_RELOAD")

    def is_loaded() -> bool:
        return trapping.ask("/slow?delay_ms=0") == 200

    for _ in range(10):
        wait_for(is_loaded, "the module was loaded")
        time.sleep(BACKOFF)
        began = time.monotonic()
        statuses = [
            trapping.ask("/slow?delay_ms=0", **headers)
            for headers in ({"x_trap": "yes"}, {}, {"x_trap": "yes"}, {})
        ]
        if time.monotonic() - began < LEAST_BACKOFF:
            break
    else:
        raise AssertionError("the machine is too busy for four requests within the backoff")
    # The first of the new requests had the module loaded, the second one comes too early for that.
    assert statuses == [503, 200, 503, 503]
    wait_for(is_loaded, "it was loaded again")
