"""The finished module's own measures."""

from __future__ import annotations

from collections.abc import Iterator

from rig.programs import filter_module

MAX_SIZE = 350_000
"""Bytes. Every proxy of a mesh fetches and compiles the module."""
MAX_FUNCTION = 10_000
"""Bytes of code. The memory that V8 takes to compile grows with the largest function, and Envoy's
allocator keeps it: 49 kB in one function took 25 MiB."""

CODE = 10
"""The section's number."""


def test_the_module_is_small() -> None:
    assert filter_module().stat().st_size <= MAX_SIZE


def test_no_function_is_large() -> None:
    sizes = list(functions(filter_module().read_bytes()))
    assert len(sizes) > 100
    assert max(sizes) <= MAX_FUNCTION


def functions(module: bytes) -> Iterator[int]:
    """Return the size of each function's code."""
    at = 8
    while at < len(module):
        section, (size, start) = module[at], number(module, at + 1)
        at = start + size
        if section == CODE:
            count, place = number(module, start)
            for _ in range(count):
                length, place = number(module, place)
                yield length
                place += length


def number(module: bytes, at: int) -> tuple[int, int]:
    """Read a LEB128 number; return it and the place behind it."""
    value = shift = 0
    while True:
        byte = module[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
