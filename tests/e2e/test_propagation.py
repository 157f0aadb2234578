"""B3 in both forms, and W3C beside it, through a real Envoy: what goes in, what comes out.

Specification: https://github.com/openzipkin/b3-propagation. W3C alone: `test_w3c_rules`.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from rig import http
from rig.driver import Parent
from rig.mesh import Solo, alone, plugin
from rig.process import Run
from rig.sink import Sink

pytestmark = pytest.mark.core

B3, MULTI, BOTH, ALL = "b3", "b3multi", "tracecontext,b3", "tracecontext,b3,b3multi"
B3_FIRST = "b3,tracecontext"

TRACE = "463ac35c9f6413ad48485a3953bb6124"
SPAN = "a2fb4a1d1a96d312"
HALF = TRACE[16:]


@dataclass(frozen=True)
class Wire:
    """The sidecars, one for each list of propagators."""

    solos: dict[str, Solo]

    def send(self, propagators: str, *headers: tuple[str, str]) -> dict[str, str]:
        """Send a request and return the headers that the service received."""
        answer = http.request(self.solos[propagators].envoy.inbound, "/headers", headers=headers)
        assert answer.status == 200
        received = [(name.lower(), value) for name, value in answer.json["headers"]]
        assert len(received) == len(dict(received)), f"a header is there twice: {received}"
        return dict(received)


@pytest.fixture(scope="module")
def wire(module_run: Run) -> Wire:
    solos = {}
    for propagators in (B3, MULTI, BOTH, B3_FIRST, ALL):
        sink = Sink().start()
        module_run.on_close(sink.stop)
        solos[propagators] = Solo(
            module_run,
            collector=sink.port,
            configuration=plugin(propagators=propagators.split(",")),
            concurrency=1,
        )
    return Wire(solos)


def single(value: str) -> tuple[str, str, str]:
    """Split a single header that has to have ids and a state."""
    trace_id, span_id, state = value.split("-")
    assert len(trace_id) == 32
    assert len(span_id) == 16
    return trace_id, span_id, state


def multi(trace_id: str = TRACE, **more: str) -> list[tuple[str, str]]:
    return [
        ("X-B3-TraceId", trace_id),
        ("X-B3-SpanId", SPAN),
        *(("X-B3-" + k, v) for k, v in more.items()),
    ]


@pytest.mark.parametrize(("state", "passed_on"), [("-1", "1"), ("-0", "0"), ("-d", "d"), ("", "1")])
def test_single_passes_the_state_on(wire: Wire, state: str, passed_on: str) -> None:
    received = wire.send(B3, ("b3", f"{TRACE}-{SPAN}{state}"))
    trace_id, span_id, found = single(received["b3"])
    assert (trace_id, found) == (TRACE, passed_on)
    assert span_id != SPAN


def test_single_does_not_pass_the_parent_on(wire: Wire) -> None:
    received = wire.send(B3, ("b3", f"{TRACE}-{SPAN}-1-05e3ac9a4f6e3b90"))
    assert single(received["b3"])[0] == TRACE


def test_single_pads_64_bit_ids(wire: Wire) -> None:
    received = wire.send(B3, ("b3", f"{HALF}-{SPAN}-1"))
    assert single(received["b3"])[0] == "0" * 16 + HALF


@pytest.mark.parametrize(("value", "state"), [("0", "0"), ("1", "1"), ("d", "d")])
def test_single_without_ids_decides_for_a_new_trace(wire: Wire, value: str, state: str) -> None:
    trace_id, _, found = single(wire.send(B3, ("b3", value))["b3"])
    assert trace_id != "0" * 32
    assert found == state


@pytest.mark.parametrize(
    "value",
    [
        "",
        "2",
        "deny",
        f"{TRACE}",
        f"{TRACE}-{SPAN}-2",
        f"{TRACE}-{'0' * 16}-1",
        f"{'0' * 32}-{SPAN}-1",
        f"{TRACE.upper()}-{SPAN}-1",
        f"{TRACE}0-{SPAN}-1",
        f"{TRACE}-{SPAN}0-1",
        f"{TRACE}-{SPAN}-1-",
        f"{TRACE}-{SPAN}-1-05e3ac9a4f6e3b90-1",
    ],
)
def test_an_invalid_single_header_is_replaced_by_a_new_trace(wire: Wire, value: str) -> None:
    assert single(wire.send(B3, ("b3", value))["b3"])[0] not in {TRACE, TRACE.upper()}


@pytest.mark.parametrize(
    ("sampled", "passed_on"), [("1", "1"), ("0", "0"), ("true", "1"), ("false", "0")]
)
def test_multi_passes_the_state_on(wire: Wire, sampled: str, passed_on: str) -> None:
    received = wire.send(MULTI, *multi(Sampled=sampled))
    assert received["x-b3-traceid"] == TRACE
    assert received["x-b3-spanid"] != SPAN
    assert received["x-b3-sampled"] == passed_on


def test_multi_decides_what_was_deferred(wire: Wire) -> None:
    received = wire.send(MULTI, *multi())
    assert received["x-b3-traceid"] == TRACE
    assert received["x-b3-sampled"] == "1"


def test_multi_passes_debug_on_without_the_sampled_header(wire: Wire) -> None:
    received = wire.send(MULTI, *multi(Flags="1"))
    assert received["x-b3-traceid"] == TRACE
    assert received["x-b3-flags"] == "1"
    assert "x-b3-sampled" not in received


def test_multi_does_not_pass_the_parent_on(wire: Wire) -> None:
    received = wire.send(MULTI, *multi(ParentSpanId="05e3ac9a4f6e3b90", Sampled="1"))
    assert "x-b3-parentspanid" not in received


def test_multi_pads_64_bit_ids(wire: Wire) -> None:
    received = wire.send(MULTI, *multi(HALF, Sampled="1"))
    assert received["x-b3-traceid"] == "0" * 16 + HALF


def test_multi_without_ids_decides_for_a_new_trace(wire: Wire) -> None:
    received = wire.send(MULTI, ("X-B3-Sampled", "0"))
    assert received["x-b3-sampled"] == "0"
    assert len(received["x-b3-traceid"]) == 32


def test_an_invalid_multi_header_is_replaced_by_a_new_trace(wire: Wire) -> None:
    received = wire.send(MULTI, *multi(TRACE[:-1] + "x", Sampled="1"))
    assert received["x-b3-traceid"][:31] != TRACE[:31]


def test_without_headers_every_form_is_injected_alike(wire: Wire) -> None:
    received = wire.send(ALL)
    _, trace_id, span_id, _ = received["traceparent"].split("-")
    assert received["b3"] == f"{trace_id}-{span_id}-1"
    assert received["x-b3-traceid"] == trace_id
    assert received["x-b3-spanid"] == span_id
    assert received["x-b3-sampled"] == "1"


def test_b3_in_gives_w3c_out_too(wire: Wire) -> None:
    received = wire.send(BOTH, ("b3", f"{TRACE}-{SPAN}-0"))
    assert single(received["b3"])[0] == TRACE
    assert received["traceparent"].split("-")[1] == TRACE
    assert received["traceparent"][-2:] == "00"


@pytest.mark.parametrize(("propagators", "winner"), [(BOTH, "w3c"), (B3_FIRST, "b3")])
def test_the_first_format_that_is_valid_wins(wire: Wire, propagators: str, winner: str) -> None:
    parent = Parent.new()
    received = wire.send(propagators, parent.traceparent(), ("b3", f"{TRACE}-{SPAN}-1"))
    expected = parent.trace_id if winner == "w3c" else TRACE
    assert received["traceparent"].split("-")[1] == expected
    assert single(received["b3"])[0] == expected


def test_an_invalid_format_is_passed_over(wire: Wire) -> None:
    received = wire.send(BOTH, ("traceparent", "00-nonsense"), ("b3", f"{TRACE}-{SPAN}-1"))
    assert received["traceparent"].split("-")[1] == TRACE
    parent = Parent.new()
    received = wire.send(B3_FIRST, ("b3", "nonsense"), parent.traceparent())
    assert single(received["b3"])[0] == parent.trace_id


def test_if_no_format_is_valid_a_new_trace_begins(wire: Wire) -> None:
    received = wire.send(BOTH, ("traceparent", f"ff-{TRACE}-{SPAN}-01"), ("b3", "nonsense"))
    assert received["traceparent"].split("-")[1] not in {TRACE, "nonsense"}
    assert single(received["b3"])[0] == received["traceparent"].split("-")[1]


def test_spans_and_logs_follow_what_the_headers_say(run: Run, sink: Sink) -> None:
    solo = Solo(run, collector=sink.port, configuration=plugin(propagators=["b3", "b3multi"]))
    continued = Parent(TRACE, SPAN)
    half = Parent("0" * 16 + HALF, SPAN)
    wishes = [
        alone("accept", headers=(("b3", f"{TRACE}-{SPAN}-1"),), parent=continued),
        alone("debug", headers=(("b3", f"{TRACE}-{SPAN}-d"),), parent=continued),
        alone("defer", headers=(("b3", f"{TRACE}-{SPAN}"),), parent=continued),
        alone("64 bits", headers=(("b3", f"{HALF}-{SPAN}-1"),), parent=half),
        alone("multi", headers=tuple(multi(Sampled="1")), parent=continued),
        alone("deny", headers=(("b3", f"{TRACE}-{SPAN}-0"),), sampled=False),
        alone("deny without ids", headers=(("b3", "0"),), sampled=False),
        alone("accept without ids", headers=(("b3", "1"),)),
        alone("invalid", headers=(("b3", "nonsense"),)),
        alone("nothing"),
    ]
    made = {wish.label: solo.driver.get(wish) for wish in wishes}
    received = solo.settle(sink.telemetry)

    denied = received.logs_of_request(made["deny"].mark or "")
    assert [(record.trace_id, record.flags & 1) for record in denied] == [(TRACE, 0)]
    debugged = received.of_request(made["debug"].mark or "")
    assert [span.flags & 1 for span in debugged] == [1]
    # A padded id has no random half: the flag that promises one is not set.
    padded = received.of_request(made["64 bits"].mark or "")
    assert [span.flags & 2 for span in padded] == [0]
