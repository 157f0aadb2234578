"""One Proxy-WASM VM: the module, its memory, and both directions of ABI 0.2.1.

What the module asks of a proxy is a table of functions; each gets its arguments decoded and answers
with an `Answer`. What the proxy tells the module are the methods of `Vm`. A trap is an exception.

Spec: Proxy-WASM ABI 0.2.1, WASI preview 1.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

from wasmtime import Config, Engine, Func, FuncType, Linker, Module, Store, ValType

OK, NOT_FOUND, BAD_ARGUMENT = 0, 1, 2
PARSE_FAILURE = 4
INVALID_MEMORY_ACCESS = 6
INTERNAL_FAILURE = 10
STATUSES = range(13)
"""All that the ABI defines."""

MEMORY_LIMIT = 256 * 1024 * 1024
"""Bytes; a VM in Envoy may have 1 GiB."""
FUEL = 2_000_000_000
"""Instructions for one callback: far more than any needs, and an end for one that never ends."""

IMPORTS: dict[str, dict[str, str]] = {
    "env": {
        "proxy_log": "ib",
        "proxy_get_current_time_nanoseconds": "L",
        "proxy_get_buffer_bytes": "iiid",
        "proxy_get_header_map_pairs": "id",
        "proxy_get_header_map_value": "ibd",
        "proxy_replace_header_map_value": "ibb",
        "proxy_remove_header_map_value": "ib",
        "proxy_get_property": "bd",
        "proxy_call_foreign_function": "bbd",
        "proxy_grpc_call": "bbbbbiI",
        "proxy_http_call": "bbbbiI",
        "proxy_set_tick_period_milliseconds": "i",
        "proxy_done": "",
        "proxy_define_metric": "ibI",
        "proxy_increment_metric": "il",
        "proxy_record_metric": "il",
        "proxy_get_shared_data": "bdI",
        "proxy_set_shared_data": "bbi",
    },
    "wasi_snapshot_preview1": {
        "clock_time_get": "ilL",
        "random_get": "f",
        "environ_sizes_get": "II",
        "environ_get": "pp",
        "fd_write": "ipiI",
        "proc_exit": "i",
    },
}
"""All that the filter calls. `i` and `l` are numbers of 32 and 64 bits; `b` is bytes to read,
`p` an address; the others are places for an answer: `I` and `L` for numbers of 32 and 64 bits, `d`
for bytes that the module allocates, `f` for as many bytes as it says."""

EXPORTS = {
    "_initialize",
    "memory",
    "proxy_abi_version_0_2_1",
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_delete",
    "proxy_on_done",
    "proxy_on_grpc_close",
    "proxy_on_grpc_receive",
    "proxy_on_http_call_response",
    "proxy_on_log",
    "proxy_on_memory_allocate",
    "proxy_on_request_headers",
    "proxy_on_tick",
    "proxy_on_vm_start",
}
"""All that it exports: a proxy calls each callback that is there, so no more than are needed."""

_PARAMETERS = {"i": "i", "l": "l", "b": "ii", "p": "i", "I": "i", "L": "i", "d": "ii", "f": "ii"}


class HostError(AssertionError):
    """The module did what no module may do to a proxy."""


@dataclass(frozen=True)
class Raw:
    """What to write for bytes that the module did not allocate, or not like that."""

    address: int | None
    """None: at the address of memory that the module did allocate for `data`."""
    size: int
    data: bytes = b""
    shift: int = 0
    """Added to the address."""


@dataclass
class Answer:
    """A status, and what goes to the places for an answer, in their order; None writes nothing."""

    status: int = OK
    values: Sequence[int | bytes | Raw | None] = ()


class Proxy(Protocol):
    """What answers the module."""

    def answer(self, vm: Vm, name: str, arguments: list[Any]) -> Answer:
        """Answer a function of `IMPORTS`, by its arguments but for the places for an answer."""
        ...


@cache
def _engine() -> Engine:
    config = Config()
    config.consume_fuel = True
    return Engine(config)


@cache
def load(path: Path) -> Module:
    """Compile a module, once."""
    return Module.from_file(_engine(), str(path))


class Vm:
    """A running module."""

    def __init__(self, path: Path, proxy: Proxy) -> None:
        module = load(path)
        self.proxy = proxy
        self.calls: Counter[str] = Counter()
        """How often the module called each function."""
        self.store = Store(_engine())
        self.store.set_limits(memory_size=MEMORY_LIMIT)
        self.store.set_fuel(FUEL)
        linker = Linker(_engine())
        for space, functions in IMPORTS.items():
            for name, layout in functions.items():
                self._define(linker, space, name, layout)
        # What the SDK imports for callbacks that the filter does not have.
        for imported in module.imports:
            if imported.name not in IMPORTS.get(imported.module, {}):
                called = partial(_never_called, imported.name)
                linker.define_func(imported.module, imported.name, imported.type, called)
        instance = linker.instantiate(self.store, module)
        self._exports = instance.exports(self.store)
        self.memory = self._exports["memory"]
        self._allocate: Func = self._exports["proxy_on_memory_allocate"]
        self.call("_initialize")

    def call(self, name: str, *arguments: int) -> int:
        """Call an export."""
        self.store.set_fuel(FUEL)
        result = self._exports[name](self.store, *map(_signed, arguments))
        return 0 if result is None else result & 0xFFFFFFFF

    def create(self, context: int, root: int = 0) -> None:
        """Create a context; a root context without a root."""
        self.call("proxy_on_context_create", context, root)

    def start(self, root: int) -> bool:
        """Start the VM, once, with its first root context."""
        return self.call("proxy_on_vm_start", root, 0) != 0

    def configure(self, root: int, size: int) -> bool:
        """Configure a root context; tells whether it accepts."""
        return self.call("proxy_on_configure", root, size) != 0

    def request_headers(self, context: int, count: int, end: bool = True) -> int:
        """Give a request's headers; returns the action."""
        return self.call("proxy_on_request_headers", context, count, int(end))

    def log(self, context: int) -> None:
        """Tell of a request's end."""
        self.call("proxy_on_log", context)

    def done(self, context: int) -> bool:
        """Ask a context whether it is done."""
        return self.call("proxy_on_done", context) != 0

    def delete(self, context: int) -> None:
        """Delete a context."""
        self.call("proxy_on_delete", context)

    def tick(self, root: int) -> None:
        """Let the tick period pass."""
        self.call("proxy_on_tick", root)

    def receive(self, root: int, token: int, size: int) -> None:
        """Answer a gRPC call with a message of this size."""
        self.call("proxy_on_grpc_receive", root, token, size)

    def close(self, root: int, token: int, status: int) -> None:
        """Let a gRPC call fail."""
        self.call("proxy_on_grpc_close", root, token, status)

    def http_response(self, root: int, token: int, headers: int, size: int) -> None:
        """Answer an HTTP call; no headers are a failure."""
        self.call("proxy_on_http_call_response", root, token, headers, size, 0)

    @property
    def memory_size(self) -> int:
        """Bytes of memory that the module has."""
        return self.memory.data_len(self.store)

    def read(self, address: int, size: int) -> bytes:
        """Read what the module points to."""
        if address + size > self.memory_size:
            raise HostError(f"{size} bytes at {address:#x} lie outside of the memory")
        return bytes(self.memory.read(self.store, address, address + size))

    def write(self, address: int, data: bytes) -> bool:
        """Write, as a proxy that checks addresses; tells whether there is such memory."""
        if address + len(data) > self.memory_size:
            return False
        if data:
            self.memory.write(self.store, data, address)
        return True

    def allocate(self, size: int) -> int:
        """Have the module allocate; 0 if it does not."""
        return self._allocate(self.store, _signed(size)) & 0xFFFFFFFF

    def _define(self, linker: Linker, space: str, name: str, layout: str) -> None:
        kinds = "".join(_PARAMETERS[kind] for kind in layout)
        parameters = [ValType.i32() if kind == "i" else ValType.i64() for kind in kinds]
        results = [] if name == "proc_exit" else [ValType.i32()]
        called: Callable[..., Any] = partial(self._called, name, layout)
        linker.define_func(space, name, FuncType(parameters, results), called)

    def _called(self, name: str, layout: str, *parameters: int) -> int:
        self.calls[name] += 1
        if name == "proc_exit":
            raise HostError("the module ends the VM")
        rest = iter(parameters)
        arguments: list[Any] = []
        places: list[tuple[str, int, int]] = []
        for kind in layout:
            first = next(rest) & 0xFFFFFFFFFFFFFFFF
            if kind != "l":
                first &= 0xFFFFFFFF
            second = next(rest) & 0xFFFFFFFF if kind in "bdf" else 0
            if kind in "ilp":
                arguments.append(first)
            elif kind == "b":
                arguments.append(self.read(first, second))
            else:
                places.append((kind, first, second))
        if layout == "f":
            arguments.append(places[0][2])
        answer = self.proxy.answer(self, name, arguments)
        for place, value in zip(places, answer.values, strict=False):
            if value is not None and not self._put(place, value):
                return INVALID_MEMORY_ACCESS
        return _signed(answer.status)

    def _put(self, place: tuple[str, int, int], value: int | bytes | Raw) -> bool:
        kind, address, size = place
        if kind == "I":
            return self.write(address, struct.pack("<I", int(value) & 0xFFFFFFFF))  # type: ignore[arg-type]
        if kind == "L":
            return self.write(address, struct.pack("<Q", int(value) & 0xFFFFFFFFFFFFFFFF))  # type: ignore[arg-type]
        if kind == "f":
            data = value.data if isinstance(value, Raw) else bytes(value)  # type: ignore[arg-type]
            return self.write(address, data[:size])
        if isinstance(value, Raw):
            start, length = value.address, value.size
            if start is None:
                start = self.allocate(len(value.data))
                if start == 0 or not self.write(start, value.data):
                    return False
            start += value.shift
        else:
            start, length = 0, len(value)  # type: ignore[arg-type]
            if length > 0:
                start = self.allocate(length)
                if start == 0 or not self.write(start, value):  # type: ignore[arg-type]
                    return False
        return self.write(address, struct.pack("<I", start & 0xFFFFFFFF)) and self.write(
            size, struct.pack("<I", length & 0xFFFFFFFF)
        )


def _never_called(name: str, *_parameters: int) -> int:
    raise HostError(f"the filter has no reason to call {name}")


def _signed(number: int) -> int:
    number &= 0xFFFFFFFF
    return number - (1 << 32) if number >> 31 else number
