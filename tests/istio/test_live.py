"""What is changed or taken away under load: no request fails, and no record is lost.

Without the agent each version of a plugin gets VMs of its own, since Istio writes the version into
the VM's environment, which the agent leaves out. So the filters' own accounts are `replaced` here;
`test_agent.py` has a new configuration in the same VMs.
"""

from __future__ import annotations

import signal
from typing import Any

import pytest
from rig import accounting
from rig.collector import Collector, Ports, configuration
from rig.istio import manifests
from rig.istio.manifests import Object, of_kind, with_module
from rig.istio.mesh import QUICK, IstioMesh, module_url, wish
from rig.istio.modules import another
from rig.istio.proxy import RECONNECTED
from rig.istio.traffic import Traffic
from rig.process import Run, wait_for
from rig.programs import filter_module
from rig.records import Telemetry, read_json_lines
from rig.sink import Sink

pytestmark = pytest.mark.usefixtures("pod_network")


def objects(url: str | None = None, **config: Any) -> list[Object]:
    """Return the base and the WasmPlugin, with the module of this build or another one."""
    plugin = of_kind(manifests.documents("wasmplugin"), "WasmPlugin")
    changed = with_module(plugin, url or module_url(), **QUICK, **config)
    return [*manifests.documents("base"), changed]


def test_a_new_configuration_of_the_plugin(run: Run) -> None:
    collector = Collector(run)
    mesh = IstioMesh(run, objects(), [collector])
    with Traffic(mesh.driver, wish("before and after")) as traffic:
        traffic.more()
        for name in ("x-first", "x-second"):
            mesh.apply(objects(capture={"request_headers": [name]}))
            mesh.wait_for_text(name)
            traffic.more()
    received = mesh.settle(collector.telemetry, collector=collector, replaced=True)
    assert {made.status for made in mesh.driver.made} == {200}
    # The new configuration is at work, in each proxy.
    last = mesh.driver.get(wish("captured", headers=(("x-second", "yes"),)))
    received = mesh.settle(collector.telemetry, collector=collector, replaced=True)
    spans = received.of_request(last.mark or "")
    header = "http.request.header.x-second"
    assert [span.attributes.get(header) for span in spans if span.service == "gateway"] == [
        ["yes"],
        ["yes"],
    ]


def test_a_configuration_that_is_wrong(run: Run) -> None:
    collector = Collector(run)
    mesh = IstioMesh(run, objects(), [collector])
    with Traffic(mesh.driver, wish("all the while")) as traffic:
        traffic.more()
        mesh.apply(objects(sampler={"ratio": "half"}))
        for proxy in mesh.proxies:
            wait_for(
                lambda proxy=proxy: bool(proxy.rejected()), f"{proxy.name} refused it", RECONNECTED
            )
        traffic.more()
        mesh.apply(objects(capture={"request_headers": ["x-right"]}))
        mesh.wait_for_text("x-right")
        traffic.more()
    mesh.settle(collector.telemetry, collector=collector, replaced=True)


def test_a_new_module(run: Run) -> None:
    collector = Collector(run)
    mesh = IstioMesh(run, objects(), [collector])
    newer = another(run, filter_module())
    with Traffic(mesh.driver, wish("before and after")) as traffic:
        traffic.more()
        mesh.apply(objects(url=f"file://{newer}"))
        mesh.wait_for_text(newer.name)
        traffic.more()
    mesh.settle(collector.telemetry, collector=collector, replaced=True)
    assert [proxy.rejected() for proxy in mesh.proxies] == [{}] * 3


def test_a_new_module_while_no_collector_answers_costs_what_waits(run: Run) -> None:
    """Envoy ends a VM with what it holds; no statistic of the filter's can tell any more."""
    collector = Collector(run)
    mesh = IstioMesh(run, objects(), [collector])
    collector.stop()
    for _ in range(5):
        assert mesh.driver.get(wish("while it is down")).status == 200
    newer = another(run, filter_module())
    mesh.apply(objects(url=f"file://{newer}"))
    mesh.wait_for_text(newer.name)
    collector.start()
    mesh.driver.made.clear()
    for _ in range(5):
        assert mesh.driver.get(wish("afterwards")).status == 200
    received = accounting.wait_for_records(mesh.driver.made, collector.telemetry)
    accounting.take(mesh.driver.made, received, collector=collector.metrics()).check()


def test_a_collector_that_starts_again(run: Run) -> None:
    collector = Collector(run)
    mesh = IstioMesh(run, objects(), [collector])
    before = collector.output.with_suffix(".before")
    with Traffic(mesh.driver, wish("all the while")) as traffic:
        traffic.more()
        collector.stop()
        collector.output.rename(before)
        traffic.more()
        collector.start()
        traffic.more()

    def both() -> Telemetry:
        first, second = read_json_lines(before), collector.telemetry()
        return Telemetry(first.spans + second.spans, first.logs + second.logs)

    mesh.settle(both, timeout=60, duplicates=True)
    assert sum(stats.spans.retried for stats in mesh.filter_stats()) > 0


def stored(run: Run, name: str, sink: Sink) -> Collector:
    """Start a collector with its queue on disk."""
    ports = Ports.free()
    exporter = {
        "endpoint": f"127.0.0.1:{sink.port}",
        "tls": {"insecure": True},
        "retry_on_failure": {"initial_interval": "50ms", "max_interval": "200ms"},
        "sending_queue": {"storage": "file_storage"},
    }
    document = configuration(ports, {"otlp_grpc": exporter})
    # Each collector is at an address of its own.
    document["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"] = f"0.0.0.0:{ports.grpc}"
    document["extensions"]["file_storage"] = {"directory": str(run.directory / f"{name}.storage")}
    document["service"]["extensions"].append("file_storage")
    return Collector(run, document, ports=ports, name=name)


def accepted(collector: Collector) -> int:
    """Return how many spans a collector has taken."""
    return collector.metrics().total("otelcol_receiver_accepted_spans")


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=lambda end: end.name)
def test_one_of_two_collectors_that_dies(run: Run, end: signal.Signals) -> None:
    with Sink() as sink:
        first, second = stored(run, "first", sink), stored(run, "second", sink)
        mesh = IstioMesh(run, objects(), [first, second])
        with Traffic(mesh.driver, wish("all the while")) as traffic:
            traffic.more()
            for one in (first, second):
                wait_for(lambda one=one: accepted(one) > 0, f"{one.name} is asked", 60)
            first.process.send_signal(end)
            first.process.wait(60)
            traffic.more(120)
            # What Kubernetes does once the pod is not ready.
            mesh.endpoints = mesh.endpoints[1:]
            mesh.apply(mesh.objects)
            traffic.more()
        # What it had taken and not delivered is on its disk.
        first.start()
        mesh.settle(sink.telemetry, timeout=60, duplicates=True)
        wait_for(
            lambda: first.metrics().total("spanmesh_account_queued_items") == 0,
            "nothing waits",
            60,
        )


def test_a_collector_that_a_sidecar_does_not_know_yet(run: Run) -> None:
    collector = Collector(run)
    mesh = IstioMesh(run, objects(), [collector], sees_collector=False)
    frontend = mesh.proxies[1]
    with Traffic(mesh.driver, wish("all the while")) as traffic:
        traffic.more()
        wait_for(lambda: "no such cluster" in frontend.log, "the filter says so", 60)
        mesh.show_collector()
        traffic.more()
    mesh.settle(collector.telemetry, collector=collector, timeout=60)
    assert frontend.filter_stats().spans.retried > 0


def test_a_control_plane_that_is_gone(run: Run) -> None:
    collector = Collector(run)
    mesh = IstioMesh(run, objects(), [collector])
    with Traffic(mesh.driver, wish("all the while")) as traffic:
        traffic.more()
        mesh.control_plane.process.send_signal(signal.SIGKILL)
        mesh.control_plane.process.wait(60)
        traffic.more(200)
        mesh.objects = objects(capture={"request_headers": ["x-after"]})
        mesh.restart_control_plane()
        mesh.wait_for_text("x-after")
        traffic.more()
    mesh.settle(collector.telemetry, collector=collector, replaced=True)
    assert [proxy.rejected() for proxy in mesh.proxies] == [{}] * 3
