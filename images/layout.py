"""An image, and its OCI layout: a folder that `crane push`, `skopeo` and `podman` take.

Follows the OCI Image Specification 1.1: `image-layout.md`, `manifest.md`, `config.md`, `layer.md`.
One image has one layer. The same contents give the same bytes, and so the same digest, wherever
Python's zlib is the same: nothing of the time, the user or the file system goes in.

Left out: indexes of several platforms, and layers that take files away.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

# The OCI media types. Istio's agent takes a module from a layer of this very type.
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
INDEX = "application/vnd.oci.image.index.v1+json"

REF_NAME = "org.opencontainers.image.ref.name"


@dataclass(frozen=True)
class Entry:
    """A file of a layer, or a folder."""

    path: str
    """From the root, without the slash at its beginning."""
    content: bytes | None
    """None for a folder."""
    mode: int
    owner: int = 0
    """The numeric user and group."""


@dataclass(frozen=True)
class Image:
    """What is in an image, and how it is run."""

    entries: tuple[Entry, ...]
    architecture: str
    """As Go names it: `amd64`, `arm64`, `wasm`."""
    system: str
    """As Go names it: `linux`, `wasip1`."""
    annotations: dict[str, str]
    """On the manifest, and in the configuration as labels."""
    run: dict[str, object] = field(default_factory=dict)
    """The `config` object of the configuration: `User`, `Entrypoint`, …"""


def write(image: Image, folder: Path, tag: str) -> str:
    """Write the layout, in the place of what is there; return the digest of the manifest.

    The digest is what a registry names the image by, and what `sha256` of a WasmPlugin with an
    `oci://` URL has to say: `sha256:` and 64 hexadecimal digits.
    """
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "blobs" / "sha256").mkdir(parents=True)

    archive = _tar(image.entries)
    configuration = {
        "architecture": image.architecture,
        "os": image.system,
        "config": {**image.run, "Labels": image.annotations},
        "rootfs": {"type": "layers", "diff_ids": [_digest(archive)]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _store(folder, CONFIG, _json(configuration)),
        "layers": [_store(folder, LAYER, _compress(archive))],
        "annotations": image.annotations,
    }
    descriptor = _store(folder, MANIFEST, _json(manifest))
    digest = str(descriptor["digest"])
    platform = {"architecture": image.architecture, "os": image.system}
    entry = {**descriptor, "platform": platform, "annotations": {REF_NAME: tag}}
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}
    (folder / "index.json").write_bytes(_json(index))
    (folder / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    return digest


def digest_of(folder: Path) -> str:
    """Return the digest of the image that a layout holds.

    # Errors
    Raises ValueError if there is no layout, or not one image in it.
    """
    try:
        manifests = json.loads((folder / "index.json").read_bytes())["manifests"]
    except FileNotFoundError as error:
        raise ValueError(f"{folder}: expected an image layout, but found no index.json") from error
    if len(manifests) != 1:
        raise ValueError(f"{folder}: expected one image, but found {len(manifests)}")
    return str(manifests[0]["digest"])


def _tar(entries: Iterable[Entry]) -> bytes:
    """Return the archive: sorted, with the folders that lead to each entry, of the time 0."""
    by_path = {entry.path: entry for entry in entries}
    for path in list(by_path):
        for parent in PurePosixPath(path).parents:
            if str(parent) != ".":
                by_path.setdefault(str(parent), Entry(str(parent), None, 0o755))
    buffer = io.BytesIO()
    # USTAR: the one format that every reader knows, and it has no field for names or the time of
    # the file system.
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(by_path):
            entry = by_path[path]
            header = tarfile.TarInfo(path)
            header.mode = entry.mode
            header.uid = header.gid = entry.owner
            if entry.content is None:
                header.type = tarfile.DIRTYPE
                archive.addfile(header)
            else:
                header.size = len(entry.content)
                archive.addfile(header, io.BytesIO(entry.content))
    return buffer.getvalue()


def _compress(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, compresslevel=9, mtime=0) as file:
        file.write(content)
    return buffer.getvalue()


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _store(folder: Path, media_type: str, content: bytes) -> dict[str, object]:
    """Write a blob and return its descriptor."""
    digest = _digest(content)
    folder.joinpath("blobs", *digest.split(":")).write_bytes(content)
    return {"mediaType": media_type, "digest": digest, "size": len(content)}
