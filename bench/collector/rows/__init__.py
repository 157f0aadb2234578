"""What `python -m bench.collector` can measure, each by itself: one module for each kind of row."""

from __future__ import annotations

from bench.collector.rows import capacity, cost, durable, floor, idle, speed
from bench.collector.rows.row import Row

ROWS: tuple[Row, ...] = (
    *cost.ROWS,
    speed.ROW,
    idle.ROW,
    durable.ROW,
    floor.ROW,
    capacity.ROW,
)
"""In the order of the report."""
