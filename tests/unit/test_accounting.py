"""The account itself: it has to fail where something is lost, too much, or linked wrongly."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rig import accounting
from rig.accounting import Account
from rig.driver import Made, Wish, chain
from rig.envoy import FilterStats, SignalCounts
from rig.records import LogRecord, Span, Telemetry

WISH = Wish("plain", "/", chain("frontend", "cart"))
MADE = [Made(WISH, "m1", 200, 0)]
TRACE = "0af7651916cd43dd8448eb211c80319c"


def whole() -> Telemetry:
    """Return what the request demands."""
    found = Telemetry()
    parent = ""
    for number, hop in enumerate(WISH.hops, start=1):
        span_id = f"{number:016x}"
        attributes = {"url.query": "request=m1"}
        resource = {"service.name": hop.service}
        span = Span(
            TRACE, span_id, parent, "GET", hop.kind, 1, 2, attributes, 0, "", 1, "", resource,
            "spanmesh-filter", "0", "",
        )  # fmt: skip
        found.spans.append(span)
        found.logs.append(
            LogRecord(
                TRACE,
                span_id,
                1,
                1,
                2,
                9,
                "INFO",
                "e",
                "body",
                attributes,
                resource,
                "spanmesh-filter",
                "0",
                "",
            )  # fmt: skip
        )
        parent = span_id
    return found


def counted(**spans: int) -> list[FilterStats]:
    """Return a filter's statistics: all sent, but for what is given for the spans."""
    all_sent = SignalCounts(emitted=3, sent=3)
    return [FilterStats(replace(all_sent, **spans), all_sent, 0, 0)]


def take(received: Telemetry, made: list[Made] = MADE, **options: object) -> Account:
    return accounting.take(made, received, filters=counted(), **options)  # type: ignore[arg-type]


def test_a_whole_trace_holds() -> None:
    account = take(whole())
    account.check()
    assert account.complete_traces == 1
    assert (account.spans.demanded, account.spans.received) == (3, 3)


@pytest.mark.parametrize("signal", ["spans", "logs"])
def test_a_missing_record_is_a_problem(signal: str) -> None:
    received = whole()
    getattr(received, signal).pop()
    with pytest.raises(AssertionError, match="missing"):
        take(received).check()


@pytest.mark.parametrize("signal", ["spans", "logs"])
def test_a_repeated_record_is_a_problem_unless_it_may_be(signal: str) -> None:
    received = whole()
    records = getattr(received, signal)
    records.append(records[0])
    with pytest.raises(AssertionError, match="more than once"):
        take(received).check()
    take(received, duplicates=True).check()


@pytest.mark.parametrize("signal", ["spans", "logs"])
def test_a_record_that_nobody_asked_for_is_a_problem(signal: str) -> None:
    received = whole()
    records = getattr(received, signal)
    records.append(replace(records[0], span_id="f" * 16, attributes={}))
    with pytest.raises(AssertionError, match="no request demands"):
        take(received).check()
    records[-1] = replace(records[0], span_id="f" * 16)
    with pytest.raises(AssertionError, match="too many"):
        take(received).check()


def test_an_orphan_is_a_problem() -> None:
    received = whole()
    received.spans[1] = replace(received.spans[1], parent_span_id="f" * 16)
    account = take(received)
    assert account.orphans == 1
    with pytest.raises(AssertionError, match="the parent of"):
        account.check()


def test_a_trace_in_two_parts_is_a_problem() -> None:
    received = whole()
    received.spans[2] = replace(received.spans[2], trace_id="f" * 32)
    with pytest.raises(AssertionError, match="several traces"):
        take(received).check()


def test_a_log_with_other_ids_is_a_problem() -> None:
    received = whole()
    received.logs[0] = replace(received.logs[0], span_id="f" * 16)
    with pytest.raises(AssertionError, match="ids of no span"):
        take(received).check()


def test_another_answer_than_expected_is_a_problem() -> None:
    with pytest.raises(AssertionError, match="answered None, expected 200"):
        take(whole(), [replace(MADE[0], status=None)]).check()


@pytest.mark.parametrize(
    ("counts", "problem"),
    [
        ({"emitted": 4}, "emitted 4, demanded are 3"),
        ({"sent": 2}, "1 neither sent nor dropped"),
        ({"sent": 2, "queue_full": 1}, "missing are 0"),
    ],
)
def test_counters_that_disagree_are_a_problem(counts: dict[str, int], problem: str) -> None:
    with pytest.raises(AssertionError, match=problem):
        accounting.take(MADE, whole(), filters=counted(**counts)).check()


def test_what_the_filter_leaves_out_is_neither_missing_nor_forgotten() -> None:
    received = whole()
    received.logs.clear()
    made = [replace(MADE[0], wish=replace(WISH, logged=False))]
    (all_sent,) = counted()
    filters = [replace(all_sent, logs=SignalCounts(filtered=3))]
    accounting.take(made, received, filters=filters).check()
    with pytest.raises(AssertionError, match="left out 0, demanded are 3"):
        accounting.take(made, received, filters=[replace(filters[0], logs=SignalCounts())]).check()
    with pytest.raises(AssertionError, match="too many"):
        accounting.take(made, whole(), filters=filters).check()


def test_a_counted_loss_holds_where_loss_may_be() -> None:
    received = whole()
    received.spans.pop()
    filters = counted(sent=2, queue_full=1)
    accounting.take(MADE, received, filters=filters, lossy=True).check()
    with pytest.raises(AssertionError):
        accounting.take(MADE, received, filters=filters).check()
    with pytest.raises(AssertionError, match="missing are 1"):
        accounting.take(MADE, received, filters=counted(), lossy=True).check()
