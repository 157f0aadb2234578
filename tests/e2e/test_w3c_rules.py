"""W3C Trace Context Level 2 through a real Envoy: one test for each rule of the official suite.

Specification: https://www.w3.org/TR/trace-context-2/. The suite itself is run by
`tests/w3c/run.py`; the rules here are the same ones in our own words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from rig.process import Run
from rig.sink import Sink
from w3c import wiring
from w3c.harness import Harness, HeaderList, Outgoing

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
VALID = f"00-{TRACE}-{PARENT}-01"
UNSAMPLED = f"00-{TRACE}-{PARENT}-00"


@dataclass(frozen=True)
class Wire:
    """The way through the sidecar."""

    harness: Harness
    inbound: int

    def send(self, *headers: tuple[str, str]) -> Outgoing:
        """Send a request and return the context of the one request that it causes."""
        return self.harness.send(self.inbound, headers)[0]

    def send_for(self, calls: int, *headers: tuple[str, str]) -> list[Outgoing]:
        """Send a request and return the contexts of the `calls` requests that it causes."""
        return self.harness.send(self.inbound, headers, calls)


@pytest.fixture(scope="module")
def wire(module_run: Run) -> Iterator[Wire]:
    harness = Harness()
    with Sink() as sink:
        envoy = wiring.start(module_run, harness=harness.port, collector=sink.port)
        yield Wire(harness, envoy.inbound)
        harness.close()


def assert_continued(context: Outgoing) -> None:
    assert context.trace_id == TRACE
    assert context.parent_id != PARENT


# --- traceparent -------------------------------------------------------------------------------


def test_without_headers_a_trace_begins(wire: Wire) -> None:
    first, second = wire.send(), wire.send()
    assert first.trace_id != second.trace_id


def test_a_valid_traceparent_is_continued_with_a_new_parent_id(wire: Wire) -> None:
    assert_continued(wire.send(("traceparent", VALID)))


@pytest.mark.parametrize("name", ["TraceParent", "TrAcEpArEnT", "TRACEPARENT"])
def test_header_names_have_no_case(wire: Wire, name: str) -> None:
    assert_continued(wire.send((name, VALID)))


@pytest.mark.parametrize(
    "value", [f" {VALID}", f"\t{VALID}", f"{VALID} ", f"{VALID}\t", f"\t {VALID} \t"]
)
def test_whitespace_around_traceparent_is_no_part_of_it(wire: Wire, value: str) -> None:
    assert_continued(wire.send(("traceparent", value)))


@pytest.mark.parametrize(
    "value",
    [
        f"cc-{TRACE}-{PARENT}-01",
        f"cc-{TRACE}-{PARENT}-01-what-is-to-come",
        f"01-{TRACE}-{PARENT}-01-",
    ],
)
def test_a_future_version_is_continued_as_far_as_it_is_known(wire: Wire, value: str) -> None:
    assert_continued(wire.send(("traceparent", value)))


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(f"{VALID}.", id="version-00-with-a-dot-behind-it"),
        pytest.param(f"{VALID}-", id="version-00-with-a-hyphen-behind-it"),
        pytest.param(f"{VALID}-more", id="version-00-with-a-field-more"),
        pytest.param(f"cc-{TRACE}-{PARENT}-01.more", id="future-version-without-a-hyphen"),
        pytest.param(f"ff-{TRACE}-{PARENT}-01", id="version-ff"),
        pytest.param(f".0-{TRACE}-{PARENT}-01", id="version-not-hex-first"),
        pytest.param(f"0.-{TRACE}-{PARENT}-01", id="version-not-hex-second"),
        pytest.param(f"CC-{TRACE}-{PARENT}-01", id="version-uppercase"),
        pytest.param(f"000-{TRACE}-{PARENT}-01", id="version-3-digits"),
        pytest.param(f"0000-{TRACE}-{PARENT}-01", id="version-4-digits"),
        pytest.param(f"0-{TRACE}-{PARENT}-01", id="version-1-digit"),
        pytest.param(f"00-{'0' * 32}-{PARENT}-01", id="trace-id-zero"),
        pytest.param(f"00-.{TRACE[1:]}-{PARENT}-01", id="trace-id-not-hex-first"),
        pytest.param(f"00-{TRACE[:-1]}.-{PARENT}-01", id="trace-id-not-hex-last"),
        pytest.param(f"00-{TRACE.upper()}-{PARENT}-01", id="trace-id-uppercase"),
        pytest.param(f"00-{TRACE}3-{PARENT}-01", id="trace-id-33-digits"),
        pytest.param(f"00-{TRACE[:-1]}-{PARENT}-01", id="trace-id-31-digits"),
        pytest.param(f"00-{TRACE}-{'0' * 16}-01", id="parent-id-zero"),
        pytest.param(f"00-{TRACE}-.{PARENT[1:]}-01", id="parent-id-not-hex-first"),
        pytest.param(f"00-{TRACE}-{PARENT[:-1]}.-01", id="parent-id-not-hex-last"),
        pytest.param(f"00-{TRACE}-{PARENT.upper()}-01", id="parent-id-uppercase"),
        pytest.param(f"00-{TRACE}-{PARENT}7-01", id="parent-id-17-digits"),
        pytest.param(f"00-{TRACE}-{PARENT[:-1]}-01", id="parent-id-15-digits"),
        pytest.param(f"00-{TRACE}-{PARENT}-.0", id="flags-not-hex-first"),
        pytest.param(f"00-{TRACE}-{PARENT}-0.", id="flags-not-hex-second"),
        pytest.param(f"00-{TRACE}-{PARENT}-0A", id="flags-uppercase"),
        pytest.param(f"00-{TRACE}-{PARENT}-001", id="flags-3-digits"),
        pytest.param(f"00-{TRACE}-{PARENT}-1", id="flags-1-digit"),
        pytest.param("", id="empty"),
    ],
)
def test_an_invalid_traceparent_is_replaced_by_a_new_trace(wire: Wire, value: str) -> None:
    context = wire.send(("traceparent", value), ("tracestate", "foo=1"))
    assert context.trace_id[:30] not in value.lower()
    assert ("foo", "1") not in context.members


@pytest.mark.parametrize("name", ["trace-parent", "trace.parent"])
def test_another_header_name_is_no_traceparent(wire: Wire, name: str) -> None:
    assert wire.send((name, VALID)).trace_id != TRACE


def test_two_traceparents_are_replaced_by_a_new_trace(wire: Wire) -> None:
    other = TRACE[:-1] + "d"
    context = wire.send(("traceparent", VALID), ("traceparent", f"00-{other}-{PARENT}-01"))
    assert context.trace_id not in {TRACE, other}
    assert wire.send(("traceparent", VALID), ("traceparent", VALID)).trace_id != TRACE


def test_the_random_flag_is_passed_on(wire: Wire) -> None:
    context = wire.send(("traceparent", f"00-{TRACE}-{PARENT}-02"))
    assert_continued(context)
    assert context.flags & 0x02


def test_unknown_flags_are_not_passed_on(wire: Wire) -> None:
    context = wire.send(("traceparent", f"00-{TRACE}-{PARENT}-ff"))
    assert_continued(context)
    assert context.flags == 0x03


def test_the_sampling_decision_is_passed_on(wire: Wire) -> None:
    assert wire.send(("traceparent", VALID)).flags & 0x01
    assert not wire.send(("traceparent", UNSAMPLED)).flags & 0x01


def test_a_new_trace_has_the_random_flag(wire: Wire) -> None:
    assert wire.send().flags & 0x02


@pytest.mark.parametrize("traceparent", [None, VALID, f"00-{'0' * 32}-{PARENT}-01"])
def test_every_outgoing_request_has_a_parent_id_of_its_own(
    wire: Wire, traceparent: str | None
) -> None:
    headers = [("traceparent", traceparent)] if traceparent else []
    contexts = wire.send_for(3, *headers)
    assert len({context.parent_id for context in contexts}) == 3
    assert len({context.trace_id for context in contexts}) == 1
    assert (contexts[0].trace_id == TRACE) == (traceparent == VALID)


# --- tracestate --------------------------------------------------------------------------------


def with_state(wire: Wire, *values: str, traceparent: str = UNSAMPLED) -> list[tuple[str, str]]:
    """Send these tracestate headers in a valid trace and return the outgoing entries."""
    headers: HeaderList = [("traceparent", traceparent), *(("tracestate", v) for v in values)]
    context = wire.send(*headers)
    assert_continued(context)
    return list(context.members)


def test_tracestate_without_traceparent_is_discarded(wire: Wire) -> None:
    one = wire.send(("tracestate", "foo=1"))
    two = wire.send(("tracestate", "foo=1,bar=2"))
    assert len(one.members) == len(two.members)
    assert "foo" not in dict(one.members)


def test_tracestate_is_inherited(wire: Wire) -> None:
    assert with_state(wire, "foo=1,bar=2") == [("foo", "1"), ("bar", "2")]


@pytest.mark.parametrize("name", ["trace-state", "trace.state"])
def test_another_header_name_is_no_tracestate(wire: Wire, name: str) -> None:
    context = wire.send(("traceparent", UNSAMPLED), (name, "foo=1"))
    assert_continued(context)
    assert "foo" not in dict(context.members)


@pytest.mark.parametrize("name", ["TraceState", "TrAcEsTaTe", "TRACESTATE"])
def test_tracestate_names_have_no_case(wire: Wire, name: str) -> None:
    context = wire.send(("traceparent", UNSAMPLED), (name, "foo=1"))
    assert ("foo", "1") in context.members


@pytest.mark.parametrize(
    ("values", "members"), [([""], []), (["foo=1", ""], ["foo"]), (["", "foo=1"], ["foo"])]
)
def test_an_empty_tracestate_adds_nothing(
    wire: Wire, values: list[str], members: list[str]
) -> None:
    assert [key for key, _ in with_state(wire, *values)] == members


def test_empty_entries_are_legal(wire: Wire) -> None:
    assert with_state(wire, "foo=1,,bar=2, ,") == [("foo", "1"), ("bar", "2")]


def test_several_tracestate_headers_combine_in_order(wire: Wire) -> None:
    found = with_state(wire, "foo=1,bar=2", "rojo=1,congo=2", "baz=3")
    assert [key for key, _ in found] == ["foo", "bar", "rojo", "congo", "baz"]


@pytest.mark.parametrize("values", [["foo=1,foo=1"], ["foo=1,foo=2"], ["foo=1", "foo=2"]])
def test_a_repeated_key_does_not_discard_the_list(wire: Wire, values: list[str]) -> None:
    found = with_state(wire, *values)
    assert {key for key, _ in found} == {"foo"}
    assert {content for _, content in found} <= {"1", "2"}


LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789_-*/"
PRINTABLE = "".join(chr(c) for c in range(0x20, 0x7F) if chr(c) not in ",=")


@pytest.mark.parametrize("key", [LETTERS, f"{LETTERS}@a-z0-9_-*/", "0", "1a"])
def test_every_legal_character_is_inherited(wire: Wire, key: str) -> None:
    assert with_state(wire, f"{key}={PRINTABLE}") == [(key, PRINTABLE)]


@pytest.mark.parametrize(
    "state", ["foo=1 \t , \t bar=2, \t baz=3", "foo=1\t \t,\t \tbar=2,\t \tbaz=3"]
)
def test_whitespace_between_entries_is_no_part_of_them(wire: Wire, state: str) -> None:
    assert with_state(wire, state) == [("foo", "1"), ("bar", "2"), ("baz", "3")]


@pytest.mark.parametrize("state", [" foo=1", "\tfoo=1", "foo=1 ", "foo=1\t", "\t foo=1 \t"])
def test_whitespace_around_tracestate_is_no_part_of_it(wire: Wire, state: str) -> None:
    assert with_state(wire, state) == [("foo", "1")]


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param("foo =1", id="space-in-the-key"),
        pytest.param("FOO=1", id="uppercase-key"),
        pytest.param("foo.bar=1", id="dot-in-the-key"),
        pytest.param("@foo=1", id="at-sign-first"),
        pytest.param("-foo=1", id="hyphen-first"),
        pytest.param("=1", id="no-key"),
        pytest.param("foo", id="no-equals-sign"),
        pytest.param("foo=bar=baz", id="equals-sign-in-the-value"),
        pytest.param("foo=", id="no-value"),
        pytest.param(f"{'z' * 257}=1", id="key-257-characters"),
        pytest.param(f"foo={'v' * 257}", id="value-257-characters"),
    ],
)
@pytest.mark.parametrize("order", ["before", "behind"])
def test_an_illegal_entry_discards_the_whole_list(wire: Wire, entry: str, order: str) -> None:
    legal = "bar=2"
    state = f"{entry},{legal}" if order == "before" else f"{legal},{entry}"
    assert with_state(wire, state) == []


@pytest.mark.parametrize("key", ["foo@", "foo@@bar", "foo@bar@baz"])
def test_at_signs_inside_a_key_are_legal(wire: Wire, key: str) -> None:
    assert with_state(wire, f"{key}=1,bar=2") == [(key, "1"), ("bar", "2")]


@pytest.mark.parametrize(
    "key", ["z" * 256, f"{'t' * 241}@{'v' * 14}", f"{'t' * 242}@v", f"t@{'v' * 15}"]
)
def test_a_key_may_have_256_characters(wire: Wire, key: str) -> None:
    assert with_state(wire, "foo=1", f"{key}=1") == [("foo", "1"), (key, "1")]


def members(first: int, last: int) -> str:
    return ",".join(f"bar{n:02}={n:02}" for n in range(first, last + 1))


def test_32_entries_are_inherited(wire: Wire) -> None:
    found = with_state(wire, members(1, 10), members(11, 20), members(21, 30), members(31, 32))
    assert len(found) == 32
    assert found[0] == ("bar01", "01")


def test_33_entries_discard_the_list(wire: Wire) -> None:
    assert with_state(wire, members(1, 10), members(11, 20), members(21, 33)) == []


def test_512_characters_are_propagated(wire: Wire) -> None:
    state = [(f"key{n}", "v" * 120) for n in range(4)]
    text = ",".join(f"{key}={content}" for key, content in state)
    assert len(text) >= 500
    assert with_state(wire, text) == state
