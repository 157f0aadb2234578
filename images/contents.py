"""What is in the project's two images.

`collector.Dockerfile` and `filter.Dockerfile` beside this file make the same with a container
engine.
"""

from __future__ import annotations

from pathlib import Path

from images import elf
from images.layout import Entry, Image

# The user "nonroot" of the distroless images. A number, since without /etc/passwd a name is
# nobody, and since Kubernetes can check only a number against `runAsNonRoot`.
USER = 65532

COLLECTOR = "usr/local/bin/spanmesh-collector"
AUTHORITIES = "etc/ssl/certs/ca-certificates.crt"
STATE = "var/lib/spanmesh"
# The name that Istio's agent looks for.
MODULE = "plugin.wasm"

_WASM = b"\0asm"
_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


def collector(binary: Path, authorities: Path, version: str) -> Image:
    """Return the collector's image: the binary, authorities to believe, a folder for queues.

    # Errors
    Raises ValueError if the binary is not static or the authorities are not PEM, OSError if a file
    cannot be read.
    """
    program = binary.read_bytes()
    try:
        architecture = elf.static_architecture(program)
    except ValueError as error:
        raise ValueError(f"{binary}: {error}") from error
    bundle = authorities.read_bytes()
    if _CERTIFICATE not in bundle:
        raise ValueError(f"{authorities}: expected certificates in PEM, but found none")
    return Image(
        entries=(
            Entry(COLLECTOR, program, 0o755),
            # What exporters with TLS believe, unless their configuration says otherwise.
            Entry(AUTHORITIES, bundle, 0o644),
            # A volume that is mounted here for the first time takes over the owner.
            Entry(STATE, None, 0o750, USER),
        ),
        architecture=architecture,
        system="linux",
        annotations=_annotations(
            "spanmesh-collector",
            version,
            "Receives OTLP, processes it and delivers it to any number of back ends.",
        ),
        run={
            "User": f"{USER}:{USER}",
            "Entrypoint": [f"/{COLLECTOR}"],
            # For `kubectl exec POD -- spanmesh-collector doctor`.
            "Env": ["PATH=/usr/local/bin"],
            "WorkingDir": "/",
        },
    )


def module(wasm: Path, version: str) -> Image:
    """Return the filter's image: one layer with one file, which every version of Istio takes.

    # Errors
    Raises ValueError if the file is no WebAssembly module, OSError if it cannot be read.
    """
    content = wasm.read_bytes()
    if not content.startswith(_WASM):
        found = content[:4]
        raise ValueError(f"{wasm}: expected a WebAssembly module, but it begins with {found!r}")
    return Image(
        entries=(Entry(MODULE, content, 0o644),),
        # The truth, and nobody asks: Istio's agent takes a single image whatever its platform.
        architecture="wasm",
        system="wasip1",
        annotations=_annotations(
            "spanmesh-filter",
            version,
            "A Wasm filter for Envoy: a span and an access log record of each request, as OTLP.",
        ),
    )


def _annotations(title: str, version: str, description: str) -> dict[str, str]:
    return {
        "org.opencontainers.image.title": title,
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.description": description,
        "org.opencontainers.image.licenses": "Apache-2.0",
    }
