"""Both sides named: by certificates over mutual TLS, and by Istio's proxy, which is not here.

An Envoy without Istio's filters cannot make Istio's peer objects. How they are decoded is tested
natively, with what an Envoy returned for such objects; here, that nothing is there without them.
"""

from __future__ import annotations

from typing import Any

import pytest
from rig import mesh
from rig.bootstrap import Filter, Sidecar, any_of, node
from rig.certificates import Authority
from rig.driver import Driver, Hop, Wish
from rig.envoy import SidecarEnvoy
from rig.mesh import Deployment, Solo, alone
from rig.ports import free_port
from rig.process import Run
from rig.programs import filter_module
from rig.records import CLIENT, SERVER, Attributes
from rig.sink import Sink

PRINCIPAL = "spanmesh.peer.principal"


def peers(attributes: Attributes) -> Attributes:
    """Return what names a peer."""
    named = (key for key in attributes if "peer." in key and not key.startswith("network."))
    return {key: attributes[key] for key in named}


class Chain(Deployment):
    """A frontend asks the inventory through a gateway, each hop over mutual TLS."""

    def __init__(self, run: Run, sink: Sink) -> None:
        authority = Authority(run)
        self.identities = {
            name: authority.issue(name) for name in ("frontend", "gateway", "inventory")
        }
        service = mesh.start_service(run, "inventory")
        inventory = self._envoy(
            run, sink, "inventory", service, inbound_tls=self.identities["inventory"]
        )
        gateway = self._envoy(
            run,
            sink,
            "gateway",
            inventory.inbound,
            role="gateway",
            inbound_tls=self.identities["gateway"],
            upstream_tls=self.identities["gateway"],
        )
        frontend = self._envoy(
            run,
            sink,
            "frontend",
            free_port(),
            upstreams={"*": gateway.inbound},
            upstream_tls=self.identities["frontend"],
        )
        self.envoys = [frontend, gateway, inventory]
        self.driver = Driver(frontend.outbound)

    def _envoy(
        self, run: Run, sink: Sink, name: str, app: int, role: str = "auto", **more: Any
    ) -> SidecarEnvoy:
        loaded = Filter(filter_module(), mesh.plugin(role=role))
        envoy = SidecarEnvoy(run, Sidecar(name, app, loaded, sink.port, **more))
        envoy.wait_ready()
        return envoy


@pytest.mark.core
def test_certificates_name_both_sides(run: Run, sink: Sink) -> None:
    chain = Chain(run, sink)
    frontend, gateway, inventory = (identity.name for identity in chain.identities.values())
    hops = (
        Hop("frontend", CLIENT),
        Hop("gateway", SERVER),
        Hop("gateway", CLIENT, logged=False),
        Hop("inventory", SERVER),
    )
    made = chain.driver.get(Wish("mutual TLS", "/stock", hops))
    received = chain.settle(sink.telemetry)

    spans = {(span.service, span.kind): span for span in received.of_request(made.mark or "")}
    assert peers(spans["frontend", CLIENT].attributes) == {PRINCIPAL: gateway}
    assert peers(spans["gateway", SERVER].attributes) == {PRINCIPAL: frontend}
    assert peers(spans["gateway", CLIENT].attributes) == {PRINCIPAL: inventory}
    assert peers(spans["inventory", SERVER].attributes) == {PRINCIPAL: gateway}

    logs = {record.service: record for record in received.logs_of_request(made.mark or "")}
    assert peers(logs["frontend"].attributes) == {PRINCIPAL: gateway}
    assert peers(logs["gateway"].attributes) == {
        PRINCIPAL: frontend,
        "spanmesh.upstream.peer.principal": inventory,
    }
    assert peers(logs["inventory"].attributes) == {PRINCIPAL: gateway}
    for envoy in chain.envoys:
        assert "attributes.failed" not in nonzero(envoy)


def nonzero(envoy: SidecarEnvoy) -> dict[str, int]:
    """Return the filter's statistics that have counted something."""
    return {name: value for name, value in envoy.raw_filter_stats().items() if value}


def test_nobody_is_named_without_certificates_and_without_istios_filter(
    run: Run, sink: Sink
) -> None:
    solo = Solo(run, collector=sink.port)
    # Its id is one of Istio's, so that the filter asks for Istio's peers.
    assert node(solo.envoy.sidecar)["id"].startswith("sidecar~")
    made = solo.driver.get(alone())
    received = solo.settle(sink.telemetry)
    [span], [record] = (
        received.of_request(made.mark or ""),
        received.logs_of_request(made.mark or ""),
    )
    assert peers(span.attributes) == peers(record.attributes) == {}
    assert "attributes.failed" not in nonzero(solo.envoy)


def text_in_filter_state(text: str, *keys: str) -> dict[str, Any]:
    """Return an HTTP filter that leaves a text under these keys."""
    values = [
        {
            "object_key": key,
            "factory_key": "envoy.string",
            "format_string": {"text_format_source": {"inline_string": text}},
        }
        for key in keys
    ]
    return {
        "name": "envoy.filters.http.set_filter_state",
        "typed_config": any_of(
            "envoy.extensions.filters.http.set_filter_state.v3.Config", on_request_headers=values
        ),
    }


@pytest.mark.parametrize(("kind", "named"), [("waypoint", True), ("sidecar", False)])
def test_a_waypoint_names_who_is_at_the_other_end_of_a_tunnel(
    run: Run, sink: Sink, kind: str, named: bool
) -> None:
    # As Istio's waypoint does where the tunnel ends; only there the filter looks for it.
    name = "spiffe://cluster.local/ns/demo/sa/frontend"
    state = text_in_filter_state(name, "io.istio.peer_principal")
    solo = Solo(run, collector=sink.port, earlier_filters=(state,), kind=kind)
    made = solo.driver.get(alone())
    [span] = solo.settle(sink.telemetry).of_request(made.mark or "")
    assert peers(span.attributes) == ({PRINCIPAL: name} if named else {})


def test_text_in_a_peers_place_is_no_peer(run: Run, sink: Sink) -> None:
    state = text_in_filter_state("peer_not_found", "downstream_peer", "upstream_peer")
    solo = Solo(run, collector=sink.port, earlier_filters=(state,))
    made = solo.driver.get(alone())
    received = solo.settle(sink.telemetry)
    [span] = received.of_request(made.mark or "")
    assert peers(span.attributes) == {}
    assert span.attributes["http.response.status_code"] == 200
    # The objects were there, and were read with everything else.
    assert "attributes.failed" not in nonzero(solo.envoy)
