"""Values that the Helm chart refuses: unknown and wrong ones, and those that contradict others."""

from __future__ import annotations

import pytest
from rig import chart
from rig.chart import HELM_VERSIONS

CONTRADICTIONS = [
    (
        "mode=daemonset gateway.config.processors.batch.timeout=1s",
        "mode daemonset has no gateway: expected agent.config",
    ),
    (
        "agent.config.processors.batch.timeout=1s",
        "mode deployment has no agent: expected gateway.config",
    ),
    ("sidecar.alternateConfig.receivers=a", "mode deployment has no sidecar"),
    (
        "gateway.config.processors.batch.timeout=1s gateway.alternateConfig.receivers=a",
        "gateway.config and gateway.alternateConfig are both set",
    ),
    (
        "collector.terminationGracePeriodSeconds=25",
        "is 25, expected at least collector.drainTimeoutSeconds (20) and 10 more",
    ),
    ("mode=daemonset gateway.autoscaling.enabled=true", "mode daemonset has no gateway"),
    (
        "gateway.autoscaling.enabled=true gateway.autoscaling.minReplicas=20",
        "minReplicas is 20, expected no more than maxReplicas, 10",
    ),
    (
        "gateway.autoscaling.enabled=true gateway.autoscaling.targetCPUUtilizationPercentage=0",
        "without a metric",
    ),
    ("gateway.podDisruptionBudget.minAvailable=1", "minAvailable and maxUnavailable are both set"),
    ("mode=statefulset gateway.rollingUpdate.maxSurge=1", "but a StatefulSet has none"),
    ("gateway.rollingUpdate.partition=1", "but a Deployment has none"),
    (
        "mode=layers gateway.kind=Deployment gateway.rollingUpdate.partition=1",
        "expected maxUnavailable or maxSurge",
    ),
    ("agent.hostPort.enabled=true", "mode deployment has no agent: expected daemonset or layers"),
    (
        "mode=daemonset agent.hostPort.enabled=true agent.rollingUpdate.maxSurge=1",
        "cannot have the same host ports",
    ),
    (
        "monitoring.serviceMonitor.enabled=true monitoring.podMonitor.enabled=true",
        "every collector would be scraped twice",
    ),
    ("mode=sidecar monitoring.serviceMonitor.enabled=true", "mode sidecar has no Service"),
    ("mode=sidecar collector.tls.enabled=true", "loopback address only"),
    ("collector.tls.enabled=true collector.tls.certManager.enabled=true", "without an issuer"),
    ("collector.tls.certManager.enabled=true", "but collector.tls.enabled is false"),
    ("collector.tls.enabled=true", "the filters would speak plaintext to it"),
    ("collector.tls.enabled=true istio.injectCollector=true", "the mesh encrypts already"),
    (
        "istio.peerAuthentication.enabled=true",
        "istio.peerAuthentication.enabled is true without istio.injectCollector",
    ),
    ("istio.authorizationPolicy.enabled=true", "without istio.injectCollector"),
    ("istio.requestAuthentication.enabled=true", "without istio.injectCollector"),
    ("istio.injectCollector=true istio.enabled=false", "but istio.enabled is false"),
    ("istio.injectCollector=true istio.authorizationPolicy.enabled=true", "nobody may send"),
    (
        "istio.injectCollector=true istio.authorizationPolicy.enabled=true "
        "istio.authorizationPolicy.requestPrincipals={a}",
        "no JWT is checked",
    ),
    (
        "istio.injectCollector=true istio.requestAuthentication.enabled=true",
        "without istio.requestAuthentication.jwtRules",
    ),
    (
        "istio.injectCollector=true istio.requestAuthentication.enabled=true "
        "istio.requestAuthentication.jwtRules[0].issuer=a",
        "requests without a token would pass",
    ),
    ("istio.ingress.enabled=true istio.ingress.credentialName=a", "without istio.ingress.hosts"),
    ("istio.ingress.enabled=true istio.ingress.hosts={a}", "without istio.ingress.credentialName"),
    (
        "mode=sidecar istio.ingress.enabled=true istio.ingress.hosts={a} "
        "istio.ingress.credentialName=b",
        "mode sidecar has no Service to lead to",
    ),
    (
        "istio.injectCollector=true istio.authorizationPolicy.enabled=true "
        "istio.authorizationPolicy.namespaces={istio-system} istio.ingress.enabled=true "
        "istio.ingress.hosts={a} istio.ingress.credentialName=b",
        "what comes through the gateway has the gateway's identity",
    ),
    ("collector.enabled=false", "does not say where the filter sends"),
    ("filter.api=EnvoyFilter", "has no module.sha256"),
    (
        f"filter.api=EnvoyFilter filter.module.sha256={'1' * 64} filter.module.imagePullSecret=a",
        "are not for EnvoyFilter",
    ),
    (
        "filter.targets[0].name=a filter.targets[1].name=a filter.targets[1].namespace=b",
        "two items of the name a",
    ),
    (
        "filter.targets[0].name=a filter.targets[1].name=b filter.targets[1].namespace=shop",
        "a is the whole mesh, so proxies of b would have the filter twice",
    ),
    (
        "filter.targets[0].name=a filter.targets[0].namespace=shop filter.targets[1].name=b "
        "filter.targets[1].namespace=shop filter.targets[1].selector.app=c",
        "a is the whole namespace of b",
    ),
    (
        "filter.targets[0].name=a filter.targets[0].selector.app=c "
        "filter.targets[0].targetRefs[0].kind=Gateway filter.targets[0].targetRefs[0].name=g",
        "has a selector and targetRefs",
    ),
    (
        f"filter.api=EnvoyFilter filter.module.sha256={'1' * 64} "
        "filter.targets[0].name=a filter.targets[0].match[0].mode=SERVER",
        "has a match, which EnvoyFilter has not",
    ),
]

REFUSED = [
    "mode=cluster",
    "replicas=3",
    "image.registry=a",
    "image.digest=sha256:1",
    "filter.modul.url=a",
    "filter.module.url=ftp://a",
    "filter.module.sha256=abc",
    "filter.failStrategy=OPEN",
    "filter.config.sampler.rate=1",
    "filter.config.sampler.ratio=2",
    "filter.config.batch.interval=soon",
    "filter.targets[0].name=Shop",
    "filter.targets[0].namespace=shop",
    "filter.env[0].name=A",
    "filter.env[0].name=A,filter.env[0].valueFrom=HOST,filter.env[0].value=a",
    "collector.drainTimeoutSeconds=soon",
    "collector.listenAddress=localhost",
    "collector.extraPorts[0].name=a",
    "gateway.config.exporter.debug=a",
    "gateway.config.service.pipelines.traces.exporter={a}",
    "gateway.antiAffinity=weak",
    "gateway.replicas=two",
    "gateway.autoscaling.enabled=yes",
    "gateway.persistence.maxSize=3Gi",
    "gateway.persistence.storageClass=fast",
    "agent.hostPort.grpc=4317",
    "agent.replicas=2",
    "sidecar.cluster=Sidecar",
    "istio.peerAuthentication.mode=DISABLE",
    "istio.nativeTelemetry=off",
    "istio.authorizationPolicy.metricsNamespaces={a}",
    "istio.sidecars[0].hosts={a}",
    "networkPolicy.ingress={a}",
    "monitoring.serviceMonitor.interval=30",
    "monitoring.rules.enabled=true",
    "helmTest.image=busybox",
    "extraManifests={1}",
]


@pytest.mark.parametrize(("sets", "message"), CONTRADICTIONS, ids=lambda text: text[:60])
def test_values_that_contradict_each_other_fail(sets: str, message: str) -> None:
    done = chart.template(sets=sets.split())
    assert done.returncode != 0
    assert message in done.stderr


def test_all_contradictions_are_told_at_once() -> None:
    sets = ["collector.terminationGracePeriodSeconds=25", "istio.ingress.enabled=true"]
    for version in HELM_VERSIONS:
        stderr = chart.template(sets=sets, version=version).stderr
        assert stderr.count("\n  - ") == 3, stderr


@pytest.mark.parametrize("sets", REFUSED)
def test_unknown_and_wrong_values_are_refused(sets: str) -> None:
    done = chart.template(sets=[sets])
    assert done.returncode != 0
    assert "values don't meet the specifications of the schema" in done.stderr
    # The message leads to the place.
    place = sets.split("=")[0].split("[")[0].split(".")
    assert place[0] in done.stderr and any(part in done.stderr for part in place[-2:])


def test_notes_say_what_to_do_next() -> None:
    sets = ["mode=layers", "filter.module.sha256=", "gateway.autoscaling.enabled=true"]
    sets += ["istio.ingress.enabled=true", "istio.ingress.hosts={a}"]
    sets += ["istio.ingress.credentialName=b", "istio.injectCollector=true"]
    sets += ["filter.targets[0].name=part", "filter.targets[0].match[0].mode=SERVER"]
    sets += ["networkPolicy.enabled=true", "networkPolicy.egress[0].ports[0].port=1"]
    arguments = ["install", "x", chart.CHART, "--dry-run=client", "--namespace", chart.NAMESPACE]
    for one in sets:
        arguments += ["--set", one]
    # An installation asks for the cluster's version; a Helm built by Go claims an old one.
    done = chart.helm(*arguments)
    assert done.returncode == 0, done.stderr
    notes = done.stdout.partition("NOTES:")[2]
    for text in (
        "helm test x",
        "istio/istiod",
        "sidecar,spanmesh",
        "no exporter",
        "no sha256",
        "autoscaling",
        "whoever reaches the gateway",
        "what the match leaves out has neither",
        "lets it reach\nthe registry",
    ):
        assert text in notes
