"""A proxy that answers as Envoy does, for one VM, one stream at a time.

Source: proxy-wasm-cpp-host and Envoy's `source/extensions/common/wasm`, as `docs/filter.md` and the
filter's own comments describe them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from wasm.cel import evaluate
from wasm.grpc_service import cluster_of
from wasm.vm import BAD_ARGUMENT, INTERNAL_FAILURE, NOT_FOUND, OK, PARSE_FAILURE, Answer, Vm

START = 1_795_253_400_000_000_000
"""When the clocks start: 2026-11-21T09:30:00Z."""
CLUSTER = "outbound|4317||spanmesh-collector.observability.svc.cluster.local"
"""The filter's default."""

Headers = list[tuple[bytes, bytes]]


def encode_pairs(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Write a header map as the ABI does."""
    pairs = list(pairs)
    lengths = b"".join(struct.pack("<II", len(name), len(value)) for name, value in pairs)
    data = b"".join(name + b"\0" + value + b"\0" for name, value in pairs)
    return struct.pack("<I", len(pairs)) + lengths + data


def decode_pairs(data: bytes) -> Headers:
    """Read a header map."""
    (count,) = struct.unpack_from("<I", data)
    at = 4 + 8 * count
    pairs = []
    for index in range(count):
        name, value = struct.unpack_from("<II", data, 4 + 8 * index)
        pairs.append((data[at : at + name], data[at + name + 1 : at + name + 1 + value]))
        at += name + value + 2
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes too many after the pairs")
    return pairs


def number(value: int) -> bytes:
    """Encode a property that is a number, a time or a duration."""
    return struct.pack("<q", value)


def headers(*pairs: tuple[str, str]) -> Headers:
    """Return a GET, and these headers."""
    usual = [
        (":method", "GET"),
        (":path", "/items/1?sig=secret"),
        (":authority", "cart.shop:8080"),
        (":scheme", "http"),
        ("user-agent", "test/1"),
    ]
    return [(name.encode(), value.encode()) for name, value in [*usual, *pairs]]


def properties() -> dict[str, bytes]:
    """Return what a stream that was answered with 200 has."""
    return {
        "request.time": number(START),
        "request.duration": number(12_500_000),
        "response.code": number(200),
        "response.flags": number(0),
        "response.code_details": b"via_upstream",
        "request.protocol": b"HTTP/1.1",
        "request.size": number(7),
        "response.size": number(512),
        "source.address": b"10.0.0.2:4711",
        "upstream.address": b"10.0.0.3:8080",
        "upstream.request_attempt_count": number(1),
        "xds.listener_direction": number(1),
        "xds.route_name": b"default",
        "xds.cluster_name": b"cart",
    }


def node() -> dict[str, bytes]:
    """Return what is there without a stream too."""
    return {
        "plugin_name": b"spanmesh",
        "xds.node.id": b"sidecar~10.0.0.3~cart-7d9f.shop~shop.svc.cluster.local",
        "xds.node.cluster": b"cart.shop",
        "xds.node.metadata.NAMESPACE": b"shop",
        "xds.node.metadata.WORKLOAD_NAME": b"cart",
    }


@dataclass
class Call:
    """A call that the module started."""

    token: int
    cluster: bytes
    path: str
    """`/service/method` of a gRPC call."""
    headers: Headers
    """The initial metadata of a gRPC call, all headers of an HTTP call."""
    message: bytes
    timeout: int
    """Milliseconds."""
    is_http: bool = False


@dataclass
class Host:
    """The state of a proxy, and the answers that follow from it."""

    configuration: bytes = b""
    environment: dict[str, str] = field(default_factory=dict)
    headers: Headers = field(default_factory=list)
    """Of the stream that is being played."""
    node: dict[str, bytes] = field(default_factory=node)
    stream: dict[str, bytes] = field(default_factory=dict)
    """Properties of the stream that is being played."""
    message: bytes = b""
    """Of the answer that is being delivered: its gRPC message, or its HTTP body."""
    response_headers: Headers = field(default_factory=list)
    """Of the HTTP answer that is being delivered."""
    has_cel: bool = True
    clusters: set[bytes] = field(default_factory=lambda: {CLUSTER.encode()})
    """The names of the clusters that there are."""
    unhealthy: bool = False
    """Whether a call fails at once."""
    now: int = START
    uptime: int = 0
    calls: list[Call] = field(default_factory=list)
    lines: list[tuple[int, str]] = field(default_factory=list)
    """The log: level (4 is error), line."""
    metrics: dict[str, int] = field(default_factory=dict)
    shared: dict[bytes, bytes] = field(default_factory=dict)
    tick_period: int = 0
    """Milliseconds."""
    is_done: bool = False
    expressions: list[str] = field(default_factory=list)
    conditions: dict[str, bool] = field(default_factory=dict)
    """What the conditions of a configuration come to; others fail."""

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += int(seconds * 1e9)
        self.uptime += int(seconds * 1e9)

    def header(self, name: str) -> list[str]:
        """Return the values of a request header."""
        return [value.decode() for found, value in self.headers if found == name.encode()]

    def answer(self, vm: Vm, name: str, arguments: list[Any]) -> Answer:
        """Answer as Envoy does."""
        if name == "fd_write":
            return self._write(vm, *arguments)
        if name == "environ_get":
            return self._environment(vm, *arguments)
        return self._answers()[name](*arguments)

    def _answers(self) -> dict[str, Callable[..., Answer]]:
        return {
            "proxy_log": self._log,
            "proxy_get_current_time_nanoseconds": lambda: Answer(OK, [self.now]),
            "proxy_get_buffer_bytes": self._buffer,
            "proxy_get_header_map_pairs": self._header_map,
            "proxy_get_header_map_value": self._header_value,
            "proxy_replace_header_map_value": self._replace,
            "proxy_remove_header_map_value": self._remove,
            "proxy_get_property": self._property,
            "proxy_call_foreign_function": self._foreign,
            "proxy_grpc_call": self._grpc_call,
            "proxy_http_call": self._http_call,
            "proxy_set_tick_period_milliseconds": self._tick_period,
            "proxy_done": self._done,
            "proxy_define_metric": self._define,
            "proxy_increment_metric": self._increment,
            "proxy_record_metric": self._record,
            "proxy_get_shared_data": self._shared,
            "proxy_set_shared_data": self._set_shared,
            "clock_time_get": lambda _clock, _precision: Answer(OK, [self.uptime]),
            "random_get": lambda size: Answer(OK, [bytes(range(1, 256))[:size]]),
            "environ_sizes_get": self._environment_sizes,
        }

    def _log(self, level: int, line: bytes) -> Answer:
        self.lines.append((level, line.decode()))
        return Answer()

    def _buffer(self, kind: int, start: int, size: int) -> Answer:
        data = {4: self.message, 5: self.message, 7: self.configuration}.get(kind)
        if data is None:
            return Answer(NOT_FOUND)
        return Answer(OK, [data[start : start + size]])

    def _header_map(self, kind: int) -> Answer:
        found = {0: self.headers, 6: self.response_headers}.get(kind)
        return Answer(BAD_ARGUMENT) if found is None else Answer(OK, [encode_pairs(found)])

    def _header_value(self, _map: int, name: bytes) -> Answer:
        value = dict(reversed(self.headers)).get(name)
        return Answer(NOT_FOUND) if value is None else Answer(OK, [value])

    def _replace(self, _map: int, name: bytes, value: bytes) -> Answer:
        """The first value is replaced, further ones stay."""
        at = next((at for at, (found, _) in enumerate(self.headers) if found == name), None)
        if at is None:
            self.headers.append((name, value))
        else:
            self.headers[at] = (name, value)
        return Answer()

    def _remove(self, _map: int, name: bytes) -> Answer:
        self.headers = [(found, value) for found, value in self.headers if found != name]
        return Answer()

    def _property(self, path: bytes) -> Answer:
        found = self._find(path.decode().replace("\0", "."))
        return Answer(NOT_FOUND) if found is None else Answer(OK, [found])

    def _find(self, path: str) -> bytes | None:
        return self.stream.get(path, self.node.get(path))

    def _foreign(self, name: bytes, argument: bytes) -> Answer:
        if not self.has_cel:
            return Answer(NOT_FOUND)
        if name == b"expr_create":
            self.expressions.append(argument.decode())
            return Answer(OK, [struct.pack("<I", len(self.expressions) - 1)])
        if name == b"expr_evaluate":
            (token,) = struct.unpack("<I", argument)
            if token >= len(self.expressions):
                return Answer(BAD_ARGUMENT)
            return self._evaluate(self.expressions[token])
        return Answer(NOT_FOUND)

    def _evaluate(self, expression: str) -> Answer:
        """A condition, or a list of paths, each as it is or with a `has` before it."""
        if expression in self.conditions:
            return Answer(OK, [bytes([self.conditions[expression]])])
        if not expression.startswith("[") or "].map(" in expression:
            return Answer(INTERNAL_FAILURE)
        result = evaluate(expression, self._find, encode_pairs)
        return Answer(INTERNAL_FAILURE) if result is None else Answer(OK, [result])

    def _grpc_call(
        self,
        target: bytes,
        service: bytes,
        method: bytes,
        metadata: bytes,
        message: bytes,
        timeout: int,
    ) -> Answer:
        cluster = cluster_of(target)
        if cluster not in self.clusters:
            return Answer(PARSE_FAILURE)
        path = f"/{service.decode()}/{method.decode()}"
        return self._call(cluster, path, decode_pairs(metadata), message, timeout)

    def _http_call(
        self, cluster: bytes, headers: bytes, body: bytes, _trailers: bytes, timeout: int
    ) -> Answer:
        pairs = decode_pairs(headers)
        path = dict(pairs).get(b":path", b"").decode()
        if cluster not in self.clusters:
            return Answer(BAD_ARGUMENT)
        return self._call(cluster, path, pairs, body, timeout, is_http=True)

    def _call(self, *arguments: Any, is_http: bool = False) -> Answer:
        if self.unhealthy:
            return Answer(INTERNAL_FAILURE)
        token = len(self.calls) + 1
        self.calls.append(Call(token, *arguments, is_http=is_http))
        return Answer(OK, [token])

    def _tick_period(self, milliseconds: int) -> Answer:
        self.tick_period = milliseconds
        return Answer()

    def _done(self) -> Answer:
        self.is_done = True
        return Answer()

    def _define(self, _kind: int, name: bytes) -> Answer:
        self.metrics.setdefault(name.decode(), 0)
        return Answer(OK, [list(self.metrics).index(name.decode())])

    def _increment(self, metric: int, delta: int) -> Answer:
        if metric >= len(self.metrics):
            return Answer(BAD_ARGUMENT)
        delta -= (delta >> 63) << 64
        self.metrics[list(self.metrics)[metric]] += delta
        return Answer()

    def _record(self, metric: int, _value: int) -> Answer:
        return Answer(BAD_ARGUMENT if metric >= len(self.metrics) else OK)

    def _shared(self, key: bytes) -> Answer:
        value = self.shared.get(key)
        return Answer(NOT_FOUND) if value is None else Answer(OK, [value, 1])

    def _set_shared(self, key: bytes, value: bytes, _cas: int) -> Answer:
        self.shared[key] = value
        return Answer()

    def _variables(self) -> list[bytes]:
        return [f"{name}={value}\0".encode() for name, value in self.environment.items()]

    def environment_size(self) -> int:
        """Bytes of the environment."""
        return sum(map(len, self._variables()))

    def _environment_sizes(self) -> Answer:
        variables = self._variables()
        return Answer(OK, [len(variables), self.environment_size()])

    def _environment(self, vm: Vm, starts: int, buffer: int) -> Answer:
        for at, variable in enumerate(self._variables()):
            vm.write(starts + 4 * at, struct.pack("<I", buffer))
            vm.write(buffer, variable)
            buffer += len(variable)
        return Answer()

    def _write(self, vm: Vm, _file: int, vectors: int, count: int) -> Answer:
        """What std prints: nothing should come here."""
        written = 0
        for at in range(count):
            start, size = struct.unpack("<II", vm.read(vectors + 8 * at, 8))
            self.lines.append((4, vm.read(start, size).decode(errors="replace")))
            written += size
        return Answer(OK, [written])
