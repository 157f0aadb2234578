"""Certificates of a mesh: one authority, and workloads with SPIFFE names, made with `openssl`."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from rig.process import RigError, Run

_DAYS = "2"


@dataclass(frozen=True)
class Identity:
    """A workload's certificate, and the authority that it trusts."""

    name: str
    """The URI in the certificate."""
    certificate: Path
    key: Path
    authority: Path

    def server_socket(self) -> dict[str, Any]:
        """Return a listener's transport socket that demands a certificate of the client."""
        return {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/"
                "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                "require_client_certificate": True,
                "common_tls_context": self._context(),
            },
        }

    def client_socket(self) -> dict[str, Any]:
        """Return a cluster's transport socket that shows this certificate."""
        return {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/"
                "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "common_tls_context": self._context(),
            },
        }

    def credentials(self) -> grpc.ServerCredentials:
        """Return what a gRPC server needs to show this certificate."""
        return grpc.ssl_server_credentials([(self.key.read_bytes(), self.certificate.read_bytes())])

    def _context(self) -> dict[str, Any]:
        return {
            "tls_certificates": [
                {
                    "certificate_chain": {"filename": str(self.certificate)},
                    "private_key": {"filename": str(self.key)},
                }
            ],
            "validation_context": {"trusted_ca": {"filename": str(self.authority)}},
        }


class Authority:
    """Issues the certificates of one test."""

    def __init__(self, run: Run) -> None:
        self._folder = run.directory
        self._certificate = self._folder / "authority.pem"
        self._key = self._folder / "authority.key"
        _openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-days", _DAYS, "-subj", "/O=rig", "-out", self._certificate),
            *("-keyout", self._key),
        )

    def issue(self, workload: str, namespace: str = "demo") -> Identity:
        """Make the certificate of a workload, named as Istio does."""
        name = f"spiffe://cluster.local/ns/{namespace}/sa/{workload}"
        request, key = self._folder / f"{workload}.csr", self._folder / f"{workload}.key"
        certificate = self._folder / f"{workload}.pem"
        _openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-subj", f"/CN={workload}", "-out", request, "-keyout", key),
        )
        extensions = self._folder / f"{workload}.ext"
        extensions.write_text(f"subjectAltName=DNS:{workload},URI:{name}\n")
        _openssl(
            *("x509", "-req", "-in", request, "-days", _DAYS, "-out", certificate),
            *("-CA", self._certificate, "-CAkey", self._key, "-CAcreateserial"),
            *("-extfile", extensions),
        )
        return Identity(name, certificate, key, self._certificate)


def _openssl(*arguments: str | Path) -> None:
    try:
        done = subprocess.run(
            ["openssl", *map(str, arguments)], capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise RigError(f"openssl cannot be started: {error.strerror}") from error
    if done.returncode != 0:
        raise RigError(f"openssl {arguments[0]} failed: {done.stderr.strip()}")
