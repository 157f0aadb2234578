"""The account: what the driver's requests demand against what arrived and what was counted.

Records are counted by distinct ids, repeated deliveries apart. The filter's and the collector's
own counters have to agree with what the driver saw; neither is believed alone:

    filter     emitted = sent + rejected + dropped{reason} + queued, filtered apart
    collector  accepted = sent + dropped{reason} + queued, refused apart
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from rig.collector import Metrics
from rig.driver import Hop, Made
from rig.envoy import FilterStats, SignalCounts
from rig.records import KIND_NAMES, LogRecord, Span, Telemetry


@dataclass
class SignalAccount:
    """One signal's account."""

    name: str
    demanded: int = 0
    received: int = 0
    """Distinct records that arrived and were demanded."""
    duplicates: int = 0
    missing: int = 0
    filtered: int = 0
    """Records that the filter's condition has to leave out."""
    surplus: int = 0
    """Records that arrived and that no request demands."""
    filters: SignalCounts = field(default_factory=SignalCounts)


@dataclass
class Account:
    """The account of a run. It holds if there is no problem."""

    spans: SignalAccount = field(default_factory=lambda: SignalAccount("spans"))
    logs: SignalAccount = field(default_factory=lambda: SignalAccount("logs"))
    requests: int = 0
    complete_traces: int = 0
    orphans: int = 0
    problems: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Fail with every problem, if there is one."""
        if self.problems:
            shown = self.problems[:20]
            more = len(self.problems) - len(shown)
            lines = [*shown, *([f"… and {more} more"] if more else [])]
            raise AssertionError("the account does not hold:\n  " + "\n  ".join(lines))


def _distinct(records: Iterable[Span | LogRecord]) -> tuple[list, int]:
    """Return the records with ids that were not there before, and how many were."""
    seen: dict[tuple[str, str], Span | LogRecord] = {}
    repeated = 0
    for record in records:
        key = (record.trace_id, record.span_id)
        if key in seen:
            repeated += 1
        seen.setdefault(key, record)
    return list(seen.values()), repeated


class _Index:
    """Finds the request that a record belongs to."""

    def __init__(self, made: Sequence[Made]) -> None:
        self._marks = {m.mark: i for i, m in enumerate(made) if m.mark is not None}
        self._traces = {
            m.wish.parent.trace_id: i
            for i, m in enumerate(made)
            if m.mark is None and m.wish.parent is not None
        }

    def find(self, record: Span | LogRecord) -> int | None:
        mark = record.request
        if mark is not None:
            return self._marks.get(mark)
        return self._traces.get(record.trace_id)


def _named(hop: Hop) -> str:
    return f"{hop.service} {KIND_NAMES[hop.kind]}"


def _settle(
    made: Sequence[Made], received: Telemetry
) -> tuple[Account, list[list[Span]], list[list[LogRecord]]]:
    """Sort the records by request."""
    account = Account(requests=len(made))
    index = _Index(made)
    spans: list[list[Span]] = [[] for _ in made]
    logs: list[list[LogRecord]] = [[] for _ in made]
    for side, records, sorted_out in (
        (account.spans, received.spans, spans),
        (account.logs, received.logs, logs),
    ):
        distinct, side.duplicates = _distinct(records)
        for record in distinct:
            owner = index.find(record)
            if owner is None:
                side.surplus += 1
                account.problems.append(f"{side.name}: no request demands {record}")
            else:
                sorted_out[owner].append(record)
    return account, spans, logs


def _check_trace(made: Made, spans: list[Span], account: Account) -> None:
    """Check that the spans are the demanded ones and are linked from the outside in."""
    wish = made.wish
    by_hop = {(span.service, span.kind): span for span in spans}
    if len({span.trace_id for span in spans}) != 1:
        account.problems.append(f"{wish.label} ({made.mark}): its spans are in several traces")
        return
    parent = wish.parent.span_id if wish.parent else ""
    if wish.parent and spans[0].trace_id != wish.parent.trace_id:
        account.problems.append(f"{wish.label} ({made.mark}): not in the trace that was sent")
        return
    for hop in wish.hops:
        span = by_hop[hop.service, hop.kind]
        if span.parent_span_id != parent:
            account.orphans += 1
            account.problems.append(
                f"{wish.label} ({made.mark}): the parent of {_named(hop)} is "
                f"{span.parent_span_id or 'none'}, expected {parent or 'none'}"
            )
            return
        parent = span.span_id
    account.complete_traces += 1


def _check_request(
    made: Made, spans: list[Span], logs: list[LogRecord], account: Account, lossy: bool
) -> None:
    wish = made.wish
    if made.status != wish.status:
        account.problems.append(
            f"{wish.label} ({made.mark}): answered {made.status}, expected {wish.status}"
        )
    demanded = Counter(_named(hop) for hop in wish.hops)
    found = Counter(f"{s.service} {KIND_NAMES.get(s.kind, s.kind)}" for s in spans)
    wanted = demanded if wish.sampled else Counter()
    # A log record has no kind: its service tells the hop.
    logs_of_hops = Counter(hop.service for hop in wish.hops if hop.logged)
    demanded_logs = logs_of_hops if wish.logged else Counter()
    account.logs.filtered += (logs_of_hops - demanded_logs).total()
    found_logs = Counter(record.service for record in logs)
    for side, want, have in (
        (account.spans, wanted, found),
        (account.logs, demanded_logs, found_logs),
    ):
        missing, surplus = want - have, have - want
        side.demanded += want.total()
        side.received += (want & have).total()
        side.missing += missing.total()
        side.surplus += surplus.total()
        if surplus or (missing and not lossy):
            account.problems.append(
                f"{side.name} of {wish.label} ({made.mark}): missing {dict(missing)}, "
                f"too many {dict(surplus)}"
            )
    if wanted and wanted == found:
        _check_trace(made, spans, account)
    if wish.sampled and not lossy:
        pairs = {(span.trace_id, span.span_id) for span in spans}
        unmatched = [log for log in logs if (log.trace_id, log.span_id) not in pairs]
        if unmatched:
            account.problems.append(
                f"logs of {wish.label} ({made.mark}): {len(unmatched)} carry the ids of no span"
            )


def _check_filters(
    account: Account, filters: Sequence[FilterStats], lossy: bool, replaced: bool
) -> None:
    """Check the filters' counters against what was demanded and what arrived."""
    for side in (account.spans, account.logs):
        counts = SignalCounts()
        for stats in filters:
            counts = counts + getattr(stats, side.name)
        side.filters = counts
        if counts.emitted != side.demanded:
            account.problems.append(
                f"{side.name}: the filters emitted {counts.emitted}, demanded are {side.demanded}"
            )
        if counts.filtered != side.filtered:
            account.problems.append(
                f"{side.name}: the filters left out {counts.filtered}, demanded are {side.filtered}"
            )
        if counts.queued != 0 and not replaced:
            account.problems.append(f"{side.name}: {counts.queued} neither sent nor dropped")
        if counts.dropped + counts.rejected != side.missing:
            account.problems.append(
                f"{side.name}: the filters count {counts.dropped} dropped and {counts.rejected} "
                f"rejected, missing are {side.missing}"
            )
        if counts.dropped and not lossy:
            account.problems.append(f"{side.name}: the filters dropped {counts.dropped}")
    queued = sum(stats.queue_bytes for stats in filters)
    if queued != 0 and not replaced:
        account.problems.append(f"the filters' queues still hold {queued} bytes")


def _check_collector(account: Account, metrics: Metrics) -> None:
    """Check the collector's counters against what arrived behind it."""
    for side, items in ((account.spans, "spans"), (account.logs, "log_records")):
        arrived = side.received + side.surplus + side.duplicates
        accepted = collector_total(metrics, f"otelcol_receiver_accepted_{items}")
        sent = collector_total(metrics, f"otelcol_exporter_sent_{items}")
        lost = collector_total(metrics, f"otelcol_exporter_send_failed_{items}")
        lost += collector_total(metrics, f"otelcol_exporter_enqueue_failed_{items}")
        if not accepted == sent == arrived or lost:
            account.problems.append(
                f"{side.name}: the collector accepted {accepted}, sent {sent}, lost {lost}; "
                f"arrived are {arrived}"
            )


def collector_total(metrics: Metrics, name: str) -> int:
    """Sum one of the collector's counters, whether it carries the suffix `_total` or not."""
    return metrics.total(name) + metrics.total(f"{name}_total")


def take(
    made: Sequence[Made],
    received: Telemetry,
    *,
    filters: Sequence[FilterStats] | None = None,
    collector: Metrics | None = None,
    lossy: bool = False,
    duplicates: bool = False,
    replaced: bool = False,
) -> Account:
    """Take the account.

    `lossy`: records may be missing, each counted as dropped or rejected by a filter.
    `duplicates`: a record may arrive again, as it does when an answer was lost.
    `replaced`: the filters' VMs were ended for those of another module. What they had sent and were
    not yet told that it had arrived stays counted as queued; it must have arrived all the same.
    """
    account, spans, logs = _settle(made, received)
    for one, its_spans, its_logs in zip(made, spans, logs, strict=True):
        _check_request(one, its_spans, its_logs, account, lossy)
    for side in (account.spans, account.logs):
        if side.duplicates and not duplicates:
            account.problems.append(f"{side.name}: {side.duplicates} arrived more than once")
    if filters is not None:
        _check_filters(account, filters, lossy, replaced)
    if collector is not None:
        _check_collector(account, collector)
    return account


def wait_for_records(
    made: Sequence[Made],
    fetch: Callable[[], Telemetry],
    *,
    timeout: float = 20.0,
    quiet: float = 0.8,
) -> Telemetry:
    """Wait until as much has arrived as is demanded, then `quiet` seconds for what is too much.

    After `timeout` seconds what has arrived is returned; the account then tells what is missing.
    """
    spans = sum(len(m.wish.hops) for m in made if m.wish.sampled)
    logs = sum(hop.logged for m in made if m.wish.logged for hop in m.wish.hops)
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        found = fetch()
        distinct_spans = len({(s.trace_id, s.span_id) for s in found.spans})
        distinct_logs = len({(r.trace_id, r.span_id) for r in found.logs})
        if distinct_spans >= spans and distinct_logs >= logs:
            break
        time.sleep(0.1)
    time.sleep(quiet)
    return fetch()
