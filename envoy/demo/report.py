"""What the demo prints: a trace as a tree, access log lines, the account."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rig.accounting import Account, SignalAccount, collector_total
from rig.collector import Metrics
from rig.records import KIND_NAMES, LogRecord, Span

_STATUS = {0: "unset", 1: "ok", 2: "error"}


def tree(spans: Sequence[Span]) -> list[str]:
    """Return a trace as lines: service, span name, kind, duration, status."""
    ids = {span.span_id for span in spans}
    children: dict[str, list[Span]] = {}
    for span in sorted(spans, key=lambda s: s.start):
        parent = span.parent_span_id if span.parent_span_id in ids else ""
        children.setdefault(parent, []).append(span)
    lines: list[tuple[str, Span]] = []

    def walk(parent: str, indent: str) -> None:
        siblings = children.get(parent, [])
        for position, span in enumerate(siblings):
            last = position == len(siblings) - 1
            branch = "" if not parent else ("└─ " if last else "├─ ")
            lines.append((f"{indent}{branch}{span.service}", span))
            below = "" if not parent else ("   " if last else "│  ")
            walk(span.span_id, indent + below)

    walk("", "")
    width = max((len(label) for label, _ in lines), default=0)
    name_width = max((len(span.name) for span in spans), default=0)
    return [
        f"{label:<{width}}  {span.name:<{name_width}}  {KIND_NAMES.get(span.kind, '?'):<6}  "
        f"{_milliseconds(span):>9}  {_outcome(span)}"
        for label, span in lines
    ]


def _milliseconds(span: Span) -> str:
    return f"{(span.end - span.start) / 1e6:.1f} ms"


def _outcome(span: Span) -> str:
    code = span.attributes.get("http.response.status_code")
    return f"{_STATUS[span.status]} ({code})" if code is not None else _STATUS[span.status]


def access_log(records: Iterable[LogRecord]) -> list[str]:
    """Return access log lines, each with its trace id."""
    ordered = sorted(records, key=lambda record: record.time)
    width = max((len(record.service) for record in ordered), default=0)
    return [
        f"{record.severity_text:<5} {record.service:<{width}}  {record.body}  "
        f"trace={record.trace_id} span={record.span_id}"
        for record in ordered
    ]


def account_table(account: Account, metrics: Metrics) -> list[str]:
    """Return the account as a table, one row for each signal."""
    rows = [("", "demanded", "emitted", "received", "exported", "arrived", "dropped", "repeated")]
    for side, items in ((account.spans, "spans"), (account.logs, "log_records")):
        rows.append(_row(side, items, metrics))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def _row(side: SignalAccount, items: str, metrics: Metrics) -> tuple[str, ...]:
    dropped = side.filters.dropped + side.filters.rejected
    dropped += collector_total(metrics, f"otelcol_exporter_send_failed_{items}")
    dropped += collector_total(metrics, f"otelcol_exporter_enqueue_failed_{items}")
    numbers = (
        side.demanded,
        side.filters.emitted,
        collector_total(metrics, f"otelcol_receiver_accepted_{items}"),
        collector_total(metrics, f"otelcol_exporter_sent_{items}"),
        side.received,
        dropped,
        side.duplicates,
    )
    return (side.name, *(str(number) for number in numbers))
