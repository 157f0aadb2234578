"""As much of ELF as says whether a program runs in an empty root, and on what.

Follows the System V ABI, chapter 4 and 5; 64-bit little-endian files only.
"""

from __future__ import annotations

import struct

# `e_machine`, and Go's names for it.
_MACHINES = {62: "amd64", 183: "arm64"}

_64_BIT_LITTLE_ENDIAN = b"\x7fELF\x02\x01"
_PT_INTERP = 3


def static_architecture(program: bytes) -> str:
    """Return the architecture of a program that needs no loader and no library.

    # Errors
    Raises ValueError with what was found, if it is something else.
    """
    if len(program) < 64 or not program.startswith(_64_BIT_LITTLE_ENDIAN):
        raise ValueError("expected a 64-bit little-endian ELF file, but found something else")
    (machine,) = struct.unpack_from("<H", program, 18)
    (offset,) = struct.unpack_from("<Q", program, 32)
    size, count = struct.unpack_from("<HH", program, 54)
    for number in range(count):
        (kind,) = struct.unpack_from("<I", program, offset + number * size)
        if kind == _PT_INTERP:
            raise ValueError("expected a static program, but found one that needs a loader")
    if machine not in _MACHINES:
        known = ", ".join(_MACHINES.values())
        raise ValueError(f"expected a program for {known}, but found machine {machine}")
    return _MACHINES[machine]
