"""Run the demo: `make demo`, or `make demo KEEP=1` to keep it running until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections import Counter
from dataclasses import replace

from rig import mesh
from rig.collector import Collector
from rig.driver import Wish
from rig.mesh import Mesh
from rig.process import RigError, Run

from demo import report

ROUNDS = 20
"""How often each ordinary kind of request is made."""

PROPAGATORS = ["tracecontext", "b3", "b3multi"]


def say(text: str = "") -> None:
    """Print a line at once."""
    print(text, flush=True)


def http_load() -> list[Wish]:
    """Return the HTTP requests of the demo."""
    wishes = []
    for _ in range(ROUNDS):
        wishes += [
            mesh.plain(),
            mesh.with_w3c_parent(),
            mesh.with_b3_single(),
            mesh.with_b3_multi(),
        ]
    wishes += [mesh.plain("slow", "?delay_ms=250") for _ in range(3)]
    wishes += [mesh.plain("failing", "?fail=500", 500) for _ in range(3)]
    wishes += [mesh.plain("upstream reset", "?reset=1", 503) for _ in range(3)]
    return wishes


def drive(world: Mesh) -> None:
    """Make every request of the demo."""
    driver = world.driver
    driver.load(http_load())
    for _ in range(5):
        driver.call(mesh.grpc_call(), port=world.frontend.outbound)
    missing = replace(mesh.grpc_call("gRPC NOT_FOUND"), status=5)
    driver.call(missing, port=world.frontend.outbound, want="NOT_FOUND")


def show(world: Mesh, collector: Collector) -> bool:
    """Print trace, access log and account; return whether the account holds."""
    driver = world.driver
    received, account = world.take_account(collector.telemetry, collector=collector)
    metrics = collector.metrics()

    example = next(made for made in driver.made if made.wish.label == "failing")
    spans = received.of_request(example.mark or "")
    say(f"\nOne trace: a request that fails in the last service ({len(spans)} spans)\n")
    for line in report.tree(spans):
        say(f"  {line}")
    say("\nIts access log lines\n")
    for line in report.access_log(received.logs_of_request(example.mark or "")):
        say(f"  {line}")

    say("\nThe account\n")
    kinds = Counter(made.wish.label for made in driver.made)
    say("  requests made: " + ", ".join(f"{count} {label}" for label, count in kinds.items()))
    for line in report.account_table(account, metrics):
        say(f"  {line}")
    say(
        f"  traces: {account.complete_traces} of {account.requests} complete, "
        f"{account.orphans} orphans"
    )
    for problem in account.problems[:20]:
        say(f"  PROBLEM {problem}")
    holds = not account.problems and account.complete_traces == account.requests
    say(f"  the account {'holds: nothing was lost' if holds else 'DOES NOT HOLD'}")
    return holds


def point_out(run: Run, world: Mesh, collector: Collector, running: bool) -> None:
    """Print where to look next."""
    say("\nWhere to look next")
    say(f"  spans and logs as OTLP JSON lines  {collector.output}")
    say(f"  configurations and process logs    {run.directory}")
    if not running:
        say("  keep it running                    make demo KEEP=1")
        return
    say(f"  make a request       curl http://127.0.0.1:{world.frontend.inbound}/checkout")
    for envoy in world.envoys:
        stats = f"http://127.0.0.1:{envoy.admin}/stats?filter=wasmcustom.spanmesh"
        say(f"  filter's statistics  {stats}  ({envoy.sidecar.name})")
    say(f"  collector's metrics  http://127.0.0.1:{collector.ports.metrics}/metrics")
    say(f"  OTLP                 127.0.0.1:{collector.ports.grpc} (gRPC)")
    say(f"                       http://127.0.0.1:{collector.ports.http} (HTTP)")


def main() -> int:
    """Run the demo and return the exit status: 0 only if the account holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep it running until Ctrl-C")
    keep = parser.parse_args().keep
    # So that the end of a CI job, too, stops what was started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # A shell has what it starts in the background ignore this one.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with Run("demo") as run:
            say("demo: starting the collector, three services and their Envoys")
            began = time.monotonic()
            collector = Collector(run)
            world = Mesh(
                run,
                collector=collector.ports.grpc,
                configuration=mesh.plugin(propagators=PROPAGATORS),
            )
            say(f"demo: running after {time.monotonic() - began:.1f} s; making requests")
            drive(world)
            say(f"demo: {len(world.driver.made)} requests made; waiting for their records")
            holds = show(world, collector)
            point_out(run, world, collector, running=keep)
            if keep:
                try:
                    say("\nRunning until Ctrl-C.")
                    # In turns, since a signal that comes just before a sleep does not end it.
                    while True:
                        time.sleep(1)
                except KeyboardInterrupt:
                    say("\ndemo: stopping")
            return 0 if holds else 1
    except RigError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
