"""What a collector is given to do, and how it is loaded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Transport = Literal["grpc", "http"]
Signal = Literal["traces", "logs"]
Compression = Literal["none", "gzip"]
Output = Literal["otlp_grpc", "nop"]


@dataclass(frozen=True)
class Work:
    """From which socket to which: receive, batch by 8192 items or 200 ms, send."""

    signal: Signal = "traces"
    transport: Transport = "grpc"
    """How it comes in."""
    compression: Compression = "none"
    """Of what comes in and of what goes out."""
    output: Output = "otlp_grpc"
    """Where it goes: on by OTLP/gRPC, or nowhere, without batches."""
    items_per_request: int = 100
    frame_bytes: int | None = None
    """How large the frames of HTTP/2 are that come in; as large as the server allows without."""

    @property
    def items(self) -> str:
        """What the items are called."""
        return "spans" if self.signal == "traces" else "log records"

    def describe(self) -> str:
        """Return the load's options that follow from it."""
        return " ".join(self.options())

    def options(self) -> list[str]:
        """Return the load's options that follow from it."""
        options = [f"--items-per-request={self.items_per_request}"]
        if self.frame_bytes is not None:
            options.append(f"--frame-bytes={self.frame_bytes}")
        if self.signal != "traces":
            options.append(f"--signal={self.signal}")
        if self.transport != "grpc":
            options.append(f"--transport={self.transport}")
        return [*options, "--gzip"] if self.compression == "gzip" else options


@dataclass(frozen=True)
class Load:
    """How much of the work there is, and how fast it comes."""

    items: int
    warm_up: int
    connections: int = 4
    in_flight: int = 4
    rate: int | None = None
    """Items per second; as fast as the collector answers without."""

    def of(self, items: int) -> Load:
        """Return the same with another number of items."""
        return replace(self, items=items)

    def options(self) -> list[str]:
        """Return the options of the load's command line."""
        options = [
            f"--items={self.items}",
            f"--connections={self.connections}",
            f"--in-flight={self.in_flight}",
        ]
        return options if self.rate is None else [*options, f"--rate={self.rate}"]

    def describe(self, work: Work) -> str:
        """Return the command line, as Markdown."""
        command = " ".join(["bench-load", *self.options(), *work.options()])
        return f"`{command}` after {self.warm_up} {work.items} of warm-up"
