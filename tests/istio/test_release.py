"""`make release`: what its script makes of a module, a binary and the manifests."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from rig import chart
from rig.process import ROOT
from rig.programs import filter_module
from wasmtime import wat2wasm

MODULE = filter_module().read_bytes()
DIGEST = hashlib.sha256(MODULE).hexdigest()
IDLE = """
(module
  (memory (export "memory") 1)
  (func (export "malloc") (param i32) (result i32) (i32.const 0))
  (func (export "proxy_abi_version_0_2_1")))
"""
MANIFEST = "0123456789abcdef" * 4


def release(
    folder: Path, module: bytes = MODULE, **variables: str
) -> subprocess.CompletedProcess[str]:
    (folder / "module").write_bytes(module)
    (folder / "collector").write_bytes(b"collector")
    environment = {
        "PATH": os.environ["PATH"],
        "VERSION": "1.2.3",
        "MODULE": str(folder / "module"),
        "COLLECTOR": str(folder / "collector"),
        "OUT": str(folder / "out"),
        "PYTHON": sys.executable,
        **variables,
    }
    argv = [ROOT / ".ci" / "release"]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)


def module_of(folder: Path) -> list[tuple[str, str]]:
    """Return URL and digest of the module in the manifests of each way to load it."""
    istio = folder / "out" / "istio"
    plugin = yaml.safe_load((istio / "wasmplugin" / "wasmplugin.yaml").read_text())["spec"]
    extension = yaml.safe_load((istio / "trafficextension" / "trafficextension.yaml").read_text())
    wasm = extension["spec"]["wasm"]
    patches = yaml.safe_load((istio / "envoyfilter" / "envoyfilter.yaml").read_text())["spec"]
    config = patches["configPatches"][0]["patch"]["value"]["typed_config"]["config"]
    remote = config["vm_config"]["code"]["remote"]
    return [
        (plugin["url"], plugin["sha256"]),
        (wasm["url"], wasm["sha256"]),
        (remote["http_uri"]["uri"], remote["sha256"]),
    ]


def test_names_have_the_version_and_digests_are_listed(tmp_path: Path) -> None:
    done = release(tmp_path)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    sums = dict(line.split()[::-1] for line in (out / "SHA256SUMS").read_text().splitlines())
    assert sums["spanmesh-filter-1.2.3.wasm"] == DIGEST
    assert len(sums) == 2
    for name, digest in sums.items():
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest


def test_without_a_place_the_placeholder_stays_and_is_mentioned(tmp_path: Path) -> None:
    done = release(tmp_path)
    assert "placeholder" in done.stderr
    assert module_of(tmp_path) == [("https://example.com/spanmesh-filter.wasm", DIGEST)] * 3


def test_a_url_goes_with_the_digest_of_the_file(tmp_path: Path) -> None:
    done = release(tmp_path, RELEASE_URL="https://files.example.com/spanmesh/")
    assert done.returncode == 0, done.stderr
    url = "https://files.example.com/spanmesh/spanmesh-filter-1.2.3.wasm"
    assert module_of(tmp_path) == [(url, DIGEST)] * 3


def test_an_image_goes_with_the_digest_of_its_manifest(tmp_path: Path) -> None:
    image = "oci://registry.example.com/spanmesh/filter:1.2.3"
    done = release(tmp_path, RELEASE_OCI=image, RELEASE_OCI_DIGEST=f"sha256:{MANIFEST}")
    assert done.returncode == 0, done.stderr
    assert module_of(tmp_path) == [(image, MANIFEST)] * 3


def test_the_collectors_image_is_filled_in(tmp_path: Path) -> None:
    done = release(tmp_path, RELEASE_IMAGE="registry.example.com:5000/collector:1.2.3")
    assert done.returncode == 0, done.stderr
    kustomization = tmp_path / "out" / "istio" / "base" / "kustomization.yaml"
    assert yaml.safe_load(kustomization.read_text())["images"] == [
        {
            "name": "spanmesh-collector",
            "newName": "registry.example.com:5000/collector",
            "newTag": "1.2.3",
        }
    ]


def test_the_collectors_image_goes_by_its_digest_if_that_is_known(tmp_path: Path) -> None:
    image = "registry.example.com:5000/collector"
    digest = f"sha256:{MANIFEST}"
    done = release(tmp_path, RELEASE_IMAGE=f"{image}:1.2.3", RELEASE_IMAGE_DIGEST=digest)
    assert done.returncode == 0, done.stderr
    built = chart.kustomized(tmp_path / "out" / "istio" / "wasmplugin")
    (deployment,) = chart.workloads(built)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"{image}@{digest}"


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"RELEASE_URL": "files.example.com"}, "RELEASE_URL"),
        ({"RELEASE_OCI": "registry.example.com/filter:1"}, "RELEASE_OCI"),
        ({"RELEASE_OCI": "oci://registry.example.com/filter:1"}, "RELEASE_OCI_DIGEST"),
        ({"RELEASE_URL": "https://a.example.com", "RELEASE_OCI": "oci://b"}, "one of them"),
        ({"RELEASE_IMAGE": "registry.example.com:5000/collector"}, "RELEASE_IMAGE"),
        ({"RELEASE_IMAGE": "a/b:1", "RELEASE_IMAGE_DIGEST": "1"}, "RELEASE_IMAGE_DIGEST"),
        ({"RELEASE_IMAGE_DIGEST": MANIFEST}, "does not say which image's"),
    ],
)
def test_what_cannot_be_used_is_refused(
    tmp_path: Path, variables: dict[str, str], named: str
) -> None:
    done = release(tmp_path, **variables)
    assert done.returncode == 1
    assert named in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (b"no module", "ended with status 1 before Envoy was ready"),
        # The eight bytes that begin every module, with nothing after them.
        (b"\0asm\1\0\0\0", "ended with status 1 before Envoy was ready"),
        (wat2wasm(IDLE), "the filter is not active"),
    ],
    ids=["not a module", "nothing in it", "a filter that does nothing"],
)
def test_what_envoy_does_not_load_is_not_released(tmp_path: Path, module: bytes, said: str) -> None:
    done = release(tmp_path, module)
    assert done.returncode == 1
    assert said in done.stderr
    assert "is not released" in done.stderr
    assert not (tmp_path / "out").exists()


def test_images_are_pushed_only_after_envoy_has_run_the_module() -> None:
    argv = ["make", "--dry-run", "push", "REGISTRY=registry.example.com"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    before, checked, after = done.stdout.partition("-m rig.module_check dist/spanmesh-filter.wasm")
    assert checked
    assert "crane push" not in before
    assert "crane push" in after
