"""Istio's own checks on the manifests in `istio/`, and proof that each of them can fail."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from rig.istio import manifests, validation
from rig.istio.manifests import ISTIO, Object
from rig.istio.seeds import CHECKS, SEEDS, Seed, sown
from rig.process import Run

MANIFESTS = [
    path
    for path in sorted(ISTIO.rglob("*.yaml"))
    if path.stem != "kustomization" and not {"chart", "monitoring"} & set(path.parts)
]

EXAMPLES: list[Object] = manifests.read(Path(__file__).parent / "kinds.yaml")
"""A good object of each kind that there are errors for."""


def test_every_manifest_passes_its_crd_and_the_webhook() -> None:
    assert validation.rig_check(MANIFESTS) == []


def test_every_manifest_passes_istioctl_validate() -> None:
    assert validation.validate(MANIFESTS) == []


def test_the_examples_are_good(run: Run) -> None:
    path = run.write("good.yaml", yaml.safe_dump_all(EXAMPLES))
    assert {name: check([path]) for name, check in CHECKS.items()} == dict.fromkeys(CHECKS, [])


def test_every_error_is_sown() -> None:
    assert [seed.name for seed, _ in sown(EXAMPLES)] == [seed.name for seed in SEEDS]


@pytest.fixture(scope="module")
def found(module_run: Run) -> dict[str, list[str]]:
    """Run each check on all the spoilt objects at once, since a run takes seconds."""
    spoilt = [
        {**victim, "metadata": {**victim["metadata"], "name": _name(seed)}}
        for seed, objects in sown(EXAMPLES)
        for victim in objects
        if victim["kind"] == seed.kind
    ]
    path = module_run.write("spoilt.yaml", yaml.safe_dump_all([*EXAMPLES, *spoilt]))
    return {name: check([path]) for name, check in CHECKS.items()}


def _name(seed: Seed) -> str:
    """Return a name for the object that tells it from all others in what a check says."""
    return f"seed-{SEEDS.index(seed):02}"


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.name)
def test_an_error_is_seen_by_the_checks_that_have_to_see_it(
    found: dict[str, list[str]], seed: Seed
) -> None:
    seen = {name for name, lines in found.items() if any(_name(seed) in line for line in lines)}
    assert seen >= seed.seen_by, found
