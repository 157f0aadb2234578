"""The demo's gRPC service: `demo.v1.Inventory/Reserve` answers with what it was sent.

The metadata key `want-status` asks for another status than OK, by its name. Generic handlers
instead of generated code: the messages are bytes. `demo.v1.Inventory/Headers` answers with the
metadata that it received, as JSON.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from concurrent import futures

import grpc

SERVICE = "demo.v1.Inventory"


def reserve(request: bytes, context: grpc.ServicerContext) -> bytes:
    """Answer with the request, or with the status that it asks for."""
    wanted = dict(context.invocation_metadata()).get("want-status")
    if wanted is not None:
        context.abort(grpc.StatusCode[wanted], f"asked for {wanted}")
    return request


def headers(_request: bytes, context: grpc.ServicerContext) -> bytes:
    """Answer with the metadata that came with the call."""
    received = [[key, value] for key, value in context.invocation_metadata() if key[-4:] != "-bin"]
    return json.dumps(received).encode()


def main() -> None:
    """Run the service until it is asked to end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--listen", default="127.0.0.1:9090", metavar="HOST:PORT")
    arguments = parser.parse_args()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    handlers = {
        "Reserve": grpc.unary_unary_rpc_method_handler(reserve),
        "Headers": grpc.unary_unary_rpc_method_handler(headers),
    }
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, handlers)])
    try:
        server.add_insecure_port(arguments.listen)
    except RuntimeError:
        sys.exit(f"gRPC service: cannot listen on {arguments.listen}")
    server.start()
    signal.signal(signal.SIGTERM, lambda *_: server.stop(1))
    print(f"gRPC service: listening on {arguments.listen}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
