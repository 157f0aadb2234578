"""What the collector makes of each answer of a next hop: again, never again, or not at all.

What was acknowledged arrives, or is counted as dropped with the reason; told by the spans' ids.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import grpc
import pytest
from rig.collector import Collector
from rig.http_sink import HttpBehaviour, HttpSink
from rig.next_hop import grpc_exporter, http_exporter, once, send, settled, start
from rig.process import Run, wait_for
from rig.sink import Behaviour, Sink

CODES = grpc.StatusCode

GRPC_ANSWERS = [
    (CODES.CANCELLED, None, True),
    (CODES.DEADLINE_EXCEEDED, None, True),
    (CODES.ABORTED, None, True),
    (CODES.OUT_OF_RANGE, None, True),
    (CODES.UNAVAILABLE, None, True),
    (CODES.UNAVAILABLE, 0.05, True),
    (CODES.DATA_LOSS, None, True),
    (CODES.RESOURCE_EXHAUSTED, 0.05, True),
    (CODES.RESOURCE_EXHAUSTED, None, False),
    (CODES.UNKNOWN, None, False),
    (CODES.INVALID_ARGUMENT, None, False),
    # A hint makes nothing retryable that is not.
    (CODES.INVALID_ARGUMENT, 0.05, False),
    (CODES.NOT_FOUND, None, False),
    (CODES.ALREADY_EXISTS, None, False),
    (CODES.PERMISSION_DENIED, None, False),
    (CODES.FAILED_PRECONDITION, None, False),
    (CODES.UNIMPLEMENTED, None, False),
    (CODES.INTERNAL, None, False),
    (CODES.UNAUTHENTICATED, None, False),
]


class Trial:
    """Sends one span after the other to a hop that fails each of them at first."""

    def __init__(self, collector: Collector, sink: Sink | HttpSink) -> None:
        self.collector = collector
        self.sink = sink
        self.taking = sink.behaviour
        self.accepted = 0
        self.delivered: set[bytes] = set()
        self.dropped: Counter[str] = Counter()

    def retried(self, failing: Any, label: str, tries: int) -> None:
        """Send a span that is tried so often, and delivered when the hop takes it."""
        before = self._send(failing)
        wait_for(lambda: self.sink.requests >= before + tries, f"{label}: it was tried again")
        self.sink.behaviour = self.taking
        self.delivered.add(self.accepted.to_bytes(8, "big"))
        self._settle(label)

    def refused(self, failing: Any, label: str, reason: str) -> None:
        """Send a span that is tried once, and counted as dropped."""
        before = self._send(failing)
        self.dropped[reason] += 1
        self._settle(label)
        assert self.sink.requests == before + 1, f"{label}: it was tried again"

    def _send(self, failing: Any) -> int:
        self.sink.behaviour = failing
        before = self.sink.requests
        self.accepted += 1
        send(self.collector, range(self.accepted, self.accepted + 1))
        return before

    def _settle(self, label: str) -> None:
        wait_for(lambda: settled(self.collector, self.accepted, self.dropped), label)
        assert once(self.sink) == self.delivered


def test_each_code_of_grpc_is_retried_or_counted_as_dropped(run: Run, sink: Sink) -> None:
    collector = start(run, grpc_exporter(sink.port), timeout="1ms")
    trial = Trial(collector, sink)
    for code, hint, retryable in GRPC_ANSWERS:
        failing = Behaviour(fail=code, retry_after=hint)
        label = f"{code.name}, hint {hint}"
        if retryable:
            trial.retried(failing, label, 3)
        else:
            trial.refused(failing, label, "refused_by_destination")
    assert collector.stop() == 0


HTTP_ANSWERS = [
    (429, None, True),
    (429, 1, True),
    (502, None, True),
    (503, None, True),
    (503, 1, True),
    (504, None, True),
    (301, None, False),
    (400, None, False),
    (401, None, False),
    (403, None, False),
    (404, None, False),
    (405, None, False),
    (408, None, False),
    (413, None, False),
    (415, None, False),
    (422, None, False),
    (500, None, False),
    (500, 1, False),
    (501, None, False),
    (505, None, False),
]


def test_each_code_of_http_is_retried_or_counted_as_dropped(run: Run) -> None:
    with HttpSink() as sink:
        collector = start(run, http_exporter(sink.port), timeout="1ms")
        trial = Trial(collector, sink)
        for status, hint, retryable in HTTP_ANSWERS:
            failing = HttpBehaviour(status=status, retry_after=hint)
            label = f"{status}, hint {hint}"
            if retryable:
                # A hint is in whole seconds.
                trial.retried(failing, label, 2 if hint else 3)
            else:
                reason = "too_large" if status == 413 else "refused_by_destination"
                trial.refused(failing, label, reason)
        assert collector.stop() == 0


@pytest.mark.parametrize("size", [4_000_000, 5_000_000])
@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_an_answer_of_more_than_4_mib_is_no_success_and_ends_it(
    run: Run, transport: str, size: int
) -> None:
    made: Sink | HttpSink = Sink() if transport == "grpc" else HttpSink()
    exporter = grpc_exporter if transport == "grpc" else http_exporter
    with made as sink:
        made.behaviour = made.behaviour.__class__(warning_bytes=size)
        collector = start(run, exporter(sink.port))
        send(collector, range(1, 11))
        dropped = {"refused_by_destination": 10} if size > 4 << 20 else {}
        wait_for(lambda: settled(collector, 10, dropped), "the account")
        # It took them, so that another attempt would double them.
        assert (sink.requests, len(once(sink))) == (1, 10)
        assert collector.stop() == 0
