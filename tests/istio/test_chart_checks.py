"""What the chart renders and what kustomize builds, held against Istio's own code and against CRDs.

Errors are sown into every variant, to prove that each check sees them there.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from rig import chart
from rig.chart import CHART, EXAMPLES, KUBERNETES, MODES, NAMES, Object
from rig.istio import validation
from rig.istio.seeds import ANALYZE, RIG, VALIDATE, Seed, sown
from rig.process import ROOT, Run

FOLDERS = sorted(
    str(path.parent.relative_to(ROOT / "istio"))
    for path in (ROOT / "istio").rglob("kustomization.yaml")
    if path.relative_to(ROOT / "istio").parts[0] not in {"components", "gitops"}
)
COMPONENTS = sorted(path.name for path in (ROOT / "istio" / "components").iterdir())
VARIANTS = [
    *(f"mode={mode}" for mode in MODES),
    *NAMES,
    *(f"kustomize {folder}" for folder in FOLDERS),
    *(f"component {name}" for name in COMPONENTS),
]
"""The chart's modes and examples, the folders for kustomize, and one with each component."""

WITHOUT_COLLECTOR = {
    "filter-only",
    "component filter-only",
    "kustomize overlays/canary-upgrade/bank",
    "kustomize overlays/canary-upgrade/ingress",
}
"""Those with kinds of Istio's alone."""

MONITORING = ["monitoring.prometheusRule.enabled=true", "monitoring.dashboards.enabled=true"]
"""Left out of the examples, since they are long."""


@cache
def objects(variant: str) -> list[Object]:
    what, _, name = variant.partition(" ")
    if what == "kustomize":
        return chart.kustomized(ROOT / "istio" / name)
    if what == "component":
        with Run(f"component-{name}") as run:
            above = Path("../../istio")
            kustomization = {
                "apiVersion": "kustomize.config.k8s.io/v1beta1",
                "kind": "Kustomization",
                "resources": [str(above / "wasmplugin")],
                "components": [str(above / "components" / name)],
            }
            run.write("kustomization.yaml", yaml.safe_dump(kustomization))
            return chart.kustomized(run.directory)
    if variant in NAMES:
        return chart.objects(chart.rendered([EXAMPLES / variant / "values.yaml"]))
    return chart.objects(chart.rendered(sets=[variant, *MONITORING]))


@pytest.fixture(scope="module")
def files(module_run: Run) -> dict[str, Path]:
    """Return a file with the objects of each variant."""
    return {
        variant: module_run.write(f"variant-{number:02}.yaml", yaml.safe_dump_all(objects(variant)))
        for number, variant in enumerate(VARIANTS)
    }


def is_core(one: Object) -> bool:
    return "." not in one["apiVersion"].partition("/")[0] or ".k8s.io" in one["apiVersion"]


# --- good --------------------------------------------------------------------------------------


def test_every_variant_passes_the_crds_and_the_webhook(files: dict[str, Path]) -> None:
    assert validation.rig_check(list(files.values()), chart.definitions()) == []


def test_every_variant_passes_istioctl_validate(files: dict[str, Path]) -> None:
    assert validation.validate(list(files.values())) == []


def test_every_variant_passes_istioctl_analyze(files: dict[str, Path]) -> None:
    # Each is a cluster of its own. What the objects refer to that is not ours is not there.
    def analyzed(path: Path) -> list[str]:
        return validation.analyze([path], ignore=NOT_OURS)

    with ThreadPoolExecutor(max_workers=3) as pool:
        found = dict(zip(files, pool.map(analyzed, files.values()), strict=True))
    assert {variant: lines for variant, lines in found.items() if lines} == {}


NOT_OURS: set[str] = set()


@pytest.mark.parametrize("variant", VARIANTS)
def test_kinds_of_kubernetes_follow_its_schemas(variant: str) -> None:
    for one in objects(variant):
        if is_core(one):
            kubernetes_validate.validate(one, KUBERNETES, strict=True)


# --- spoilt ------------------------------------------------------------------------------------

Spoil = Callable[[Object], Any]

OTHERS: dict[str, tuple[str, Spoil]] = {
    "ServiceMonitor: misspelt key": (
        "ServiceMonitor",
        lambda one: one["spec"]["endpoints"][0].update(intervall="30s"),
    ),
    "PodMonitor: not a duration": (
        "PodMonitor",
        lambda one: one["spec"]["podMetricsEndpoints"][0].update(interval="soon"),
    ),
    "PrometheusRule: misspelt key": (
        "PrometheusRule",
        lambda one: one["spec"]["groups"][0]["rules"][0].update(exprr="1"),
    ),
    "Certificate: no issuer": ("Certificate", lambda one: one["spec"].pop("issuerRef")),
}
"""Errors of kinds that have CRDs and are not Istio's."""

CORE: dict[str, Spoil] = {
    "unknown key": lambda one: one.update(sepc={}),
    "wrong type": lambda one: one["metadata"].update(labels="a"),
}


def name(number: int, variant: str) -> str:
    """Return a name for a spoilt object, to tell it from all others in what a check says."""
    return f"seed-{number:02}-{VARIANTS.index(variant):02}"


def loads(envoy_filter: Object) -> bool:
    patches = envoy_filter["spec"]["configPatches"]
    return any(patch["applyTo"] == "EXTENSION_CONFIG" for patch in patches)


def spoilt(variant: str) -> list[tuple[Seed, Object]]:
    """Return an object of the variant with each error that fits, each with a name of its own."""
    found = []
    # The errors in an EnvoyFilter are in one that loads a module.
    fitting = [one for one in objects(variant) if one["kind"] != "EnvoyFilter" or loads(one)]
    for number, (seed, sown_objects) in enumerate(sown(fitting)):
        victim = next(one for one in sown_objects if one["kind"] == seed.kind)
        victim["metadata"]["name"] = name(number, variant)
        found.append((seed, victim))
    return found


@pytest.fixture(scope="module")
def seen(module_run: Run) -> dict[str, str]:
    """Run each check on the spoilt objects of all variants at once, since a run takes seconds."""
    every = [victim for variant in VARIANTS for _, victim in spoilt(variant)]
    path = module_run.write("spoilt.yaml", yaml.safe_dump_all(every))
    return {
        RIG: "\n".join(validation.rig_check([path])),
        VALIDATE: "\n".join(validation.validate([path])),
        ANALYZE: "\n".join(validation.analyze([path])),
    }


@pytest.mark.parametrize("variant", [one for one in VARIANTS if one != "kustomize base"])
def test_errors_in_istios_kinds_are_seen(seen: dict[str, str], variant: str) -> None:
    seeds = spoilt(variant)
    assert seeds
    missed = [
        (check, seed.name)
        for seed, victim in seeds
        for check in seed.seen_by
        if victim["metadata"]["name"] not in seen[check]
    ]
    assert missed == []
    # Every check sees something in every variant.
    for check, text in seen.items():
        assert any(victim["metadata"]["name"] in text for _, victim in seeds), check


def test_errors_in_kinds_of_others_are_seen(module_run: Run) -> None:
    for number, (kind, spoil) in enumerate(OTHERS.values()):
        variants = [v for v in VARIANTS if any(one["kind"] == kind for one in objects(v))]
        assert variants, kind
        victims = []
        for variant in variants:
            victim = deepcopy(next(one for one in objects(variant) if one["kind"] == kind))
            victim["metadata"]["name"] = name(number, variant)
            spoil(victim)
            victims.append(victim)
        path = module_run.write(f"spoilt-{kind}.yaml", yaml.safe_dump_all(victims))
        text = "\n".join(validation.rig_check([path], chart.definitions()))
        assert [v for v in victims if v["metadata"]["name"] not in text] == []


@pytest.mark.parametrize("variant", [one for one in VARIANTS if one not in WITHOUT_COLLECTOR])
@pytest.mark.parametrize("error", CORE)
def test_errors_in_kinds_of_kubernetes_are_seen(error: str, variant: str) -> None:
    kinds = {one["kind"]: one for one in objects(variant) if is_core(one)}
    assert kinds
    for one in kinds.values():
        victim = deepcopy(one)
        CORE[error](victim)
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(victim, KUBERNETES, strict=True)


def _without_version(folder: Path) -> None:
    path = folder / "Chart.yaml"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if not line.startswith("version")))


def _with_an_open_block(folder: Path) -> None:
    path = folder / "templates" / "collector" / "service.yaml"
    path.write_text(path.read_text() + "{{- if true }}\n")


def _with_a_wrong_default(folder: Path) -> None:
    path = folder / "values.yaml"
    path.write_text(path.read_text().replace("mode: deployment", "mode: cluster", 1))


def _with_yaml_that_is_none(folder: Path) -> None:
    path = folder / "templates" / "collector" / "serviceaccount.yaml"
    path.write_text(path.read_text().replace("kind: ServiceAccount", "kind: [ServiceAccount"))


@pytest.mark.parametrize(
    "spoil",
    [_without_version, _with_an_open_block, _with_a_wrong_default, _with_yaml_that_is_none],
)
def test_errors_in_the_chart_are_seen_by_helm_lint(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    shutil.copytree(CHART, tmp_path / "spanmesh")
    assert chart.helm("lint", "--strict", tmp_path / "spanmesh").returncode == 0
    spoil(tmp_path / "spanmesh")
    assert chart.helm("lint", "--strict", tmp_path / "spanmesh").returncode != 0


@pytest.mark.parametrize("example", NAMES)
def test_an_unknown_value_in_an_example_is_seen_by_helm_lint(tmp_path: Path, example: str) -> None:
    values = yaml.safe_load((EXAMPLES / example / "values.yaml").read_text())
    path = tmp_path / "values.json"
    path.write_text(json.dumps({**values, "istio": {**values.get("istio", {}), "egresss": True}}))
    done = chart.helm("lint", "--strict", CHART, "--values", path)
    assert done.returncode != 0
    assert "egresss" in done.stdout + done.stderr
