"""The images' layouts, made of small contents: valid, the same each time, and refused if wrong."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from rig.layouts import Layout
from rig.process import ROOT

from images import contents, layout
from images.layout import Entry, Image

IMAGE = Image(
    entries=(
        Entry("usr/bin/program", b"content", 0o755),
        Entry("var/lib/state", None, 0o700, 65532),
    ),
    architecture="amd64",
    system="linux",
    annotations={"org.opencontainers.image.version": "1.2.3"},
    run={"User": "65532:65532"},
)


def test_a_layout_holds_what_its_descriptors_say(tmp_path: Path) -> None:
    digest = layout.write(IMAGE, tmp_path, "1.2.3")
    written = Layout.read(tmp_path)
    manifest, configuration = written.manifest, written.configuration
    assert written.entry["digest"] == digest == layout.digest_of(tmp_path)
    assert written.entry["annotations"] == {"org.opencontainers.image.ref.name": "1.2.3"}
    assert manifest["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert manifest["config"]["mediaType"] == "application/vnd.oci.image.config.v1+json"
    (layer,) = manifest["layers"]
    assert layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip"
    assert (configuration["os"], configuration["architecture"]) == ("linux", "amd64")
    assert configuration["config"]["User"] == "65532:65532"
    assert configuration["config"]["Labels"] == manifest["annotations"] == IMAGE.annotations
    assert written.content("usr/bin/program") == b"content"
    assert {
        path: (member.type, member.mode, member.uid, member.gid, member.mtime)
        for path, member in written.members().items()
    } == {
        "usr": (tarfile.DIRTYPE, 0o755, 0, 0, 0),
        "usr/bin": (tarfile.DIRTYPE, 0o755, 0, 0, 0),
        "usr/bin/program": (tarfile.REGTYPE, 0o755, 0, 0, 0),
        "var": (tarfile.DIRTYPE, 0o755, 0, 0, 0),
        "var/lib": (tarfile.DIRTYPE, 0o755, 0, 0, 0),
        "var/lib/state": (tarfile.DIRTYPE, 0o700, 65532, 65532, 0),
    }


def test_the_same_contents_give_the_same_bytes(tmp_path: Path) -> None:
    layout.write(IMAGE, tmp_path / "one", "1.2.3")
    time.sleep(1.1)  # Times in archives are in seconds.
    reordered = Image(**{**vars(IMAGE), "entries": IMAGE.entries[::-1]})
    layout.write(reordered, tmp_path / "other", "1.2.3")
    files = [
        {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}
        for root in (tmp_path / "one", tmp_path / "other")
    ]
    assert files[0] == files[1]


def test_nothing_of_a_former_layout_stays(tmp_path: Path) -> None:
    former = layout.write(Image(**{**vars(IMAGE), "architecture": "arm64"}), tmp_path, "1.2.2")
    assert layout.write(IMAGE, tmp_path, "1.2.3") != former
    Layout.read(tmp_path)


def test_the_filters_image_is_one_layer_with_one_file(tmp_path: Path) -> None:
    wasm = tmp_path / "spanmesh-filter.wasm"
    wasm.write_bytes(b"\0asm\1\0\0\0")
    layout.write(contents.module(wasm, "1.2.3"), tmp_path / "layout", "1.2.3")
    written = Layout.read(tmp_path / "layout")
    assert set(written.members()) == {"plugin.wasm"}
    assert written.content("plugin.wasm") == wasm.read_bytes()


def images(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "images", *map(str, arguments)]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (Path("/bin/sh"), "expected a static program, but found one that needs a loader"),
        (Path(__file__), "expected a 64-bit little-endian ELF file, but found something else"),
        (Path("/nowhere"), "No such file or directory"),
    ],
    ids=["dynamic", "not a program", "missing"],
)
def test_a_collector_that_would_not_start_is_refused(
    tmp_path: Path, program: Path, said: str
) -> None:
    authorities = tmp_path / "authorities.pem"
    authorities.write_text("-----BEGIN CERTIFICATE-----\n")
    options = ("--binary", program, "--authorities", authorities, "--version", "1.2.3")
    done = images("collector", *options, "--out", tmp_path / "layout")
    assert done.returncode == 1
    assert str(program) in done.stderr
    assert said in done.stderr
    assert not (tmp_path / "layout").exists()


def test_a_module_that_is_none_is_refused(tmp_path: Path) -> None:
    options = ("--module", __file__, "--version", "1.2.3", "--out", tmp_path / "layout")
    done = images("filter", *options)
    assert done.returncode == 1
    assert "expected a WebAssembly module, but it begins with" in done.stderr


def test_a_folder_without_a_layout_has_no_digest(tmp_path: Path) -> None:
    done = images("digest", tmp_path)
    assert done.returncode == 1
    assert f"{tmp_path}: expected an image layout, but found no index.json" in done.stderr
