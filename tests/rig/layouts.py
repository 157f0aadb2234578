"""OCI layouts of images: read with every digest and size checked."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Layout:
    """A layout of one image with one layer."""

    entry: dict[str, Any]
    """What the index says of the image."""
    manifest: dict[str, Any]
    configuration: dict[str, Any]
    archive: bytes
    """The layer, decompressed."""

    @classmethod
    def read(cls, folder: Path) -> Layout:
        """Read a layout; fail if anything in it is not what its descriptor says."""
        version = json.loads((folder / "oci-layout").read_bytes())
        assert version == {"imageLayoutVersion": "1.0.0"}
        (entry,) = json.loads((folder / "index.json").read_bytes())["manifests"]
        manifest = json.loads(_blob(folder, entry))
        assert (manifest["schemaVersion"], manifest["mediaType"]) == (2, entry["mediaType"])
        configuration = json.loads(_blob(folder, manifest["config"]))
        (layer,) = manifest["layers"]
        archive = gzip.decompress(_blob(folder, layer))
        assert configuration["rootfs"] == {
            "type": "layers",
            "diff_ids": [f"sha256:{hashlib.sha256(archive).hexdigest()}"],
        }
        stored = {path.name for path in (folder / "blobs" / "sha256").iterdir()}
        named = {one["digest"].split(":")[1] for one in (entry, manifest["config"], layer)}
        assert stored == named
        return cls(entry, manifest, configuration, archive)

    def members(self) -> dict[str, tarfile.TarInfo]:
        """Return what the layer has, by path."""
        with tarfile.open(fileobj=io.BytesIO(self.archive)) as files:
            return {member.name: member for member in files.getmembers()}

    def content(self, path: str) -> bytes:
        """Return a file of the layer."""
        with tarfile.open(fileobj=io.BytesIO(self.archive)) as files:
            file = files.extractfile(path)
            assert file is not None, f"{path} is not a file"
            return file.read()


def _blob(folder: Path, descriptor: dict[str, Any]) -> bytes:
    algorithm, _, digest = descriptor["digest"].partition(":")
    content = (folder / "blobs" / algorithm / digest).read_bytes()
    assert (algorithm, hashlib.sha256(content).hexdigest()) == ("sha256", digest)
    assert len(content) == descriptor["size"]
    return content
