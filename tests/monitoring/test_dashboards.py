"""The scrape jobs, the recording rules and the dashboards, in a real Prometheus.

It scrapes an Envoy with the filter and a collector, by the shipped jobs. Only where their targets
come from is the test's: Kubernetes is not there, so what it would say of each pod is written down.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from rig import http, otlp, samples
from rig.certificates import Authority
from rig.collector import Collector, Ports, configuration
from rig.mesh import Solo, alone
from rig.monitoring import DASHBOARDS, MONITORING, RULES, promtool, rules
from rig.ports import free_port
from rig.process import ROOT, Run, wait_for
from rig.prometheus import Prometheus
from rig.sink import Sink

AGENT = (Path(__file__).parent / "agent.prom").read_text()
"""What an agent of Istio serves beside Envoy's statistics. There is none here: this was recorded
from a real one, `pilot-agent` with two modules, of which the registry had one."""

POD = {"__meta_kubernetes_pod_phase": "Running", "__meta_kubernetes_namespace": "observability"}
PROXY_ADDRESS = "10.0.0.7"
COLLECTOR_ADDRESS = "10.0.0.9"


def jobs() -> dict[str, dict[str, Any]]:
    """Return the shipped jobs by name."""
    document = yaml.safe_load((MONITORING / "scrape.yaml").read_text())
    return {job["job_name"]: job for job in document["scrape_configs"]}


def container(address: str, name: str, port_name: str, **labels: str) -> dict[str, Any]:
    """Return a target as Kubernetes' service discovery gives it: one for each declared port."""
    meta = {"pod_name": f"{name}-0", "pod_container_name": name} | labels
    meta["pod_container_port_name"] = port_name
    named = {f"__meta_kubernetes_{key}": value for key, value in meta.items()}
    return {"targets": [address], "labels": {**POD, **named}}


TARGETS = [
    container(f"{PROXY_ADDRESS}:15090", "istio-proxy", "http-envoy-prom", namespace="shop"),
    container(f"{PROXY_ADDRESS}:8080", "cart", "http", namespace="shop"),
    container("10.0.0.8:15090", "istio-proxy", "http-envoy-prom", pod_phase="Succeeded"),
    container(
        f"{COLLECTOR_ADDRESS}:8888",
        "collector",
        "http-metrics",
        pod_label_app_kubernetes_io_name="spanmesh-collector",
    ),
    container(
        f"{COLLECTOR_ADDRESS}:4317",
        "collector",
        "grpc-otlp",
        pod_label_app_kubernetes_io_name="spanmesh-collector",
    ),
    container(
        "10.0.0.10:8888",
        "spanmesh-collector",
        "http-metrics",
        namespace="shop",
        pod_container_init="true",
    ),
    container(
        "10.0.0.12:8888",
        "collector",
        "http-metrics",
        pod_label_app_kubernetes_io_name="spanmesh-collector-agent",
        pod_phase="Pending",
    ),
    container("10.0.0.11:8888", "other", "http-metrics"),
]


def placed(job: dict[str, Any], places: dict[str, int]) -> dict[str, Any]:
    """Return a job that gets the targets from here, and finds those of `places` on this machine."""
    (discovery,) = job["kubernetes_sd_configs"]
    assert discovery == {"role": "pod"}
    # The last word on addresses. The instance is the address that Kubernetes has given.
    moved = [{"source_labels": ["__address__"], "target_label": "instance"}]
    for address, port in places.items():
        moved.append(
            {
                "source_labels": ["__address__"],
                "regex": re.escape(address),
                "replacement": f"127.0.0.1:{port}",
                "target_label": "__address__",
            }
        )
    rest = {key: value for key, value in job.items() if key != "kubernetes_sd_configs"}
    relabeled = [*job["relabel_configs"], *moved]
    return {**rest, "static_configs": TARGETS, "relabel_configs": relabeled}


class Target:
    """Serves metrics as they are when somebody asks."""

    def __init__(self, run: Run, path: str, metrics: Callable[[], str]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # noqa: N802, D102
                body = metrics().encode()
                self.send_response(200 if self.path == path else 404)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        run.on_close(self._server.shutdown)


def agent(run: Run, admin: int) -> Target:
    """Start what an agent's port serves: Envoy's statistics and its own."""
    return Target(
        run,
        "/stats/prometheus",
        lambda: f"{http.request(admin, '/stats/prometheus').text}\n{AGENT}",
    )


def foreign(run: Run) -> list[dict[str, Any]]:
    """Return jobs that are none of ours.

    An OpenTelemetry Collector, with metrics that have the names of ours and grow fast, and a
    node exporter that is down.
    """
    used = {
        name
        for expression in [
            *(query.expression for query in QUERIES),
            *(rule["expr"] for kind in ("alert", "record") for rule in rules(kind).values()),
        ]
        for name in re.findall(r"(?<!:)\botelcol_\w+\b(?!:)", expression)
    }
    labels = '{exporter="otlp_grpc",receiver="otlp",processor="batch",policy="foreign"}'

    def metrics() -> str:
        return "".join(f"{name}{labels} {time.time() * 1000}\n" for name in sorted(used))

    ports = {"otelcol": Target(run, "/metrics", metrics).port, "node-exporter": free_port()}
    return [
        {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
        for name, port in ports.items()
    ]


class Scraped:
    """An Envoy with the filter, a collector with everything that has metrics, and a Prometheus."""

    def __init__(self, run: Run, sink: Sink) -> None:
        self.sink = sink
        ports = Ports.free()
        self.collector = Collector(run, collector_document(run, ports, sink), ports=ports)
        self.solo = Solo(run, collector=self.collector.ports.grpc)
        places = {
            f"{PROXY_ADDRESS}:15020": agent(run, self.solo.envoy.admin).port,
            f"{COLLECTOR_ADDRESS}:8888": self.collector.ports.metrics,
        }
        shipped = [placed(job, places) for job in jobs().values()]
        self.prometheus = Prometheus(run, [*shipped, *foreign(run)], RULES)


def collector_document(run: Run, ports: Ports, sink: Sink) -> dict[str, Any]:
    """Return a configuration in which everything that has metrics takes part."""
    exporter = {
        "endpoint": f"127.0.0.1:{sink.port}",
        "tls": {"insecure": True},
        "sending_queue": {"storage": "file_storage"},
    }
    document = configuration(ports, {"otlp_grpc": exporter})
    document["extensions"]["file_storage"] = {"directory": str(run.directory / "storage")}
    document["service"]["extensions"].append("file_storage")
    identity = Authority(run).issue("collector")
    document["receivers"]["otlp/tls"] = {
        "protocols": {
            "grpc": {
                "endpoint": "127.0.0.1:0",
                "tls": {"cert_file": str(identity.certificate), "key_file": str(identity.key)},
            }
        }
    }
    document["processors"]["memory_limiter"] = {"check_interval": "1s", "limit_mib": 100}
    document["processors"]["probabilistic_sampler"] = {"sampling_percentage": 100}
    for signal, pipeline in document["service"]["pipelines"].items():
        sampler = ["probabilistic_sampler"] if signal != "metrics" else []
        document["service"]["pipelines"][signal] = {
            **pipeline,
            "receivers": ["otlp", "otlp/tls"],
            "processors": ["memory_limiter", *sampler, "batch"],
        }
    return document


@pytest.fixture(scope="module")
def scraped(module_run: Run) -> Iterator[Scraped]:
    """Give the tests all of them, with traffic and with two scrapes since."""
    with Sink() as sink:
        scraped = Scraped(module_run, sink)
        for number in range(20):
            scraped.solo.driver.get(alone(str(number)))
        # A signal that no proxy sends, and a request that is not taken.
        wire = otlp.Http(scraped.collector.ports, otlp.PROTOBUF)
        wire.send(otlp.METRICS, wire.encode(samples.small(otlp.METRICS)))
        wire.send(otlp.TRACES, b"malformed")
        keep_busy(scraped)
        scraped.solo.settle(sink.telemetry)
        made = 2 * len(scraped.solo.driver.made) + 1
        accepted = "sum(spanmesh_account_accepted_items)"
        wait_for(lambda: value(scraped, accepted) == made, "Prometheus has the account", 60)
        rate = 'rate(otelcol_process_cpu_seconds{job="otelcol"}[20s]) > 0'
        wait_for(lambda: scraped.prometheus.query(rate) != [], "so has another collector", 60)
        down = 'up{job="node-exporter"} == 0'
        wait_for(lambda: scraped.prometheus.query(down) != [], "something else is down", 60)
        yield scraped


def keep_busy(scraped: Scraped) -> None:
    """Make requests until Prometheus has seen exports in two scrapes: one alone has no rate."""

    def exports_have_a_rate() -> bool:
        scraped.solo.driver.get(alone("busy"))
        return (value(scraped, "rate(spanmesh_exports_latency_ms_count[20s])") or 0) > 0

    wait_for(exports_have_a_rate, "the time of exports has a rate", 60)


def value(scraped: Scraped, expression: str) -> float | None:
    """Return the one value that an expression has now."""
    found = scraped.prometheus.query(expression)
    return float(found[0]["value"][1]) if found else None


@dataclass(frozen=True)
class Query:
    """A query of a panel."""

    dashboard: str
    panel: str
    expression: str

    def written_out(self, **chosen: str) -> str:
        """Return it as Grafana sends it: a variable that is not chosen stands for everything."""
        values = {**ALL[self.dashboard], **chosen}
        expression = self.expression.replace("$__rate_interval", "20s")
        return re.sub(r"\$(\w+)", lambda match: values[match[1]], expression)

    def metrics(self) -> set[str]:
        """Return the metrics that it reads."""
        names = r"(?:[a-z_]+:)?(?:spanmesh|otelcol|envoy|istio)_\w+(?::\w+)?"
        return set(re.findall(rf"\b(?:{names}|up(?={{))\b", self.expression))


def panels(path: Path) -> list[dict[str, Any]]:
    """Return the panels of a dashboard that show something."""
    return [panel for panel in json.loads(path.read_text())["panels"] if panel["type"] != "row"]


ALL = {
    path.stem: {
        variable["name"]: variable["allValue"]
        for variable in json.loads(path.read_text())["templating"]["list"]
        if variable["type"] == "query"
    }
    for path in DASHBOARDS
}
"""What each variable of a dashboard stands for when everything is chosen."""

QUERIES = [
    Query(path.stem, panel["title"], target["expr"])
    for path in DASHBOARDS
    for panel in panels(path)
    for target in panel["targets"]
]


def test_the_jobs_find_the_agents_port_and_the_collectors_metrics(scraped: Scraped) -> None:
    targets = scraped.prometheus.targets()
    found = {
        (one["labels"]["job"], one["labels"]["instance"]): one["labels"]
        for one in targets
        if one["scrapePool"] in jobs()
    }
    assert {(job, instance, labels["namespace"]) for (job, instance), labels in found.items()} == {
        ("spanmesh-proxies", "10.0.0.7:15020", "shop"),
        ("spanmesh-collector", "10.0.0.9:8888", "observability"),
        # In a pod of something else, as its sidecar.
        ("spanmesh-collector", "10.0.0.10:8888", "shop"),
    }
    assert found["spanmesh-proxies", "10.0.0.7:15020"]["pod"] == "istio-proxy-0"


def test_the_jobs_are_valid(tmp_path: Path) -> None:
    # Debian builds Prometheus without Kubernetes' service discovery, and would not know the key.
    static = [placed(job, {}) for job in jobs().values()]
    path = tmp_path / "prometheus.yaml"
    path.write_text(yaml.safe_dump({"scrape_configs": static}))
    done = promtool("check", "config", path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("record", sorted(rules("record")))
def test_a_recording_rule_gives_something(scraped: Scraped, record: str) -> None:
    wait_for(lambda: scraped.prometheus.query(record) != [], f"{record} has a value", 60)


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: f"{query.dashboard}: {query.panel}")
def test_a_query_of_a_dashboard_returns_data(scraped: Scraped, query: Query) -> None:
    for metric in query.metrics():
        wait_for(lambda name=metric: scraped.prometheus.query(name) != [], f"{metric} is there", 60)
    written = query.written_out()

    def numbers() -> list[str]:
        series = scraped.prometheus.query_range(written, 300)
        return [value for one in series for _, value in one["values"] if value != "NaN"]

    wait_for(lambda: numbers() != [], f"{written} has a value", 60)


@pytest.mark.parametrize(
    "query",
    [query for query in QUERIES if query.dashboard == "collector"],
    ids=lambda query: f"{query.panel}: {query.expression}",
)
def test_the_collectors_dashboard_shows_only_them(scraped: Scraped, query: Query) -> None:
    for metric in query.metrics():
        assert f'{metric}{{job=~"$job", instance=~"$instance"' in query.expression
    # A time for which nothing is added any more, so that both are answered from the same scrapes.
    at = time.time() - 5
    everything, ours = (
        scraped.prometheus.query(expression, at)
        for expression in (query.written_out(), query.written_out(job="spanmesh-collector"))
    )
    assert everything == ours


def test_no_alert_fires_where_all_is_well(scraped: Scraped) -> None:
    """But for what the agent tells of."""
    firing = scraped.prometheus.query('ALERTS{alertstate="firing"}')
    assert {one["metric"]["alertname"] for one in firing} == {"SpanmeshModuleNotFetched"}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_laid_out(path: Path) -> None:
    document = json.loads(path.read_text())
    assert document["uid"] == f"spanmesh-{path.stem}"
    variables = {variable["name"] for variable in document["templating"]["list"]}
    taken: set[tuple[int, int]] = set()
    for panel in document["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in document["panels"]}) == len(document["panels"])
    for panel in panels(path):
        assert panel["description"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        for target in panel["targets"]:
            used = set(re.findall(r"\$(\w+)", target["expr"])) - {"__rate_interval"}
            assert used <= variables, panel["title"]


def test_every_statistic_of_the_filter_is_shown() -> None:
    text = (ROOT / "docs" / "filter-operations.md").read_text()
    documented = {
        name.replace("SIGNAL", signal)
        for name in re.findall(r"^\| `wasmcustom\S+` \| `(\S+)` \|", text, re.M)
        for signal in ("spans", "logs")
    }
    shown = {metric for query in QUERIES for metric in query.metrics()}
    recorded = {
        name for rule in rules("record").values() for name in re.findall(r"\w+", rule["expr"])
    }
    assert documented <= {name.removesuffix("_bucket") for name in shown | recorded}
