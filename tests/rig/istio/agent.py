"""Istio's agent as a sidecar's container runs it: it fetches modules, and starts Envoy itself."""

from __future__ import annotations

import json
import os

from rig import http
from rig.collector import Metrics
from rig.istio.proxy import Proxy, bootstrap
from rig.istio.tools import tool
from rig.istio.workloads import Workload
from rig.ports import free_port
from rig.process import Run
from rig.programs import envoy_binary

STATUS_PORT = 15020
"""Of the agent, on all interfaces: one agent in each network."""

# The first is a constant of the agent's, so that each gets a /var/lib of its own. The second has
# its sockets, whose paths must be short.
_DATA = "/var/lib/istio/data"
_CONFIG = "/var/lib/istio/proxy"
_MOUNT = (
    f'mount -t tmpfs none /var/lib && mkdir -p {_DATA} {_CONFIG} && cd "$1" && shift && exec "$@"'
)


class AgentProxy(Proxy):
    """A sidecar with its agent: everything that Envoy is told passes through it."""

    def __init__(self, run: Run, workload: Workload, *, discovery: int) -> None:
        """Start it, in the network of the caller, with a /var/lib of its own."""
        self.name = workload.name
        self.workload = workload
        self.admin = free_port()
        self._run = run
        self._discovery = discovery
        self._directory = run.directory / f"{self.name}.agent"
        self._directory.mkdir()
        template = run.write(f"{self.name}.bootstrap.tmpl", self._template())
        self._config = {
            "binaryPath": str(envoy_binary()),
            "discoveryAddress": f"127.0.0.1:{discovery}",
            "controlPlaneAuthPolicy": "NONE",
            "configPath": _CONFIG,
            "proxyBootstrapTemplatePath": str(template),
            "statusPort": STATUS_PORT,
            "concurrency": 1,
            "terminationDrainDuration": "1s",
        }
        self.start()

    def start(self) -> None:
        """Start the agent, also again after an end."""
        arguments = ["proxy", "sidecar", "--proxyLogLevel=warning", "--log_output_level=wasm:debug"]
        command = [tool("pilot-agent"), *arguments]
        self.process = self._run.spawn(
            f"{self.name}.agent",
            ["unshare", "--mount", "sh", "-c", _MOUNT, "sh", self._directory, *command],
            self._environment(),
        )

    def _environment(self) -> dict[str, str]:
        metadata = self.workload.node()["metadata"]
        return {
            "PATH": os.environ["PATH"],
            "PROXY_CONFIG": json.dumps(self._config),
            "FILE_MOUNTED_CERTS": "true",
            "CLOUD_PLATFORM": "none",
            "TRUST_DOMAIN": "cluster.local",
            "POD_NAME": self.workload.pod,
            "POD_NAMESPACE": self.workload.namespace,
            "INSTANCE_IP": self.workload.ip,
            "WASM_INSECURE_REGISTRIES": "*",
            "ISTIO_METAJSON_LABELS": json.dumps(metadata["LABELS"]),
            **{
                f"ISTIO_META_{key}": metadata[key]
                for key in ("INTERCEPTION_MODE", "CLUSTER_ID", "WORKLOAD_NAME", "MESH_ID", "OWNER")
            },
        }

    def _template(self) -> str:
        """Return the bootstrap as the agent fills it in: the node, and itself as control plane."""
        document = bootstrap(self.workload, discovery=self._discovery, admin=self.admin)
        node = {"id": "{{ .nodeID }}", "cluster": "{{ .cluster }}", "metadata": "@metadata@"}
        document["node"] = node
        [cluster] = document["static_resources"]["clusters"]
        [endpoint] = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
        endpoint["endpoint"]["address"] = {"pipe": {"path": "{{ .config.ConfigPath }}/XDS"}}
        return json.dumps(document, indent=1).replace('"@metadata@"', "{{ .meta_json_str }}")

    def metrics(self) -> Metrics:
        """Return the agent's own metrics, such as `istio_agent_wasm_config_conversion_count`."""
        text = http.request(STATUS_PORT, "/stats/prometheus").text
        lines = [line for line in text.splitlines() if line.startswith("istio_agent_")]
        return Metrics.parse("\n".join(lines))

    def conversions(self) -> dict[str, int]:
        """Return what has become of the modules that the agent was told of, by result."""
        return self._by_result("istio_agent_wasm_config_conversion_count")

    def fetches(self) -> dict[str, int]:
        """Return what has become of the downloads, by result."""
        return self._by_result("istio_agent_wasm_remote_fetch_count")

    def _by_result(self, name: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for (key, labels), value in self.metrics().samples.items():
            if key == name:
                result = dict(labels).get("result", "")
                found[result] = found.get(result, 0) + int(value)
        return found
