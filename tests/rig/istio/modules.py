"""The filter's module as it is published, and places that give it away."""

from __future__ import annotations

import http.server
import threading
from pathlib import Path

from images import contents, layout
from rig.process import Run


def image(run: Run, module: Path, version: str) -> tuple[Path, str]:
    """Make the image that `make images` makes, of a module.

    Returns the folder of its OCI layout, and the digest of its manifest in hexadecimal digits: the
    `sha256` of a WasmPlugin.
    """
    folder = run.directory / f"image-{version}"
    digest = layout.write(contents.module(module, version), folder, version)
    return folder, digest.removeprefix("sha256:")


def another(run: Run, module: Path) -> Path:
    """Return a module that does the same and has another digest: one more custom section."""
    path = run.directory / "another.wasm"
    name = b"another"
    section = bytes([len(name)]) + name
    path.write_bytes(module.read_bytes() + bytes([0, len(section)]) + section)
    return path


class WebServer:
    """Serves one file under every path, counts how often, and notes what is posted to it."""

    def __init__(self, run: Run, content: bytes) -> None:
        self.served = 0
        self.posted: list[str] = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # noqa: N802, the name that the base class calls
                server.served += 1
                self.send_response(200)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def do_POST(self) -> None:  # noqa: N802, the name that the base class calls
                server.posted.append(self.path)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        run.on_close(self._server.shutdown)

    @property
    def url(self) -> str:
        """What a plugin names the module by."""
        return f"http://127.0.0.1:{self.port}/filter.wasm"
