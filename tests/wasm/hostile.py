"""A proxy that answers as nobody should, and one that calls in any order that the ABI allows.

What it never does is what no module could bear: write outside of the memory that it was given, call
back while it is called, or make up contexts.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wasm.host import Headers, Host, encode_pairs, headers, properties
from wasm.life import Worker
from wasm.vm import OK, STATUSES, Answer, Raw, Vm

GARBAGE_STATUSES = [13, 256, 1 << 31, (1 << 32) - 1]
ALL_STATUSES = [*STATUSES, *GARBAGE_STATUSES]
GARBAGE_NUMBERS = [0, 1, 2, 7, 255, 1 << 16, 1 << 31, (1 << 32) - 1, (1 << 63) - 1, (1 << 64) - 1]
TOP = (1 << 32) - 1

BYTES: dict[str, Callable[[bytes, random.Random], bytes | Raw]] = {
    "nothing": lambda _data, _rng: b"",
    "null with a size": lambda _data, _rng: Raw(0, 64),
    "null with an absurd size": lambda _data, _rng: Raw(0, TOP),
    "an address that was not allocated": lambda data, _rng: Raw(1024, len(data)),
    "an address outside of the memory": lambda data, _rng: Raw(TOP - 8, len(data)),
    "an address within the allocation": lambda data, _rng: Raw(None, 1, data + b"xx", shift=1),
    "a size of one more": lambda data, _rng: Raw(None, len(data) + 1, data or b"x"),
    "an absurd size": lambda data, _rng: Raw(None, TOP, data or b"x"),
    "a size of half the memory": lambda data, _rng: Raw(None, 1 << 31, data or b"x"),
    "a smaller size": lambda data, _rng: Raw(None, len(data) // 2, data or b"x"),
    "no size": lambda data, _rng: Raw(None, 0, data or b"x"),
    "cut": lambda data, rng: data[: rng.randrange(len(data) + 1)],
    "longer": lambda data, rng: data + rng.randbytes(9),
    "no UTF-8": lambda data, _rng: b"\xff\xfe" * (len(data) // 2 + 1),
    "zeros": lambda data, _rng: bytes(len(data) + 8),
    "ones": lambda data, _rng: b"\xff" * (len(data) + 8),
    "random": lambda data, rng: rng.randbytes(rng.choice([1, 3, 4, 8, 64, len(data) + 1])),
    "bits changed": lambda data, rng: _changed(data, rng),
    "a count of pairs and no pairs": lambda _data, _rng: struct.pack("<I", TOP),
    "pairs without an end": lambda _data, _rng: struct.pack("<III", 1, TOP, TOP),
    "many pairs": lambda _data, rng: encode_pairs(_garbage_headers(rng, 1000)),
    "a huge value": lambda _data, _rng: encode_pairs([(b":path", b"/" + b"\xc3" * 1_000_000)]),
    "more than it takes": lambda _data, _rng: bytes((256 << 20) + 1),
}
"""What may come in place of bytes."""

USUAL_BYTES = [kind for kind in BYTES if kind not in {"a huge value", "more than it takes"}]

HOSTILE_HEADERS = [
    (b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    (b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"),
    (b"traceparent", b"ff-" + b"0" * 60_000),
    (b"traceparent", b"00-\xff\xfe-01"),
    (b"tracestate", b"ot=th:8;rv:00000000000000,a=1"),
    (b"tracestate", b",,,=,ot=;;,\x00"),
    (b"tracestate", b"a=" + b"\xe9" * 600),
    (b"tracestate", b",".join(b"k%d=v" % at for at in range(40))),
    (b"baggage", b"k=a%20%ff%2,k=b;c=d,=,\xff"),
    (b"b3", b"4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-d"),
    (b"b3", b"-" * 1000),
    (b"x-b3-traceid", b"4bf92f3577b34da6"),
    (b"x-b3-spanid", b"\xc3\x28"),
    (b"x-b3-flags", b"1"),
    (b"x-b3-sampled", b"maybe"),
    (b":path", b"/?" + b"token=\xf0\x9f&" * 5000),
    (b":path", b"*"),
    (b":authority", b"[::1"),
    (b":authority", b"user:secret@h\xff:99999999"),
    (b":method", b"G\xcbT"),
    (b"forwarded", b'for="[2001:db8::1]:x";;host=,'),
    (b"x-forwarded-for", b"1.2.3.4,\x00, ::"),
    (b"x-forwarded-proto", b"\xff"),
    (b"user-agent", b"\xe2\x82" * 30_000),
    (b"content-type", b"application/grpc+\xff"),
    (b"", b""),
]

RESPONSE_HEADERS: list[Headers] = [
    [],
    [(b":status", b"200")],
    [(b":status", b"503"), (b"retry-after", b"999999999999999999999")],
    [(b":status", b"429"), (b"retry-after", b"Sat, 21 Nov 2026 09:31:00 GMT")],
    [(b":status", b"\xff"), (b"retry-after", b"\xfe")],
    [(b"", b"")],
]

CONFIGURATIONS = [
    b"",
    b"{}",
    b'{"propagators": ["b3", "b3multi", "tracecontext"], "batch": {"max_records": 2}}',
    b'{"propagators": ["b3multi"], "sampler": {"ratio": 0.5}, "batch": {"max_queue_bytes": 4096}}',
    b'{"spans": {"enabled": false}}',
    b'{"access_log": {"enabled": false}, "exporter": {"clusters": ["a", "go", "b"]}}',
    b'{"exporter": {"protocol": "http"}, "batch": {"max_records": 2}, "role": "gateway"}',
    b'{"keep": {"errors": true, "slower_than": "1ms"}, "sampler": {"max_per_second": 1}}',
    b'{"access_log": {"filter": "a", "body": "b", "attributes": {"c": "d"}}}',
    b'{"capture": {"request_headers": ["user-agent"], "response_headers": ["a"], '
    b'"baggage": ["k"]}, "propagators": ["tracecontext", "baggage"]}',
    b'{"trust": "restart", "spans": {"routes": ["/items/{id}"]}, "role": "outbound"}',
    b'{"sampler": {"rules": [{"match": {"when": "request.time"}, "decision": "always"}]}}',
    b'{"limits": {"attribute_value_bytes": 64}, "exporter": {"headers": {"a": "b"}}}',
    b'{"sampler": {"ratio": 7}}',
    b'{"unknown": [[[[',
    b"[" * 5000,
    b"\xff\xfe",
]


def _changed(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data or b"\0")
    for _ in range(rng.randrange(1, 8)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _garbage_headers(rng: random.Random, count: int) -> Headers:
    return [(rng.randbytes(rng.randrange(20)), rng.randbytes(rng.randrange(40)))] * count


@dataclass
class Hostile(Host):
    """A proxy whose answers are spoiled on their way."""

    spoil: Callable[[str, Answer], Answer] | None = None
    """What becomes of an honest answer to a function; None leaves all as they are."""
    _room: int = 0
    """So many bytes it said that the environment has."""

    def answer(self, vm: Vm, name: str, arguments: list[Any]) -> Answer:
        """Answer honestly, then spoil it."""
        if name == "environ_get" and self._room < self.environment_size():
            # Nobody could bear more than the room that was asked for.
            honest = Answer()
        else:
            honest = super().answer(vm, name, arguments)
        answer = honest if self.spoil is None else self.spoil(name, honest)
        if name == "environ_sizes_get":
            numbers = [number or 0 for number in answer.values] or [0]
            self._room = min(int(number) for number in numbers)  # type: ignore[arg-type]
        return answer


def spoil_randomly(rng: random.Random, share: float) -> Callable[[str, Answer], Answer]:
    """Spoil this share of the answers, each in a way of its own."""

    def spoil(_name: str, honest: Answer) -> Answer:
        if rng.random() >= share:
            return honest
        status = rng.choice(ALL_STATUSES) if rng.random() < 0.5 else OK
        kind = rng.choice(USUAL_BYTES)
        values = list(honest.values)
        if rng.random() < 0.2:
            values = [None for _ in values]
        elif rng.random() < 0.8:
            values = [garbage(value, kind, rng) for value in values]
        return Answer(status, values)

    return spoil


def garbage(
    value: int | bytes | Raw | None, kind: str, rng: random.Random
) -> int | bytes | Raw | None:
    """Return garbage in place of a value; of this kind, where it is bytes."""
    if isinstance(value, int):
        return rng.choice(GARBAGE_NUMBERS)
    return BYTES[kind](value, rng) if isinstance(value, bytes) else value


class RandomLife:
    """Calls that a proxy may make, in a random order."""

    def __init__(self, worker: Worker, rng: random.Random) -> None:
        self.worker, self.rng = worker, rng
        self.roots = [worker.root]
        """Those that are configured, or may be."""
        self.draining: list[int] = []
        self.streams: dict[int, bool] = {}
        """Those that are open, and whether their headers were seen."""

    def step(self) -> None:
        """Make one call, or a few that belong together."""
        steps = [
            (self._configure, 1),
            (self._open, 8),
            (self._headers, 8),
            (self._close, 8),
            (self._tick, 4),
            (self._answer, 6),
            (self._replace, 1),
        ]
        [step] = self.rng.choices([step for step, _ in steps], [weight for _, weight in steps])
        self.worker.host.advance(self.rng.choice([0, 0, 0.001, 0.3, 2, 100]))
        step()

    def end(self) -> None:
        """End all streams, then all root contexts."""
        while self.streams:
            self._close()
        for root in [*self.roots, *self.draining]:
            self.worker.vm.done(root)
            self.worker.vm.delete(root)

    def _any_root(self) -> int:
        return self.rng.choice(self.roots + self.draining)

    def _configure(self) -> None:
        self.worker.configure_text(self.rng.choice(CONFIGURATIONS), self.rng.choice(self.roots))

    def _open(self) -> None:
        self.streams[self.worker.new_context(self._any_root())] = False

    def _play(self) -> int:
        """Choose a stream, and have its headers and properties at hand."""
        context = self.rng.choice(list(self.streams))
        host, rng = self.worker.host, self.rng
        host.headers = [] if rng.random() < 0.1 else headers()
        host.headers += rng.choices(HOSTILE_HEADERS, k=rng.choice([0, 1, 3, 10]))
        rng.shuffle(host.headers)
        host.stream = {
            name: value if rng.random() < 0.8 else rng.randbytes(rng.choice([0, 1, 8, 9, 5000]))
            for name, value in properties().items()
            if rng.random() < 0.9
        }
        return context

    def _headers(self) -> None:
        if not self.streams:
            return
        context = self._play()
        if not self.streams[context]:
            self.streams[context] = True
            count = len(self.worker.host.headers)
            assert self.worker.vm.request_headers(context, count, self.rng.random() < 0.5) == 0

    def _close(self) -> None:
        if not self.streams:
            return
        context, vm = self._play(), self.worker.vm
        del self.streams[context]
        last = [lambda: vm.log(context), lambda: vm.done(context)]
        self.rng.shuffle(last)
        for call in last if self.rng.random() < 0.9 else last[:1]:
            call()
        vm.delete(context)
        self.worker.host.stream = {}

    def _tick(self) -> None:
        self.worker.vm.tick(self._any_root())

    def _answer(self) -> None:
        """Answer a call; at times one that was answered before, or that was never made."""
        host, rng, vm = self.worker.host, self.rng, self.worker.vm
        tokens = [call.token for call in host.calls[-8:]] + [rng.choice(GARBAGE_NUMBERS)]
        root, token = self._any_root(), rng.choice(tokens)
        if rng.random() < 0.5:
            host.message = rng.randbytes(rng.choice([0, 1, 9, 300]))
            size = rng.choice([0, len(host.message), len(host.message), 1 << 20, TOP])
            vm.receive(root, token, size)
        elif rng.random() < 0.5:
            host.response_headers = rng.choice(RESPONSE_HEADERS)
            host.message = rng.randbytes(rng.choice([0, 1, 9, 300]))
            vm.http_response(root, token, len(host.response_headers), rng.choice([0, 300, TOP]))
        else:
            vm.close(root, token, rng.choice([*range(17), 99, TOP]))

    def _replace(self) -> None:
        """Put a new root context beside an old one, which drains; or end one that drains."""
        if self.draining and self.rng.random() < 0.5:
            self.worker.vm.delete(self.draining.pop())
            gone = set(self.roots + self.draining)
            assert gone
            return
        old = self.roots[0]
        self.roots.append(self.worker.new_root())
        self._configure()
        if len(self.roots) > 2:
            self.roots.remove(old)
            if self.worker.vm.done(old):
                self.worker.vm.delete(old)
            else:
                self.draining.append(old)
