"""What a process has used, and on which processors it runs."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STATUS_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)
_WASM_PAGE = 64 << 10
_WASM_GUARD = 4 << 30


def cpu_seconds(pid: int) -> float:
    """Return the processor time of all threads that the process has or had, user and system.

    It is the sum of utime and stime in /proc/PID/stat, read from the process's CPU-time clock,
    which counts nanoseconds where that file counts hundredths of a second.
    """
    # The clock's number is made of the process id as in clock_getcpuclockid(3).
    return time.clock_gettime(~pid << 3 | 2)


def peak_memory_mib(pid: int) -> float:
    """Return the largest resident set that the process has had."""
    found = _STATUS_PEAK.search(Path(f"/proc/{pid}/status").read_text())
    if found is None:
        raise ValueError(f"no VmHWM in /proc/{pid}/status")
    return int(found[1]) / 1024


def resident_mib(pid: int) -> float:
    """Return the resident set as it is now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def wasm_memory_pages(pid: int) -> int:
    """Return how many pages of 64 KiB the largest Wasm memory of the process has.

    V8 keeps the address space of 8 GiB for each memory, so that no index needs a check: what can be
    read and written of it comes first, and the rest of it is one mapping without any permission.
    """
    pages, end = 0, 0
    largest = 0
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        span, permissions = line.split()[:2]
        first, last = (int(address, 16) for address in span.split("-"))
        if permissions == "---p" and first == end and last - first >= _WASM_GUARD:
            largest = max(largest, pages)
        end = last
        pages = (last - first) // _WASM_PAGE if permissions == "rw-p" else 0
    return largest


def first_and_other_processors() -> tuple[set[int], set[int]]:
    """Divide the processors: one for the program under test, the others for what loads it.

    Both share the only one if there is no second.
    """
    available = sorted(os.sched_getaffinity(0))
    return set(available[:1]), set(available[1:] or available)


@contextmanager
def pinned(processors: set[int]) -> Iterator[None]:
    """Start programs on these processors only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, processors)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
