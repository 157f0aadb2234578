"""Services behind Envoys: the demo's mesh of three, and one alone."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rig import accounting
from rig.accounting import Account
from rig.bootstrap import COLLECTOR_CLUSTER, Filter, Sidecar
from rig.collector import Collector
from rig.driver import Driver, Hop, Parent, Wish, chain
from rig.envoy import FilterStats, SidecarEnvoy
from rig.ports import free_port, listens
from rig.process import ROOT, Process, Run
from rig.programs import filter_module
from rig.records import CLIENT, SERVER, Telemetry

DEMO = ROOT / "envoy" / "demo"

CHAIN = chain("frontend", "cart", "inventory")
"""The hops of a request that goes all the way."""

_LOADING = ("delivery", "environment", "otherwise_pass")
"""The options of `Solo` that say how the filter is loaded."""

_COUNTED_WITHIN = 20
"""Seconds after which all counters have to say what has become of the records."""

RESERVE = "/demo.v1.Inventory/Reserve"
"""The gRPC method of the inventory."""


def plugin(**overrides: Any) -> dict[str, Any]:
    """Return the filter's configuration in the rig: quick flushes to the rig's collector."""
    document: dict[str, Any] = {
        "exporter": {"clusters": [COLLECTOR_CLUSTER]},
        "batch": {"interval": "200ms"},
    }
    for key, value in overrides.items():
        if isinstance(value, dict) and isinstance(document.get(key), dict):
            document[key] = {**document[key], **value}
        else:
            document[key] = value
    return document


def start_service(
    run: Run, name: str, *, following: str | None = None, via: int | None = None
) -> int:
    """Start one of the demo's HTTP services and return its port."""
    port = free_port()
    start_service_on(run, name, port, following=following, via=via)
    return port


def start_service_on(
    run: Run, name: str, port: int, *, following: str | None = None, via: int | None = None
) -> Process:
    """Start one of the demo's HTTP services on a port chosen before."""
    argv = [sys.executable, DEMO / "services.py", "--name", name, "--listen", f"127.0.0.1:{port}"]
    if following is not None:
        argv += ["--next", following]
    if via is not None:
        argv += ["--via", f"127.0.0.1:{via}"]
    process = run.spawn(f"{name}.service", argv)
    process.wait_until(lambda: listens(port), f"{name} listened")
    return process


def start_grpc_service(run: Run) -> int:
    """Start the demo's gRPC service and return its port."""
    port = free_port()
    process = run.spawn(
        "inventory.grpc",
        [sys.executable, DEMO / "grpc_service.py", "--listen", f"127.0.0.1:{port}"],
    )
    process.wait_until(lambda: listens(port), "the gRPC service listened")
    return port


class Deployment:
    """Services behind Envoys, and a driver in front of them."""

    envoys: list[SidecarEnvoy]
    driver: Driver

    def filter_stats(self) -> list[FilterStats]:
        """Return the filter's statistics in each Envoy."""
        return [envoy.filter_stats() for envoy in self.envoys]

    def settle(self, fetch: Callable[[], Telemetry], **options: Any) -> Telemetry:
        """Take the account as `take_account` does, with its options, and check that it holds."""
        received, account = self.take_account(fetch, **options)
        account.check()
        return received

    def take_account(
        self,
        fetch: Callable[[], Telemetry],
        *,
        collector: Collector | None = None,
        timeout: float = 30.0,
        lossy: bool = False,
        duplicates: bool = False,
        replaced: bool = False,
    ) -> tuple[Telemetry, Account]:
        """Wait for what the requests so far demand; return it with the account of it.

        Filters count up when they flush, and a collector when it has its answer, which both come
        after the records: an account that does not hold is taken again, for a while.
        """
        made = self.driver.made
        accounting.wait_for_records(made, fetch, timeout=timeout)
        deadline = time.monotonic() + _COUNTED_WITHIN
        while True:
            received = fetch()
            account = accounting.take(
                made,
                received,
                filters=self.filter_stats(),
                collector=collector.metrics() if collector else None,
                lossy=lossy,
                duplicates=duplicates,
                replaced=replaced,
            )
            if not account.problems or time.monotonic() > deadline:
                return received, account
            time.sleep(0.2)


class Solo(Deployment):
    """One service, inventory, behind one Envoy."""

    def __init__(
        self,
        run: Run,
        *,
        collector: int,
        configuration: dict[str, Any] | str | None = None,
        concurrency: int = 2,
        app: int | None = None,
        module: Path | None = None,
        **options: Any,
    ) -> None:
        """Start it; `app` is the port of a service that is there already.

        `module` is loaded in the place of the one that was built. `options` go to the
        `Sidecar`, but for those that are the `Filter`'s.
        """
        document = plugin() if configuration is None else configuration
        loaded = Filter(
            module or filter_module(),
            document,
            **{
                key: options.pop(key)
                for key in ("delivery", "environment", "otherwise_pass")
                if key in options
            },
        )
        service = start_service(run, "inventory") if app is None else app
        sidecar = Sidecar("inventory", service, loaded, collector, **options)
        self.envoy = SidecarEnvoy(run, sidecar, concurrency=concurrency)
        self.envoy.wait_ready()
        self.envoys = [self.envoy]
        self.driver = Driver(self.envoy.inbound)

    def update(self, configuration: dict[str, Any] | str) -> None:
        """Give the filter another configuration."""
        current = self.envoy.sidecar.filter
        assert current is not None
        self.envoy.update_filter(replace(current, configuration=configuration))


class Mesh(Deployment):
    """Frontend asks cart asks inventory. The telemetry goes to the OTLP/gRPC port `collector`."""

    def __init__(
        self,
        run: Run,
        *,
        collector: int,
        configuration: dict[str, Any] | None = None,
        concurrency: int = 2,
    ) -> None:
        loaded = Filter(filter_module(), configuration or plugin())

        def sidecar(name: str, app: int, **more: Any) -> SidecarEnvoy:
            spec = Sidecar(name, app, loaded, collector, **more)
            return SidecarEnvoy(run, spec, concurrency=concurrency)

        # From the inside out, since each needs the port of the one that it asks.
        self.inventory = sidecar(
            "inventory", start_service(run, "inventory"), app_grpc=start_grpc_service(run)
        )
        cart = free_port()
        self.cart = sidecar("cart", cart, upstreams={"inventory": self.inventory.inbound})
        start_service_on(
            run, "cart", cart, following="http://inventory/stock", via=self.cart.outbound
        )
        frontend = free_port()
        self.frontend = sidecar(
            "frontend",
            frontend,
            upstreams={"cart": self.cart.inbound, "inventory": self.inventory.inbound},
        )
        start_service_on(
            run, "frontend", frontend, following="http://cart/items", via=self.frontend.outbound
        )
        self.envoys = [self.frontend, self.cart, self.inventory]
        for envoy in self.envoys:
            envoy.wait_ready()
        self.driver = Driver(self.frontend.inbound)


def plain(label: str = "plain", query: str = "", status: int = 200) -> Wish:
    """Return a request without any trace headers."""
    return Wish(label, f"/checkout{query}", CHAIN, status=status)


def with_w3c_parent() -> Wish:
    """Return a request that continues a W3C trace."""
    parent = Parent.new()
    return Wish("W3C parent", "/checkout", CHAIN, headers=(parent.traceparent(),), parent=parent)


def with_b3_single() -> Wish:
    """Return a request that continues a B3 trace, in one header."""
    parent = Parent.new()
    header = ("b3", f"{parent.trace_id}-{parent.span_id}-1")
    return Wish("B3 single", "/checkout", CHAIN, headers=(header,), parent=parent)


def with_b3_multi() -> Wish:
    """Return a request that continues a B3 trace, in several headers."""
    parent = Parent.new()
    headers = (
        ("X-B3-TraceId", parent.trace_id),
        ("X-B3-SpanId", parent.span_id),
        ("X-B3-Sampled", "1"),
    )
    return Wish("B3 multi", "/checkout", CHAIN, headers=headers, parent=parent)


def grpc_call(label: str = "gRPC", status: int = 0) -> Wish:
    """Return a gRPC request from the frontend to the inventory, through both their Envoys."""
    parent = Parent.new()
    return Wish(
        label,
        RESERVE,
        (Hop("frontend", CLIENT), Hop("inventory", SERVER)),
        method="POST",
        host="inventory",
        headers=(parent.traceparent(),),
        parent=parent,
        status=status,
    )


def alone(
    label: str = "alone",
    path: str = "/stock",
    headers: tuple[tuple[str, str], ...] = (),
    parent: Parent | None = None,
    **more: Any,
) -> Wish:
    """Return a request to a service that asks no other."""
    return Wish(label, path, chain("inventory"), headers=headers, parent=parent, **more)
