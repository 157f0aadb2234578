"""What `python -m bench.filter` can measure, each by itself: one module for each row."""

from __future__ import annotations

from bench.filter.rows import (
    attributes,
    bodies,
    compression,
    cost,
    hostcalls,
    latency,
    memory,
    routes,
    size,
    unsampled,
)
from bench.filter.rows.row import Row

ROWS: tuple[Row, ...] = (
    attributes.ROW,
    cost.ROW,
    unsampled.ROW,
    routes.ROW,
    bodies.ROW,
    latency.ROW,
    memory.ROW,
    size.ROW,
    hostcalls.ROW,
    compression.ROW,
)
"""In the order of the report."""
