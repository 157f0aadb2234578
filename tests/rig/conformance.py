"""The collector of the conformance suite, which hands on every request as it is."""

from __future__ import annotations

from typing import Any

from rig.collector import Collector, Metrics, Ports, configuration
from rig.mirror import Mirror
from rig.otlp import SIGNALS, Answer, Items, Request, Signal, Wire
from rig.process import Run, wait_for

SMALL_BYTES = 1 << 20
"""The limit of a request at the port that has a small one."""


class Server:
    """A collector, the ports of its receivers, and a mirror behind it; and the account of both."""

    def __init__(self, run: Run, mirror: Mirror) -> None:
        self.mirror = mirror
        self.ports = Ports.free()
        self.small = Ports.free()
        self.full = Ports.free()
        self.collector = Collector(run, self._configuration(), ports=self.ports)
        self.accepted = 0
        """Records that were taken."""

    def take(self, wire: Wire, signal: Signal, request: Request) -> Answer:
        """Send a request that has to be taken."""
        return self.take_encoded(wire, signal, wire.encode(request), Items.count(request))

    def take_encoded(self, wire: Wire, signal: Signal, body: bytes, items: int) -> Answer:
        """Send an encoded request of so many records that has to be taken."""
        answer = wire.send(signal, body)
        assert answer.code.name == "OK", answer
        # Full success leaves partial_success unset, so that nothing is in the answer.
        assert answer.response is not None and answer.response.ByteSize() == 0
        self.accepted += items
        return answer

    def last(self, signal: Signal) -> Request:
        """Wait for everything that was taken, and return the last request of a signal."""
        self.settle()
        return signal.request.FromString(self.mirror.bodies(signal)[-1])

    def last_bytes(self, signal: Signal) -> bytes:
        """Wait for everything that was taken, and return the last request as it came."""
        self.settle()
        return self.mirror.bodies(signal)[-1]

    def settle(self) -> None:
        """Wait until what was taken has arrived; it and nothing else was accepted and sent."""
        wait_for(lambda: self.mirror.items() >= self.accepted, "everything taken has arrived")
        assert self.mirror.items() == self.accepted
        wait_for(self._is_settled, "the account was settled")

    def _is_settled(self) -> bool:
        metrics = self.collector.metrics()
        account = _account(metrics, "otlp_grpc")
        if account["queued"]:
            return False
        assert account == {**_NOTHING, "accepted": self.accepted, "sent": self.accepted}
        for signal in SIGNALS:
            name = f"otelcol_receiver_accepted_{signal.items}"
            accepted = sum(metrics.total(name, receiver=r) for r in ("otlp", "otlp/small"))
            assert accepted == self.mirror.items(signal)
        return True

    def stop(self) -> None:
        """Let the destination that was down come back for what it was acknowledged, and stop."""
        accepted = _account(self.collector.metrics(), "otlp_grpc/dead")["accepted"]
        with Mirror(self.full.health) as late:
            wait_for(lambda: late.items() >= accepted, "what filled the queues has arrived", 60)
            assert self.collector.stop() == 0
            assert late.items() == accepted

    def _configuration(self) -> dict[str, Any]:
        exporter = {"endpoint": f"127.0.0.1:{self.mirror.port}", "tls": {"insecure": True}}
        # Nothing answers there until the end, however late; and its queue holds one request.
        dead = {
            **exporter,
            "endpoint": f"127.0.0.1:{self.full.health}",
            "sending_queue": {"queue_size": 1},
            "retry_on_failure": {
                "initial_interval": "100ms",
                "max_interval": "500ms",
                "max_elapsed_time": 0,
            },
        }
        document = configuration(self.ports, {"otlp_grpc": exporter, "otlp_grpc/dead": dead})
        del document["processors"]
        receivers = document["receivers"]
        receivers["otlp/small"] = _receiver(
            self.small, {"max_recv_msg_size_mib": 1}, {"max_request_body_size": SMALL_BYTES}
        )
        receivers["otlp/full"] = _receiver(self.full, {}, {})
        kept = {"receivers": ["otlp"], "exporters": ["otlp_grpc"]}
        small = {"receivers": ["otlp/small"], "exporters": ["otlp_grpc"]}
        stuck = {"receivers": ["otlp/full"], "exporters": ["otlp_grpc/dead"]}
        pipelines = document["service"]["pipelines"] = {}
        for signal in SIGNALS:
            pipelines[signal.name] = kept
            pipelines[f"{signal.name}/full"] = stuck
        pipelines["traces/small"] = small
        return document


_NOTHING = {"accepted": 0, "sent": 0, "dropped": 0, "queued": 0}


def _account(metrics: Metrics, exporter: str) -> dict[str, int]:
    """Return what became of the records of an exporter."""
    return {
        name: metrics.total(f"spanmesh_account_{name}_items", exporter=exporter)
        for name in _NOTHING
    }


def _receiver(ports: Ports, grpc: dict[str, Any], http: dict[str, Any]) -> dict[str, Any]:
    return {
        "protocols": {
            "grpc": {"endpoint": f"127.0.0.1:{ports.grpc}", **grpc},
            "http": {"endpoint": f"127.0.0.1:{ports.http}", **http},
        }
    }
