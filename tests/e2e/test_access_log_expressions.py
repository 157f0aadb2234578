"""What users say about access log records in CEL: which there are, and what is in them."""

from __future__ import annotations

from typing import Any

import pytest
from rig import mesh
from rig.driver import Parent
from rig.mesh import Solo, alone
from rig.process import Run, wait_for
from rig.sink import Sink


def solo_with(run: Run, sink: Sink, **access_log: Any) -> Solo:
    return Solo(run, collector=sink.port, configuration=mesh.plugin(access_log=access_log))


@pytest.mark.core
def test_only_requests_for_which_the_filter_holds_are_logged(run: Run, sink: Sink) -> None:
    solo = solo_with(run, sink, filter="response.code >= 400 || request.headers['x-log'] == 'yes'")
    parent = Parent.new()
    solo.driver.load(
        [
            alone(path="/stock?fail=404", status=404),
            alone(path="/stock?fail=503", status=503),
            alone(headers=(("x-log", "yes"),)),
            alone(headers=(("x-log", "no"),), logged=False),
            # Here it fails: there is no such header.
            alone(logged=False),
            # Without a span nothing at all is made.
            alone(
                headers=(parent.traceparent("00"), ("x-log", "no")),
                parent=parent,
                sampled=False,
                logged=False,
            ),
        ]
    )
    logs = solo.settle(sink.telemetry).logs
    codes = sorted(record.attributes["http.response.status_code"] for record in logs)
    assert codes == [200, 404, 503]
    stats = solo.envoy.raw_filter_stats()
    assert (stats["logs.filtered"], stats["expressions.failed"]) == (3, 1)
    assert solo.envoy.log.count("pluginConfig.access_log.filter fails on a request") == 1


@pytest.mark.core
def test_a_value_keeps_its_type(run: Run, sink: Sink) -> None:
    expressions = {
        "a.string": "request.method + '!'",
        "a.eight": "'8 bytes!'",
        "a.int": "response.code",
        "a.negative": "-5",
        "a.uint": "connection.id",
        "a.double": "double(response.code) / 8.0",
        "a.bool": "response.code == 200",
        "a.bytes": "b'caf\\303\\251'",
        "a.duration": "duration('1.5s')",
        "a.timestamp": "timestamp('2026-11-21T09:30:00.5Z')",
        "a.texts": "['x', 'y,z']",
        "a.ints": "[1, 2]",
        "a.empty_list": "[]",
        "a.null": "null",
        "a.empty": "''",
        "a.comment": "1 // one",
        "url.path": "'/standard'",
    }
    solo = solo_with(
        run, sink, body="request.method + ' ' + string(response.code)", attributes=expressions
    )
    solo.driver.get(alone())
    received = solo.settle(sink.telemetry)
    (record,) = received.logs
    added = {key: value for key, value in record.attributes.items() if key[:2] == "a."}
    connection = added.pop("a.uint")
    assert isinstance(connection, int)
    assert added == {
        "a.string": "GET!",
        "a.eight": "8 bytes!",
        "a.int": 200,
        "a.negative": -5,
        "a.double": 25.0,
        "a.bool": True,
        "a.bytes": "café",
        "a.duration": 1.5,
        "a.timestamp": "2026-11-21T09:30:00.500Z",
        "a.texts": ["x", "y,z"],
        "a.ints": ["1", "2"],
        "a.empty_list": [],
        "a.comment": 1,
    }
    assert {type(added[key]) for key in ("a.int", "a.negative", "a.comment")} == {int}
    assert record.body == "GET 200"
    # A name of the filter's own: the user's value takes its place. Spans stay what they are.
    assert record.attributes["url.path"] == "/standard"
    assert received.spans[0].attributes["url.path"] == "/stock"
    assert solo.envoy.raw_filter_stats()["expressions.failed"] == 0


@pytest.mark.core
def test_an_expression_that_fails_costs_only_its_own_value(run: Run, sink: Sink) -> None:
    attributes = {
        "a.header": "request.headers['x-tenant']",
        "a.map": "request.headers",
        "a.message": "xds.node",
        "a.code": "response.code",
        "url.path": "request.headers['x-path']",
    }
    solo = solo_with(run, sink, body="request.headers['x-body']", attributes=attributes)
    solo.driver.get(alone())
    headers = (("x-tenant", "gold"), ("x-path", "/other"), ("x-body", "all is well"))
    solo.driver.get(alone(headers=headers))
    without, with_headers = sorted(
        solo.settle(sink.telemetry).logs, key=lambda record: "a.header" in record.attributes
    )
    for record in (without, with_headers):
        assert record.attributes["a.code"] == 200
        assert record.attributes["http.request.method"] == "GET"
        assert not {"a.map", "a.message"} & record.attributes.keys()
    assert "a.header" not in without.attributes
    assert without.attributes["url.path"] == "/stock"
    assert '"GET /stock?' in without.body
    assert with_headers.attributes["a.header"] == "gold"
    assert with_headers.attributes["url.path"] == "/other"
    assert with_headers.body == "all is well"
    # Each of the two types that cannot be shown once a request, the three headers once.
    assert solo.envoy.raw_filter_stats()["expressions.failed"] == 2 * 2 + 3


def test_the_filter_is_asked_at_the_end_of_a_stream(run: Run, sink: Sink) -> None:
    solo = solo_with(run, sink, filter="request.duration > duration('2s')")
    solo.driver.load([alone(path="/stock?delay_ms=2200"), alone(logged=False)])
    (record,) = solo.settle(sink.telemetry).logs
    assert record.attributes["spanmesh.duration_ms"] >= 2000


def test_an_expression_that_does_not_parse_is_a_configuration_error(run: Run, sink: Sink) -> None:
    solo = Solo(run, collector=sink.port, delivery="ecds")
    cases: list[tuple[str, dict[str, Any]]] = [
        ("filter", {"filter": "response.code >="}),
        ("body", {"body": "'a"}),
        ("attributes.a.b", {"attributes": {"a.b": "1, 2"}}),
        # Each has to parse by itself, whatever it would come to among the others.
        ("attributes.c", {"attributes": {"c": "1), (2"}}),
        ("filter", {"enabled": False, "filter": "("}),
    ]
    for number, (path, access_log) in enumerate(cases, 1):
        solo.update(mesh.plugin(access_log=access_log))
        wait_for(lambda least=number: solo.envoy.update_counts()[1] >= least, "it was refused")
        said = f"pluginConfig.access_log.{path}: found"
        wait_for(lambda text=said: text in solo.envoy.log, "the log says where")
    solo.driver.get(alone())
    solo.settle(sink.telemetry)
