"""Runs configurations that name hosts and fixed ports natively, on free loopback ports.

A host of a compose file, or a pod, has ports of its own; here every (host, port) becomes one free
port on 127.0.0.1. The files are used as they are shipped: nothing but addresses and paths changes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from rig.ports import free_port

_OWN = {"127.0.0.1", "0.0.0.0", "localhost", "::"}
_ENDPOINT = re.compile(r"(?P<scheme>https?://)?(?P<host>[\w.:-]+):(?P<port>\d+)")


@dataclass
class Hosts:
    """The free ports that stand for the ports of hosts."""

    _ports: dict[tuple[str, int], int] = field(default_factory=dict)

    def port(self, host: str, port: int, *, owner: str = "") -> int:
        """Return the port that stands for host:port as seen on the host `owner`."""
        key = (owner if host in _OWN else host, port)
        if key not in self._ports:
            self._ports[key] = free_port()
        return self._ports[key]

    def endpoint(self, text: str, owner: str) -> str:
        """Map one `[scheme]host:port`; return any other text as it is."""
        found = _ENDPOINT.fullmatch(text)
        if found is None:
            return text
        mapped = self.port(found["host"], int(found["port"]), owner=owner)
        return f"{found['scheme'] or ''}127.0.0.1:{mapped}"

    def map(self, node: Any, owner: str, paths: dict[str, str] | None = None) -> Any:
        """Map every address and every path prefix of `paths` in a document."""
        if isinstance(node, list):
            return [self.map(item, owner, paths) for item in node]
        if isinstance(node, str):
            for prefix, replacement in (paths or {}).items():
                if node.startswith(prefix):
                    return replacement + node.removeprefix(prefix)
            return self.endpoint(node, owner)
        if not isinstance(node, dict):
            return node
        mapped = {key: self.map(value, owner, paths) for key, value in node.items()}
        for host, port in (("address", "port_value"), ("host", "port")):
            if isinstance(node.get(host), str) and isinstance(node.get(port), int):
                mapped[host] = "127.0.0.1"
                mapped[port] = self.port(node[host], node[port], owner=owner)
        return mapped
