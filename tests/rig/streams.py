"""Services for what lasts: WebSocket, tunnels, streamed bodies, gRPC streams.

They run in this process, each on a port of its own.
"""

from __future__ import annotations

import asyncio
import socketserver
import threading
from collections.abc import Callable, Iterator
from concurrent import futures

import grpc
import h2.config
import h2.connection
import h2.events
from aiohttp import WSMsgType, web

from rig.loops import serve_beside
from rig.ports import free_port
from rig.process import Run

CHAT = "/demo.v1.Inventory/Chat"
"""A gRPC method that answers each message with the same message."""

FAREWELL = "bye"
"""What ends a WebSocket from the server's side."""

CHUNK = 64 * 1024


async def _websocket(request: web.Request) -> web.WebSocketResponse:
    """Send back what comes."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is not WSMsgType.TEXT or message.data == FAREWELL:
            break
        await socket.send_str(message.data)
    await socket.close()
    return socket


async def _echo(request: web.Request) -> web.StreamResponse:
    """Send the body back while it comes."""
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    async for chunk in request.content.iter_chunked(CHUNK):
        await response.write(chunk)
    await response.write_eof()
    return response


async def _slow(request: web.Request) -> web.Response:
    """Answer after `delay_ms`."""
    await asyncio.sleep(int(request.query["delay_ms"]) / 1_000)
    return web.Response(text="late")


async def _stall(request: web.Request) -> web.StreamResponse:
    """Answer with `bytes` bytes, if there are any, and then never end."""
    wanted = int(request.query.get("bytes", "0"))
    if wanted:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"x" * wanted)
    await asyncio.sleep(60)
    return web.Response(text="too late")


def start_http(run: Run) -> int:
    """Start a service with `/websocket`, `/echo`, `/slow` and `/stall`; return its port."""
    port = free_port()
    app = web.Application()
    app.add_routes(
        [
            web.get("/websocket", _websocket),
            web.post("/echo", _echo),
            web.get("/slow", _slow),
            web.get("/stall", _stall),
        ]
    )
    runner = web.AppRunner(app, shutdown_timeout=0.1)

    async def serve() -> None:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()

    serve_beside(run, serve, runner.cleanup)
    return port


class _TcpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def _serve_tcp(run: Run, handle: Callable[[socketserver.BaseRequestHandler], None]) -> int:
    """Call `handle` for each connection, in a thread of its own; return the port."""
    handler = type("Handler", (socketserver.BaseRequestHandler,), {"handle": handle})
    port = free_port()
    server = _TcpServer(("127.0.0.1", port), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def stop() -> None:
        server.shutdown()
        server.server_close()

    run.on_close(stop)
    return port


def start_tcp_echo(run: Run) -> int:
    """Start a service that sends back what comes, of whatever protocol; return its port."""

    def handle(self: socketserver.BaseRequestHandler) -> None:
        while data := self.request.recv(CHUNK):
            self.request.sendall(data)

    return _serve_tcp(run, handle)


def start_grpc(run: Run) -> int:
    """Start a gRPC service with the method `CHAT`; return its port."""

    def chat(messages: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
        yield from messages

    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    service, method = CHAT.strip("/").split("/")
    handlers = {method: grpc.stream_stream_rpc_method_handler(chat)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, handlers)])
    port = free_port()
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    run.on_close(lambda: server.stop(grace=None).wait())
    return port


def start_trailers_only(run: Run, status: int) -> int:
    """Start a gRPC service that answers every call with one HEADERS frame; return its port.

    gRPC over HTTP/2 calls that Trailers-Only: a server's way to fail at once.
    """
    headers = [
        (":status", "200"),
        ("content-type", "application/grpc"),
        ("grpc-status", str(status)),
        ("grpc-message", "refused by the test"),
    ]

    def handle(self: socketserver.BaseRequestHandler) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        self.request.sendall(connection.data_to_send())
        while data := self.request.recv(CHUNK):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.StreamEnded):
                    connection.send_headers(event.stream_id, headers, end_stream=True)
            self.request.sendall(connection.data_to_send())

    return _serve_tcp(run, handle)
