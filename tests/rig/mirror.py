"""An OTLP/gRPC server that keeps requests as the bytes that they were, and takes all of them."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent import futures

import grpc

from rig.otlp import SIGNALS, Items, Signal


class Mirror:
    """Keeps what it receives on a loopback port."""

    def __init__(self, port: int = 0) -> None:
        """Choose a port, unless one is given."""
        self._lock = threading.Lock()
        self._kept: dict[Signal, list[bytes]] = {signal: [] for signal in SIGNALS}
        self._items: Counter[Signal] = Counter()
        options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 80 << 20)]
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=8), options=options)
        self._server.add_generic_rpc_handlers(
            [
                grpc.method_handlers_generic_handler(
                    signal.service,
                    {"Export": grpc.unary_unary_rpc_method_handler(self._keeper(signal))},
                )
                for signal in SIGNALS
            ]
        )
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")

    def __enter__(self) -> Mirror:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(grace=None).wait()

    def bodies(self, signal: Signal) -> list[bytes]:
        """Return the requests of a signal, as they came."""
        with self._lock:
            return list(self._kept[signal])

    def items(self, *signals: Signal) -> int:
        """Count the records of these signals, or of all."""
        with self._lock:
            return sum(self._items[signal] for signal in signals or SIGNALS)

    def _keeper(self, signal: Signal) -> grpc.RpcMethodHandler:
        def keep(body: bytes, _: grpc.ServicerContext) -> bytes:
            items = Items.count(signal.request.FromString(body))
            with self._lock:
                self._kept[signal].append(body)
                self._items[signal] += items
            return b""

        return keep
