"""The HTTP side: `GET /orders` and `GET /health`."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from orders.warehouse import Warehouse, WarehouseError


def serve(warehouse: Warehouse, port: int) -> None:
    """Serve until interrupted."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = respond(self.path, warehouse)
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


def respond(path: str, warehouse: Warehouse) -> tuple[int, object]:
    """Return status and body for a request path. A warehouse failure is 502 for the caller."""
    if path == "/health":
        return 200, {"ok": True}
    if path != "/orders":
        return 404, {"error": f"no such path: {path}"}
    try:
        return 200, warehouse.open_orders()
    except WarehouseError as error:
        return 502, {"error": str(error)}
