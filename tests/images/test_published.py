"""The images that `make images` has left: pushed, pulled, and run in a root of their own."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import yaml
from rig import http, otlp, samples
from rig.certificates import Authority
from rig.collector import Metrics, Ports, configuration
from rig.layouts import Layout
from rig.ports import free_port, listens
from rig.process import ROOT, Run, wait_for
from rig.programs import filter_module, image_layout
from rig.registry import Registry, crane
from rig.sink import Sink

from images import contents

NAMES = ("collector", "filter")
VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
USER = str(contents.USER)


@pytest.fixture
def registry(run: Run) -> Iterator[Registry]:
    return Registry(run)


def within(root: Path, *argv: str) -> list[str]:
    """Return a command that runs another one in a root of its own, as the image's user."""
    if os.geteuid() == 0:
        return [str(shutil.which("chroot")), f"--userspec={USER}:{USER}", str(root), *argv]
    return [
        str(shutil.which("unshare")),
        f"--map-user={USER}",
        f"--map-group={USER}",
        f"--root={root}",
        *argv,
    ]


def with_proc(root: Path, *argv: str) -> list[str]:
    """Return a command that runs another one when `/proc` is in a root, where engines put it."""
    mounting = 'mkdir "$0/proc" && mount --rbind /proc "$0/proc" && exec "$@"'
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", "--mount", *as_root, "sh", "-c", mounting, str(root), *argv]


def unpack(image: Layout, root: Path) -> Path:
    """Unpack an image as an engine does: with its owners, where that is allowed."""
    root.mkdir()
    argv = ["tar", "--extract", "--numeric-owner", "--same-permissions", f"--directory={root}"]
    subprocess.run(argv, input=image.archive, check=True)
    return root


def account(ports: Ports) -> dict[str, int]:
    """Return the terms of the collector's account of spans that are not 0."""
    metrics = Metrics.parse(http.request(ports.metrics, "/metrics").text)
    terms = ("accepted", "recovered", "sent", "sampled_out", "dropped", "queued")
    values = {t: metrics.total(f"spanmesh_account_{t}_items", signal="traces") for t in terms}
    return {term: value for term, value in values.items() if value}


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_whole_and_has_the_projects_version(name: str) -> None:
    image = Layout.read(image_layout(name))
    assert image.entry["annotations"] == {"org.opencontainers.image.ref.name": VERSION}
    assert image.manifest["annotations"]["org.opencontainers.image.version"] == VERSION
    assert image.manifest["annotations"]["org.opencontainers.image.title"] == f"spanmesh-{name}"


@pytest.mark.parametrize("name", NAMES)
def test_what_is_pulled_is_what_was_pushed(run: Run, registry: Registry, name: str) -> None:
    folder = image_layout(name)
    reference = registry.reference(f"spanmesh/{name}:{VERSION}")
    pushed = registry.push(folder, f"spanmesh/{name}:{VERSION}")
    image = Layout.read(folder)
    assert pushed.endswith(f"@{image.entry['digest']}")
    assert crane("digest", reference) == image.entry["digest"]
    crane("validate", "--remote", reference)
    pulled = run.directory / "pulled"
    crane("pull", "--format=oci", reference, pulled)
    blobs = [
        {path.name: path.read_bytes() for path in (root / "blobs" / "sha256").iterdir()}
        for root in (folder, pulled)
    ]
    assert blobs[0] == blobs[1]


def test_the_filters_image_holds_the_module() -> None:
    image = Layout.read(image_layout("filter"))
    (layer,) = image.manifest["layers"]
    # What Istio's agent demands of an image that is no artifact.
    assert image.manifest["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip"
    assert set(image.members()) == {"plugin.wasm"}
    assert image.content("plugin.wasm") == filter_module().read_bytes()


def test_the_collector_runs_in_a_root_that_has_nothing_else(run: Run) -> None:
    image = Layout.read(image_layout("collector"))
    assert image.configuration["config"]["User"] == f"{USER}:{USER}"
    (program,) = image.configuration["config"]["Entrypoint"]
    assert image.configuration["config"]["Env"] == [f"PATH={Path(program).parent}"]
    root = unpack(image, run.directory / "root")
    files = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert files == {contents.COLLECTOR, contents.AUTHORITIES}
    done = subprocess.run(
        within(root, program, "--version"), env={}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, f"spanmesh-collector {VERSION}\n"), done.stderr


def test_the_collector_of_the_image_names_stores_and_believes(run: Run) -> None:
    """It finds a name, keeps its queue where it may write, and believes the image's authorities."""
    authority = Authority(run)
    identity = authority.issue("back-end")
    root = unpack(Layout.read(image_layout("collector")), run.directory / "root")
    (root / contents.AUTHORITIES).write_bytes(identity.authority.read_bytes())
    # As the kubelet does.
    (root / "etc" / "hosts").write_text("127.0.0.1 localhost back-end\n")
    ports = Ports.free()
    with Sink(identity=identity) as sink:
        queue = {"storage": "file_storage"}
        exporter = {"endpoint": f"back-end:{sink.port}", "sending_queue": queue}
        document = configuration(ports, {"otlp_grpc": exporter})
        document["extensions"]["file_storage"] = {"directory": f"/{contents.STATE}"}
        document["service"]["extensions"].append("file_storage")
        (root / "collector.yaml").write_text(yaml.safe_dump(document))
        argv = within(root, f"/{contents.COLLECTOR}", "--config=/collector.yaml")
        process = run.spawn("collector", argv, env={})
        needed = (ports.grpc, ports.http, ports.metrics)
        process.wait_until(lambda: all(map(listens, needed)), "the collector was ready")
        status = Path(f"/proc/{process.pid}/status").read_text()
        if os.geteuid() == 0:
            assert re.search(rf"^Uid:\s+{USER}\s+{USER}\s+{USER}\s+{USER}$", status, re.M)
        wire = otlp.Http(ports, otlp.PROTOBUF)
        signal = otlp.TRACES
        answer = wire.send(signal, wire.encode(samples.small(signal, 3)))
        assert answer.code is grpc.StatusCode.OK
        wait_for(lambda: len(sink.telemetry().spans) == 3, "the spans arrived over TLS")
        wait_for(lambda: account(ports) == {"accepted": 3, "sent": 3}, "the account holds")
        assert list((root / contents.STATE).iterdir()), "the queue is on disk"
        where = (f"localhost:{ports.metrics}", f"--health-port={ports.health}", "--seconds=1")
        looked = within(root, f"/{contents.COLLECTOR}", "doctor", *where)
        done = subprocess.run(looked, env={}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        process.stop(60)
        assert process.exit_status == 0


def test_the_collector_of_the_image_can_be_profiled(run: Run) -> None:
    """Profilers walk stacks, which is another matter with each C library."""
    root = unpack(Layout.read(image_layout("collector")), run.directory / "root")
    ports, profiles = Ports.free(), free_port()
    document = configuration(ports, {"nop": {}})
    document["extensions"]["pprof"] = {"endpoint": f"127.0.0.1:{profiles}"}
    document["service"]["extensions"].append("pprof")
    (root / "collector.yaml").write_text(yaml.safe_dump(document))
    argv = within(root, f"/{contents.COLLECTOR}", "--config=/collector.yaml")
    process = run.spawn("collector", with_proc(root, *argv), env={"TMPDIR": f"/{contents.STATE}"})
    needed = (profiles, ports.http, ports.metrics)
    process.wait_until(lambda: all(map(listens, needed)), "profiles can be had")
    wire, signal = otlp.Http(ports, otlp.PROTOBUF), otlp.TRACES
    body = wire.encode(samples.small(signal, 2000))
    profiled = threading.Event()
    sent = 0

    def send() -> None:
        nonlocal sent
        while not profiled.is_set():
            wire.send(signal, body)
            sent += 2000

    sending = threading.Thread(target=send)
    sending.start()
    # More than one allocation in 512 KiB is remembered, and a hundred samples a second taken.
    taken = [http.request(profiles, f"/debug/pprof/{of}") for of in ("profile?seconds=2", "heap")]
    profiled.set()
    sending.join()
    for profile in taken:
        assert profile.status == 200, profile.text
        assert b"spanmesh_collector::" in gzip.decompress(profile.body), "names of our functions"
    wait_for(lambda: account(ports) == {"accepted": sent, "sent": sent}, "all are sent", 90)
    process.stop(60)
    assert process.exit_status == 0


def test_the_dockerfiles_make_the_same_images() -> None:
    text = (ROOT / "images" / "collector.Dockerfile").read_text()
    stage = text.split("FROM scratch\n")[1]
    run = Layout.read(image_layout("collector")).configuration["config"]
    assert f"USER {run['User']}\n" in stage
    assert f"WORKDIR {run['WorkingDir']}\n" in stage
    assert [f"ENV {run['Env'][0]}"] == re.findall(r"^ENV .*$", stage, re.M)
    assert f'ENTRYPOINT ["{run["Entrypoint"][0]}"]\n' in stage
    state = f"--chown={USER}:{USER} --chmod=750 /state /{contents.STATE}\n"
    assert state in stage
    for path in (contents.COLLECTOR, contents.AUTHORITIES):
        assert f"/root-of-image/{path}" in text
    members = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["members"]
    copied = re.findall(r"^COPY (\S+) \1$", text, re.M)
    assert {".cargo", *(member.split("/")[0] for member in members)} == set(copied)
    module = (ROOT / "images" / "filter.Dockerfile").read_text()
    lines = [line for line in module.splitlines() if line and not line.startswith("#")]
    assert lines == ["FROM scratch", f"COPY spanmesh-filter.wasm ./{contents.MODULE}"]
