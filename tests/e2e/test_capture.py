"""Headers and baggage become attributes where the configuration names them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rig import mesh
from rig.bootstrap import deny
from rig.driver import Wish
from rig.mesh import Solo, alone
from rig.process import Run
from rig.records import CLIENT, SERVER
from rig.sink import Sink

SECRET = "open-sesame"


def captured(run: Run, sink: Sink, capture: dict[str, Any], wish: Wish) -> list[dict[str, Any]]:
    """Make a request; return the attributes of its records."""
    solo = Solo(run, collector=sink.port, configuration=mesh.plugin(capture=capture))
    made = solo.driver.get(wish)
    received = solo.settle(sink.telemetry)
    assert solo.envoy.raw_filter_stats()["attributes.failed"] == 0
    mark = made.mark or ""
    records = [*received.of_request(mark), *received.logs_of_request(mark)]
    assert len(records) == 2
    return [record.attributes for record in records]


@pytest.mark.core
def test_headers_have_all_their_values(run: Run, sink: Sink) -> None:
    capture = {
        "request_headers": ["X-Tenant", "x-team-*", "x-none"],
        "response_headers": ["X-Served", "content-type", "x-none"],
    }
    wish = alone(
        path="/stock?header=x-served:a&header=x-served:b",
        headers=(("x-tenant", "gold"), ("x-team-a", "1"), ("X-Tenant", "blue"), ("x-te", "no")),
    )
    for attributes in captured(run, sink, capture, wish):
        assert {key: value for key, value in attributes.items() if ".header." in key} == {
            "http.request.header.x-tenant": ["gold", "blue"],
            "http.request.header.x-team-a": ["1"],
            # Envoy joins them.
            "http.response.header.x-served": ["a,b"],
            "http.response.header.content-type": ["application/json"],
        }


@pytest.mark.parametrize("shown", [False, True])
def test_secrets_are_redacted_unless_they_are_listed(run: Run, sink: Sink, shown: bool) -> None:
    capture = {
        "request_headers": ["authorization", "a*", "c*", "p*"],
        "response_headers": ["set-cookie"],
        "unredacted": ["Authorization", "set-cookie"] if shown else [],
    }
    wish = alone(
        path=f"/stock?header=set-cookie:{SECRET}",
        headers=(
            ("authorization", SECRET),
            ("cookie", f"id={SECRET}"),
            ("proxy-authorization", SECRET),
        ),
    )
    value = SECRET if shown else "REDACTED"
    for attributes in captured(run, sink, capture, wish):
        assert attributes["http.request.header.authorization"] == [value]
        assert attributes["http.response.header.set-cookie"] == [value]
        attributes.pop("url.query")
        if not shown:
            assert SECRET not in str(attributes)
        assert "http.request.header.cookie" not in attributes
        assert "http.request.header.proxy-authorization" not in attributes


def test_bytes_become_text_and_are_cut(run: Run, sink: Sink) -> None:
    wish = alone(headers=(("x-bytes", "caf\xe9"), ("x-long", "ä" * 2000)))
    # The client sends Latin-1: each of these characters is one byte, and no UTF-8.
    for attributes in captured(run, sink, {"request_headers": ["x-bytes", "x-long"]}, wish):
        assert attributes["http.request.header.x-bytes"] == ["caf\N{REPLACEMENT CHARACTER}"]
        (long,) = attributes["http.request.header.x-long"]
        assert set(long) == {"\N{REPLACEMENT CHARACTER}"}
        assert 1022 <= len(long.encode()) <= 1024


def test_baggage_is_read_by_its_keys(run: Run, sink: Sink) -> None:
    wish = alone(
        headers=(
            ("baggage", "tenant=gold%20%26%C3%BC;ttl=5, user=alice"),
            ("baggage", "broken,region=eu"),
        )
    )
    for attributes in captured(run, sink, {"baggage": ["tenant", "region", "none"]}, wish):
        assert (attributes["tenant"], attributes["region"]) == ("gold &ü", "eu")
        assert "user" not in attributes
        assert "none" not in attributes


def test_what_arrived_counts_also_where_a_filter_rejects(run: Run, sink: Sink) -> None:
    solo = Solo(
        run,
        collector=sink.port,
        configuration=mesh.plugin(capture={"request_headers": ["x-tenant"], "baggage": ["tenant"]}),
        earlier_filters=(deny("/forbidden"),),
    )
    headers = (("x-tenant", "gold"), ("baggage", "tenant=gold"))
    solo.driver.get(alone(path="/forbidden", headers=headers, status=403))
    received = solo.settle(sink.telemetry)
    for record in (*received.spans, *received.logs):
        assert record.attributes["http.request.header.x-tenant"] == ["gold"]
        assert record.attributes["tenant"] == "gold"


def test_the_headers_of_grpc_are_metadata(run: Run, sink: Sink) -> None:
    capture = {"request_headers": ["x-tenant"], "response_headers": ["content-type"]}
    world = mesh.Mesh(run, collector=sink.port, configuration=mesh.plugin(capture=capture))
    call = mesh.grpc_call()
    call = replace(call, headers=(*call.headers, ("x-tenant", "gold")))
    world.driver.call(call, port=world.frontend.outbound)
    received = world.settle(sink.telemetry)
    assert {span.kind for span in received.spans} == {SERVER, CLIENT}
    for record in (*received.spans, *received.logs):
        assert record.attributes["rpc.request.metadata.x-tenant"] == ["gold"]
        assert record.attributes["rpc.response.metadata.content-type"] == ["application/grpc"]
        assert not any(".header." in key for key in record.attributes)


def test_a_name_that_cannot_be_is_a_configuration_error(run: Run, sink: Sink) -> None:
    capture = {"request_headers": ["x-ok", "x bad"]}
    solo = Solo(run, collector=sink.port, configuration=mesh.plugin(capture=capture))
    assert solo.driver.get(alone(sampled=False)).status == 200
    assert 'capture.request_headers[1]: found "x bad"' in solo.envoy.log
