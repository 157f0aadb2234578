"""Every collector that the Helm chart renders runs and passes spans on, and so does `helm test`."""

from __future__ import annotations

import re
import subprocess

import grpc
import pytest
from rig import chart, http
from rig.chart import of_kind
from rig.collector import Collector
from rig.istio.modules import WebServer
from rig.load import spans
from rig.otlp import TRACES
from rig.process import Run, wait_for
from rig.rendered import Mesh

CASES = [case for case in chart.CASES if case != "filter-only"]
SPANS = 3


def start(run: Run, case: str) -> Mesh:
    found = chart.case(case)
    return Mesh(run, chart.collector_configurations(found))


def send(mesh: Mesh, name: str, numbers: range) -> set[str]:
    """Send spans to a collector, which has to take them; return their ids."""
    endpoint = f"127.0.0.1:{mesh.ports[name].grpc}"
    receiver = mesh.documents[name]["receivers"]["otlp"]["protocols"]["grpc"]
    if "tls" in receiver:
        assert mesh.identity is not None
        identity = mesh.identity
        credentials = grpc.ssl_channel_credentials(
            identity.authority.read_bytes(),
            identity.key.read_bytes(),
            identity.certificate.read_bytes(),
        )
        options = [("grpc.ssl_target_name_override", "spanmesh-collector")]
        channel = grpc.secure_channel(endpoint, credentials, options)
    else:
        channel = grpc.insecure_channel(endpoint)
    request, ids = spans(numbers)
    with channel:
        channel.unary_unary(TRACES.grpc_path)(request.SerializeToString(), timeout=60)
    return {one.hex() for one in ids}


def account(collector: Collector) -> dict[str, int]:
    """Return the account of the spans, over all destinations."""
    metrics = collector.metrics()
    terms = ("accepted", "recovered", "sent", "sampled_out", "dropped", "queued")
    return {
        term: metrics.total(f"spanmesh_account_{term}_items", signal="traces") for term in terms
    }


@pytest.mark.parametrize("case", CASES)
def test_spans_pass(run: Run, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    monkeypatch.setenv("BACK_END_TOKEN", "secret")
    monkeypatch.setenv("NODE_NAME", "node-1")
    mesh = start(run, case)
    sent: set[str] = set()
    sampled_out = 0
    for number, name in enumerate(mesh.collectors):
        sent |= send(mesh, name, range(number * SPANS, (number + 1) * SPANS))
    assert len(sent) == SPANS * len(mesh.collectors)

    # Gateway, agent, sidecar: each also gets what the layers before it send.
    for number, collector in enumerate(mesh.collectors.values()):
        demanded = SPANS * (len(mesh.collectors) - number)
        wait_for(lambda c=collector, d=demanded: settled(c, d), f"{collector.name} is done", 60)
        found = account(collector)
        assert found["accepted"] == found["sent"] + found["sampled_out"]
        assert (found["dropped"], found["recovered"]) == (0, 0)
        samples = "probabilistic_sampler" in mesh.documents[collector.name]["processors"]
        assert not found["sampled_out"] or samples
        sampled_out += found["sampled_out"]
    last = next(iter(mesh.documents.values()))
    if last["service"]["pipelines"]["traces"]["exporters"] != ["debug"]:
        assert mesh.arrived() <= sent
        assert len(mesh.arrived()) == len(sent) - sampled_out


def settled(collector: Collector, demanded: int) -> bool:
    """Whether the collector has accepted so many spans, and nothing waits."""
    found = account(collector)
    return found["accepted"] == demanded and found["queued"] == 0


@pytest.mark.parametrize("case", ["mode=deployment", "mode=layers", "strict-mtls"])
def test_what_helm_test_runs_passes(run: Run, case: str) -> None:
    mesh = start(run, case)
    ports = mesh.ports["spanmesh-collector"]
    (pod,) = of_kind(chart.case(case), "Pod")
    agent = WebServer(run, b"")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    (container,) = pod["spec"]["containers"]
    script = container["command"][-1]
    host = re.search(r"^host=(\S+)$", script, re.MULTILINE)
    assert host is not None
    script = script.replace(host[1], "127.0.0.1")
    for port, own in (("13133", ports.health), ("4318", ports.http), ("8888", ports.metrics)):
        script = script.replace(f"$host:{port}", f"$host:{own}")
    script = script.replace("127.0.0.1:15020", f"127.0.0.1:{agent.port}")

    def ran() -> subprocess.CompletedProcess[str]:
        argv = [*container["command"][:-1], script]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)

    wait_for(lambda: http.request(ports.health, "/").status == 200, "the collector is ready", 60)
    done = ran()
    assert done.returncode == 0, done.stderr
    collector = mesh.collectors["spanmesh-collector"]
    assert account(collector)["accepted"] == 1
    wait_for(lambda: account(collector)["sent"] == 1, "the span went on", 60)
    # A proxy is told to end, whatever comes of the test.
    ends = int(pod["metadata"]["labels"]["sidecar.istio.io/inject"] == "true")
    assert (case, agent.posted) == (case, ["/quitquitquit"] * ends)
    collector.stop()
    assert ran().returncode != 0
    assert agent.posted == ["/quitquitquit"] * 2 * ends


def test_the_policies_let_helm_test_in() -> None:
    found = chart.case("strict-mtls")
    (pod,) = of_kind(found, "Pod")
    labels = pod["metadata"]["labels"].items()
    (policy,) = of_kind(found, "NetworkPolicy")
    for rule in policy["spec"]["ingress"]:
        sources = [one.get("podSelector", {}).get("matchLabels") for one in rule.get("from", [])]
        assert "from" not in rule or any(one and one.items() <= labels for one in sources)
    (rule,) = of_kind(found, "AuthorizationPolicy")[0]["spec"]["rules"]
    account = pod["spec"]["serviceAccountName"]
    identities = [one for f in rule["from"] for one in f["source"].get("principals", [])]
    assert identities == [f"*/ns/{chart.NAMESPACE}/sa/{account}"]
    # What the collector's proxy does not take is sent past the pod's own.
    annotations = pod["metadata"]["annotations"]
    (workload,) = chart.workloads(found)
    past = workload["spec"]["template"]["metadata"]["annotations"]
    assert (
        annotations["traffic.sidecar.istio.io/excludeOutboundPorts"]
        == past["traffic.sidecar.istio.io/excludeInboundPorts"]
    )
