"""Makes requests and remembers every one, with the records that it demands of the mesh.

Every HTTP request carries a mark of its own in the query string (`?request=…`), which the services
pass on and the spans show in their URLs. A gRPC path has no query: its records are found by the
trace id that the driver sent. So the account rests on what the driver did, not on our counters.
"""

from __future__ import annotations

import itertools
import secrets
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import grpc

from rig import http
from rig.records import CLIENT, SERVER

_marks = itertools.count(1)
_run = secrets.token_hex(3)


@dataclass(frozen=True)
class Hop:
    """One span that a request demands, and the access log record beside it."""

    service: str
    kind: int
    logged: bool = True
    """A gateway's second span has no record of its own."""


def chain(*services: str) -> tuple[Hop, ...]:
    """Return the hops of a request that each service answers by asking the next one."""
    hops = [Hop(services[0], SERVER)]
    for asking, asked in itertools.pairwise(services):
        hops += [Hop(asking, CLIENT), Hop(asked, SERVER)]
    return tuple(hops)


@dataclass(frozen=True)
class Parent:
    """The span that a request says it belongs to. Lowercase hex."""

    trace_id: str
    span_id: str

    @classmethod
    def new(cls) -> Parent:
        """Make one up."""
        return cls(secrets.token_hex(16), secrets.token_hex(8))

    def traceparent(self, flags: str = "01") -> tuple[str, str]:
        """Return the W3C header."""
        return "traceparent", f"00-{self.trace_id}-{self.span_id}-{flags}"


@dataclass(frozen=True)
class Wish:
    """A request to make, and what it demands."""

    label: str
    path: str
    hops: tuple[Hop, ...]
    """The spans that it demands, from the outside in."""
    method: str = "GET"
    host: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    parent: Parent | None = None
    """The span that the first hop has to continue; without one it has to begin a trace."""
    status: int = 200
    sampled: bool = True
    """Without it there are access log records and no spans."""
    logged: bool = True
    """Without it `access_log.filter` leaves out the records."""


@dataclass(frozen=True)
class Made:
    """A request that was made."""

    wish: Wish
    mark: str | None
    """What the URL carried; without it the parent's trace id tells its records."""
    status: int | None
    """The answer's status, or None if there was no answer."""
    finished: int
    """When the answer was there, in nanoseconds since 1970."""


@dataclass
class Driver:
    """Makes requests to one port."""

    port: int
    made: list[Made] = field(default_factory=list)
    address: str = "127.0.0.1"
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, wish: Wish) -> Made:
        """Make one request on a connection of its own."""
        mark, target = self.target(wish)
        status: int | None
        try:
            status = http.request(
                self.port,
                target,
                method=wish.method,
                host=wish.host,
                headers=wish.headers,
                address=self.address,
            ).status
        except OSError:
            status = None
        return self.note(wish, status, mark)

    def target(self, wish: Wish) -> tuple[str, str]:
        """Return a mark and the request target that carries it, for a client of the test's own."""
        mark = f"{_run}-{next(_marks)}"
        separator = "&" if "?" in wish.path else "?"
        return mark, f"{wish.path}{separator}request={mark}"

    def note(self, wish: Wish, status: int | None, mark: str | None = None) -> Made:
        """Remember a request that a client of the test's own has made.

        Without a mark it is known by its parent's trace id.
        """
        made = Made(wish, mark, status, time.time_ns())
        with self._lock:
            self.made.append(made)
        return made

    def load(self, wishes: Iterable[Wish], workers: int = 4) -> Sequence[Made]:
        """Make many requests, some of them at once."""
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(self.get, wishes))

    def call(self, wish: Wish, *, port: int, want: str | None = None) -> Made:
        """Make one gRPC call, to another port if need be; `status` is the gRPC status."""
        if wish.parent is None:
            raise ValueError("a gRPC request is known by its parent's trace id")
        metadata = [*wish.headers]
        if want is not None:
            metadata.append(("want-status", want))
        options = [("grpc.default_authority", wish.host)] if wish.host else []
        with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            method = channel.unary_unary(wish.path)
            try:
                method(b"\x0a\x04demo", metadata=metadata, timeout=30)
                status = 0
            except grpc.RpcError as error:
                status = error.code().value[0]
        return self.note(wish, status)
