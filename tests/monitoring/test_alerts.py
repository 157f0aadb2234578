"""The alerts: each fires when it should, and is silent when not, as promtool computes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from rig.monitoring import RULES, promtool, rules
from rig.process import ROOT

PROXY = 'job="envoy-stats",namespace="shop",pod="cart-0",instance="10.0.0.7:15020"'
OTHER_PROXY = 'job="envoy-stats",namespace="shop",pod="cart-1",instance="10.0.0.8:15020"'
COLLECTOR = 'job="spanmesh-collector",namespace="observability",pod="c-0",instance="10.0.0.9:8888"'
OTHER_COLLECTOR = (
    'job="spanmesh-collector",namespace="observability",pod="c-1",instance="10.0.0.10:8888"'
)
NAMESPACE = 'job="envoy-stats",namespace="shop"'
FOREIGN = COLLECTOR.replace("spanmesh-collector", "otelcol")
"""An OpenTelemetry Collector, whose metrics have the names that ours have."""
MINUTES = 60
"""How long each series is, with a value a minute."""


def labels(text: str) -> dict[str, str]:
    """Read labels as they are written in a series."""
    pairs = (pair.partition("=") for pair in text.split(",") if pair)
    return {name: value.strip('"') for name, _, value in pairs}


@dataclass(frozen=True)
class Case:
    """Series, and what an alert makes of them."""

    alert: str
    what: str
    """The circumstances, in words."""
    series: dict[str, str]
    """In promtool's notation: `1+2x5` is 1, 3, … 11; `_` is no value."""
    at: str
    fires: tuple[tuple[str, str], ...] = ()
    """Labels and summary of each that fires."""


def flat(value: float) -> str:
    return f"{value}x{MINUTES}"


def growing(by: float) -> str:
    return f"0+{by}x{MINUTES}"


def filter_losses(name: str, loss: str) -> dict[str, str]:
    """Return all that the filter can lose, of which one grows."""
    names = [
        f"spanmesh_{signal}_{kind}"
        for signal in ("spans", "logs")
        for kind in ("dropped_queue_full", "dropped_export_failed", "dropped_shutdown", "rejected")
    ]
    assert name in names
    return {f"{one}{{{PROXY}}}": loss if one == name else flat(0) for one in names}


def received(accepted: float, refused: float, by: str = COLLECTOR) -> dict[str, str]:
    both = {"accepted": accepted, "refused": refused}
    at = f'{by},receiver="otlp",transport="grpc"'
    return {f"otelcol_receiver_{k}_spans{{{at}}}": growing(v) for k, v in both.items()}


def queue(size: float, memory: float, of: str = COLLECTOR) -> dict[str, str]:
    at = f'{{{of},exporter="otlp_grpc"}}'
    return {
        f"otelcol_exporter_queue_size{at}": flat(size),
        f"otelcol_exporter_queue_capacity{at}": flat(1000),
        f"spanmesh_exporter_queue_memory_bytes{at}": flat(memory),
        f"spanmesh_exporter_queue_memory_capacity_bytes{at}": flat(1e6),
    }


def memory(budget: float, process: float) -> dict[str, str]:
    return {
        f"spanmesh_memory_budget_used_bytes{{{COLLECTOR}}}": flat(budget),
        f"spanmesh_memory_budget_bytes{{{COLLECTOR}}}": flat(1000),
        f"otelcol_process_memory_rss{{{COLLECTOR}}}": flat(process),
        f"spanmesh_process_memory_limit_bytes{{{COLLECTOR}}}": flat(2000),
    }


def storage(used: float) -> dict[str, str]:
    at = f'{{{COLLECTOR},exporter="otlp_grpc",signal="traces"}}'
    return {
        f"spanmesh_storage_size_bytes{at}": flat(used),
        f"spanmesh_storage_capacity_bytes{at}": flat(1000),
    }


def certificate(days: float) -> dict[str, str]:
    what = 'component="receiver:otlp",transport="grpc",role="certificate",file="/tls.crt"'
    name = "spanmesh_tls_certificate_expiry_timestamp_seconds"
    return {f"{name}{{{COLLECTOR},{what}}}": flat(days * 86400)}


def fetched(result: str, values: str) -> dict[str, str]:
    return {f'istio_agent_wasm_config_conversion_count{{{PROXY},result="{result}"}}': values}


CASES = (
    # --- the filter
    Case(
        "SpanmeshFilterNotLoaded",
        "one of two proxies has no statistics of the filter",
        {
            f"envoy_server_uptime{{{PROXY}}}": growing(60),
            f"envoy_server_uptime{{{OTHER_PROXY}}}": growing(60),
            f"spanmesh_config_rejected{{{OTHER_PROXY}}}": flat(0),
        },
        "11m",
        ((PROXY, "The proxy cart-0 in shop runs without the filter"),),
    ),
    Case(
        "SpanmeshFilterNotLoaded",
        "a proxy that has just started waits for its module",
        {
            f"envoy_server_uptime{{{PROXY}}}": growing(60),
            f"spanmesh_config_rejected{{{PROXY}}}": f"_x5 {flat(0)}",
            f"envoy_server_uptime{{{OTHER_PROXY}}}": growing(60),
            f"spanmesh_config_rejected{{{OTHER_PROXY}}}": flat(0),
        },
        "11m",
    ),
    Case(
        "SpanmeshFilterNotLoaded",
        "no proxy of the namespace has the filter, as before a rollout",
        {f"envoy_server_uptime{{{PROXY}}}": growing(60)},
        "11m",
    ),
    Case(
        "SpanmeshFilterGone",
        "the only proxy of a namespace has lost it",
        {
            f"envoy_server_uptime{{{PROXY}}}": growing(60),
            f"spanmesh_config_rejected{{{PROXY}}}": "0x10",
        },
        "30m",
        ((NAMESPACE, "No proxy in shop has the filter any more"),),
    ),
    Case(
        "SpanmeshFilterGone",
        "hours later it is still gone",
        {
            f"envoy_server_uptime{{{PROXY}}}": f"0+60x{12 * 60}",
            f"spanmesh_config_rejected{{{PROXY}}}": "0x10",
        },
        "12h",
        ((NAMESPACE, "No proxy in shop has the filter any more"),),
    ),
    Case(
        "SpanmeshFilterGone",
        "one of two proxies has lost it",
        {
            f"envoy_server_uptime{{{PROXY}}}": growing(60),
            f"spanmesh_config_rejected{{{PROXY}}}": "0x10",
            f"envoy_server_uptime{{{OTHER_PROXY}}}": growing(60),
            f"spanmesh_config_rejected{{{OTHER_PROXY}}}": flat(0),
        },
        "30m",
    ),
    Case(
        "SpanmeshFilterGone",
        "a proxy has taken another's place, and waits for its module",
        {
            f"envoy_server_uptime{{{PROXY}}}": "0+60x10",
            f"spanmesh_config_rejected{{{PROXY}}}": "0x10",
            f"envoy_server_uptime{{{OTHER_PROXY}}}": f"_x10 {growing(60)}",
            f"spanmesh_config_rejected{{{OTHER_PROXY}}}": f"_x20 {flat(0)}",
        },
        "30m",
    ),
    Case(
        "SpanmeshFilterGone",
        "the namespace has gone with its proxies",
        {
            f"envoy_server_uptime{{{PROXY}}}": "0+60x10",
            f"spanmesh_config_rejected{{{PROXY}}}": "0x10",
        },
        "30m",
    ),
    Case(
        "SpanmeshFilterGone",
        "it was never there",
        {f"envoy_server_uptime{{{PROXY}}}": growing(60)},
        "30m",
    ),
    Case(
        "SpanmeshModuleNotFetched",
        "the first fetch of an agent has failed, so the counter begins with 1",
        fetched("fetch_failure", f"_x3 {flat(1)}"),
        "5m",
        (
            (
                f'{PROXY},result="fetch_failure"',
                "The agent of cart-0 in shop could not get a Wasm module: fetch_failure",
            ),
        ),
    ),
    Case(
        "SpanmeshModuleNotFetched",
        "a later fetch has failed, too",
        fetched("fetch_failure", f"1x30 {flat(2)}"),
        "35m",
        (
            (
                f'{PROXY},result="fetch_failure"',
                "The agent of cart-0 in shop could not get a Wasm module: fetch_failure",
            ),
        ),
    ),
    Case(
        "SpanmeshModuleNotFetched",
        "the failure is long ago",
        fetched("fetch_failure", flat(1)),
        "40m",
    ),
    Case(
        "SpanmeshModuleNotFetched",
        "all fetches succeed, and some modules are local",
        fetched("success", growing(1)) | fetched("no_remote_load", growing(1)),
        "10m",
    ),
    Case(
        "SpanmeshFilterMisconfigured",
        "the VMs of a proxy run with a configuration that was wrong",
        {f"spanmesh_config_rejected{{{PROXY}}}": flat(3)},
        "6m",
        (
            (
                PROXY,
                "The filter of cart-0 in shop has a configuration that it cannot use",
            ),
        ),
    ),
    Case(
        "SpanmeshFilterMisconfigured",
        "the configuration was right",
        {f"spanmesh_config_rejected{{{PROXY}}}": flat(0)},
        "6m",
    ),
    *(
        Case(
            "SpanmeshFilterDropping",
            f"{signal}: {name}",
            filter_losses(f"spanmesh_{signal}_{name}", f"0x10 50x{MINUTES}"),
            "12m",
            (
                (
                    f'{PROXY},signal="{signal}",reason="{reason}"',
                    f"The filter of cart-0 in shop has lost 50 {signal} in 10 minutes: {reason}",
                ),
            ),
        )
        for signal in ("spans", "logs")
        for name, reason in (
            ("dropped_queue_full", "queue_full"),
            ("dropped_export_failed", "export_failed"),
            ("dropped_shutdown", "shutdown"),
            ("rejected", "rejected"),
        )
    ),
    Case(
        "SpanmeshFilterDropping",
        "the loss is long ago",
        filter_losses("spanmesh_spans_dropped_queue_full", flat(50)),
        "30m",
    ),
    Case(
        "SpanmeshFilterNotDelivering",
        "exports fail, and none succeeds",
        {
            f"spanmesh_exports_failed{{{PROXY}}}": growing(2),
            f"spanmesh_spans_sent{{{PROXY}}}": flat(100),
            f"spanmesh_logs_sent{{{PROXY}}}": flat(100),
        },
        "12m",
        ((PROXY, "The filter of cart-0 in shop reaches no collector"),),
    ),
    Case(
        "SpanmeshFilterNotDelivering",
        "some exports fail, and others succeed",
        {
            f"spanmesh_exports_failed{{{PROXY}}}": growing(2),
            f"spanmesh_spans_sent{{{PROXY}}}": growing(100),
            f"spanmesh_logs_sent{{{PROXY}}}": flat(0),
        },
        "12m",
    ),
    Case(
        "SpanmeshFilterNotDelivering",
        "there is no traffic",
        {
            f"spanmesh_exports_failed{{{PROXY}}}": flat(2),
            f"spanmesh_spans_sent{{{PROXY}}}": flat(100),
            f"spanmesh_logs_sent{{{PROXY}}}": flat(100),
        },
        "12m",
    ),
    Case(
        "SpanmeshTraceHeadersOverwritten",
        "headers are overwritten all the time",
        {f"spanmesh_propagation_overwritten{{{PROXY}}}": growing(1)},
        "17m",
        (
            (
                PROXY,
                "Something behind the filter of cart-0 in shop overwrites its trace headers",
            ),
        ),
    ),
    Case(
        "SpanmeshTraceHeadersOverwritten",
        "they were, for a minute, while the Telemetry was applied",
        {f"spanmesh_propagation_overwritten{{{PROXY}}}": f"0 1 2 {flat(3)}"},
        "17m",
    ),
    # --- the collector
    Case(
        "SpanmeshCollectorDown",
        "one of two cannot be scraped",
        {f"up{{{COLLECTOR}}}": flat(0), f"up{{{OTHER_COLLECTOR}}}": flat(1)},
        "6m",
        ((COLLECTOR, "The collector c-0 (10.0.0.9:8888) cannot be scraped"),),
    ),
    Case(
        "SpanmeshCollectorDown",
        "it is restarted",
        {f"up{{{COLLECTOR}}}": f"1x3 0x3 {flat(1)}"},
        "8m",
    ),
    Case(
        "SpanmeshCollectorAbsent",
        "the only one cannot be scraped",
        {f"up{{{COLLECTOR}}}": flat(0)},
        "6m",
        (("", "No collector is up"),),
    ),
    Case(
        "SpanmeshCollectorAbsent",
        "nothing is known of any",
        {},
        "6m",
        (("", "No collector is up"),),
    ),
    Case(
        "SpanmeshCollectorAbsent",
        "one of two is up",
        {f"up{{{COLLECTOR}}}": flat(0), f"up{{{OTHER_COLLECTOR}}}": flat(1)},
        "6m",
    ),
    Case(
        "SpanmeshCollectorRestarting",
        "it has started anew every five minutes",
        {f"otelcol_process_uptime{{{COLLECTOR}}}": "0+60x4 0+60x4 0+60x4 0+60x4"},
        "20m",
        ((COLLECTOR, "The collector c-0 (10.0.0.9:8888) has started 3 times in 30 minutes"),),
    ),
    Case(
        "SpanmeshCollectorRestarting",
        "it was restarted once",
        {f"otelcol_process_uptime{{{COLLECTOR}}}": "0+60x10 0+60x10"},
        "20m",
    ),
    Case(
        "SpanmeshCollectorRestarting",
        "an OpenTelemetry Collector has",
        {f"otelcol_process_uptime{{{FOREIGN}}}": "0+60x4 0+60x4 0+60x4 0+60x4"},
        "20m",
    ),
    Case(
        "SpanmeshExportFailing",
        "the destination takes nothing from both collectors",
        {
            f'spanmesh_exporter_failing{{{COLLECTOR},exporter="otlp_grpc"}}': flat(1),
            f'spanmesh_exporter_failing{{{OTHER_COLLECTOR},exporter="otlp_grpc"}}': flat(1),
        },
        "11m",
        (
            (
                'job="spanmesh-collector",namespace="observability",exporter="otlp_grpc"',
                "The destination otlp_grpc takes nothing from any collector",
            ),
        ),
    ),
    Case(
        "SpanmeshExportFailing",
        "it takes something from one of them",
        {
            f'spanmesh_exporter_failing{{{COLLECTOR},exporter="otlp_grpc"}}': flat(1),
            f'spanmesh_exporter_failing{{{OTHER_COLLECTOR},exporter="otlp_grpc"}}': flat(0),
        },
        "11m",
    ),
    Case(
        "SpanmeshExportUnsteady",
        "it fails half of the time",
        {f'spanmesh_exporter_failing{{{COLLECTOR},exporter="otlp_grpc"}}': "0 1 " * 30},
        "40m",
        (
            (
                f'{COLLECTOR},exporter="otlp_grpc"',
                "Of the last half hour, the destination otlp_grpc has failed 48.39% for c-0"
                " (10.0.0.9:8888)",
            ),
        ),
    ),
    Case(
        "SpanmeshExportUnsteady",
        "it has failed for three minutes",
        {f'spanmesh_exporter_failing{{{COLLECTOR},exporter="otlp_grpc"}}': f"0x20 1x3 {flat(0)}"},
        "40m",
    ),
    Case(
        "SpanmeshCollectorDropping",
        "what was accepted was given up",
        {
            f'spanmesh_account_dropped_items{{{COLLECTOR},exporter="otlp_grpc",signal="traces",'
            'reason="retries_exhausted"}': f"0x10 90x{MINUTES}"
        },
        "12m",
        (
            (
                'job="spanmesh-collector",namespace="observability",exporter="otlp_grpc",'
                'signal="traces",reason="retries_exhausted"',
                "90 items of traces for otlp_grpc were dropped in 10 minutes: retries_exhausted",
            ),
        ),
    ),
    Case(
        "SpanmeshCollectorDropping",
        "the loss is long ago",
        {
            f'spanmesh_account_dropped_items{{{COLLECTOR},exporter="otlp_grpc",signal="traces",'
            'reason="retries_exhausted"}': flat(90)
        },
        "30m",
    ),
    Case(
        "SpanmeshCollectorDefect",
        "items were forgotten",
        {
            f'spanmesh_account_dropped_items{{{COLLECTOR},exporter="otlp_grpc",signal="logs",'
            'reason="lost"}': growing(1)
        },
        "30m",
        (
            (
                'job="spanmesh-collector",namespace="observability",exporter="otlp_grpc",'
                'signal="logs"',
                "30 items of logs for otlp_grpc were lost by a defect of the collector",
            ),
        ),
    ),
    Case(
        "SpanmeshCollectorDefect",
        "items were dropped for a reason",
        {
            f'spanmesh_account_dropped_items{{{COLLECTOR},exporter="otlp_grpc",signal="logs",'
            'reason="queue_full"}': growing(1)
        },
        "30m",
    ),
    Case(
        "SpanmeshCollectorRefusing",
        "a tenth is refused",
        received(accepted=900, refused=100),
        "16m",
        (
            (
                f'{COLLECTOR},signal="traces"',
                "The collector c-0 (10.0.0.9:8888) refuses 10% of traces",
            ),
        ),
    ),
    Case(
        "SpanmeshCollectorRefusing",
        "one in a thousand is",
        received(accepted=999, refused=1),
        "16m",
    ),
    Case("SpanmeshCollectorRefusing", "nothing comes", received(0, 0), "16m"),
    Case(
        "SpanmeshCollectorRefusing",
        "an OpenTelemetry Collector does",
        received(accepted=900, refused=100, by=FOREIGN),
        "16m",
    ),
    Case(
        "SpanmeshCollectorRejecting",
        "malformed requests come all the time",
        {
            f'spanmesh_receiver_rejected_requests{{{COLLECTOR},receiver="otlp",transport="http",'
            'signal="logs",reason="malformed"}': growing(1)
        },
        "21m",
        (
            (
                'job="spanmesh-collector",namespace="observability",receiver="otlp",'
                'transport="http",signal="logs",reason="malformed"',
                "otlp has not taken 10 requests of logs over http in 10 minutes: malformed",
            ),
        ),
    ),
    Case(
        "SpanmeshCollectorRejecting",
        "one came, and no more",
        {
            f'spanmesh_receiver_rejected_requests{{{COLLECTOR},receiver="otlp",transport="http",'
            'signal="logs",reason="malformed"}': f"0x3 {flat(1)}"
        },
        "21m",
    ),
    *(
        Case(
            "SpanmeshQueueNearFull",
            f"by {unit}",
            queue(size, memory_bytes),
            "6m",
            (
                (
                    f'{COLLECTOR},exporter="otlp_grpc"',
                    "The queue of otlp_grpc in c-0 (10.0.0.9:8888) is 90% full",
                ),
            ),
        )
        for unit, size, memory_bytes in (("sizer", 900, 1e5), ("bytes", 10, 9e5))
    ),
    Case("SpanmeshQueueNearFull", "two thirds are used", queue(660, 6.6e5), "6m"),
    Case(
        "SpanmeshQueueNearFull",
        "that of an OpenTelemetry Collector is full",
        {
            name: values
            for name, values in queue(1000, 0, of=FOREIGN).items()
            if name.startswith("otelcol_")
        },
        "6m",
    ),
    *(
        Case(
            "SpanmeshMemoryNearLimit",
            f"of the {what}",
            memory(budget, process),
            "6m",
            ((COLLECTOR, "The collector c-0 (10.0.0.9:8888) uses 95% of its memory"),),
        )
        for what, budget, process in (("budget", 950, 1000), ("process", 100, 1900))
    ),
    Case("SpanmeshMemoryNearLimit", "there is room in both", memory(800, 1700), "6m"),
    Case(
        "SpanmeshStorageNearFull",
        "most of it is used",
        storage(850),
        "6m",
        (
            (
                f'{COLLECTOR},exporter="otlp_grpc",signal="traces"',
                "The queue on disk of otlp_grpc for traces in c-0 (10.0.0.9:8888) is 85% full",
            ),
        ),
    ),
    Case("SpanmeshStorageNearFull", "half of it is used", storage(500), "6m"),
    Case(
        "SpanmeshCertificateNearExpiry",
        "it is valid for less than a week",
        certificate(days=3),
        "61m",
        (
            (
                f'{COLLECTOR},component="receiver:otlp",transport="grpc",role="certificate",'
                'file="/tls.crt"',
                "/tls.crt of receiver:otlp in c-0 (10.0.0.9:8888) expires in 2d 22h 59m 0s",
            ),
        ),
    ),
    Case("SpanmeshCertificateNearExpiry", "it is valid for a month", certificate(days=30), "61m"),
    Case(
        "SpanmeshConfigurationRefused",
        "the last reading was refused",
        {f"spanmesh_config_last_reload_successful{{{COLLECTOR}}}": flat(0)},
        "6m",
        (
            (
                COLLECTOR,
                "The collector c-0 (10.0.0.9:8888) has refused its new configuration",
            ),
        ),
    ),
    Case(
        "SpanmeshConfigurationRefused",
        "it was taken over",
        {f"spanmesh_config_last_reload_successful{{{COLLECTOR}}}": flat(1)},
        "6m",
    ),
)


def expected(case: Case) -> list[dict[str, object]]:
    """Return what promtool is to find: all annotations, with the summary of the case."""
    rule = rules("alert")[case.alert]
    return [
        {
            "exp_labels": {**rule["labels"], **labels(text)},
            "exp_annotations": {**rule["annotations"], "summary": summary},
        }
        for text, summary in case.fires
    ]


def run_cases(folder: Path, cases: tuple[Case, ...]) -> tuple[int, str]:
    document = {
        "rule_files": [str(path) for path in RULES],
        "evaluation_interval": "1m",
        "tests": [
            {
                "name": f"{case.alert}: {case.what}",
                "interval": "1m",
                "input_series": [
                    {"series": name, "values": values} for name, values in case.series.items()
                ],
                "alert_rule_test": [
                    {
                        "eval_time": case.at,
                        "alertname": case.alert,
                        "exp_alerts": expected(case),
                    }
                ],
            }
            for case in cases
        ],
    }
    path = folder / "alerts.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    done = promtool("test", "rules", path)
    return done.returncode, done.stdout + done.stderr


def test_the_rules_are_valid() -> None:
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", *RULES)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", sorted(rules("alert")))
def test_an_alert_fires_when_it_should_and_is_silent_when_not(tmp_path: Path, alert: str) -> None:
    cases = tuple(case for case in CASES if case.alert == alert)
    assert {bool(case.fires) for case in cases} == {True, False}, "a case of each kind"
    status, said = run_cases(tmp_path, cases)
    assert status == 0, said


def test_a_case_that_does_not_hold_is_noticed(tmp_path: Path) -> None:
    """Turn a case of each kind around, so that promtool has to fail."""
    turned = {bool(case.fires): case for case in CASES}
    for case in turned.values():
        fires = () if case.fires else (("", "Something else"),)
        status, _ = run_cases(tmp_path, (Case(**{**vars(case), "fires": fires}),))
        assert status != 0, f"{case.alert}: {case.what}"


@pytest.mark.parametrize("kind", ["alert", "record"])
def test_what_opentelemetry_collectors_have_too_is_asked_of_ours(kind: str) -> None:
    for name, rule in rules(kind).items():
        # Names of recorded series have a colon before them.
        for selector in re.findall(r"(?<!:)\botelcol_\w+(?!:)\b\S*", rule["expr"]):
            assert '{job=~"spanmesh-collector.*"}' in selector, name


def test_every_alert_has_a_paragraph_in_the_runbook() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    for name, rule in rules("alert").items():
        assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{name.lower()}"
        assert f"\n### {name}\n\n" in text, name
        assert rule["labels"]["severity"] in {"warning", "critical"}
    documented = {line[4:] for line in text.splitlines() if line.startswith("### Spanmesh")}
    assert documented == set(rules("alert"))


def test_every_record_is_named_by_level_metric_and_operation() -> None:
    for name in rules("record"):
        assert len(name.split(":")) == 3, name
