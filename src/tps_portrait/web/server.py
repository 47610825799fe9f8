"""Serves the page on this machine, with the headers that let its threads run."""

from __future__ import annotations

import functools
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ..errors import ConfigError

HEADERS = {
    # These two isolate the page from others, which browsers ask for before they share memory
    # between threads.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".onnx": "application/octet-stream",
    ".wasm": "application/wasm",
}


class _Handler(SimpleHTTPRequestHandler):
    """Files of one folder; neither lists of files nor what the system thinks of their types."""

    protocol_version = "HTTP/1.1"
    extensions_map = _TYPES

    def end_headers(self) -> None:
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def list_directory(self, path: Any) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet: the page asks for many files."""


class _Server(ThreadingHTTPServer):
    """Says nothing when a browser leaves in the middle of a file."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def make_server(folder: Path, host: str = "127.0.0.1", port: int = 8000) -> ThreadingHTTPServer:
    """Open a port for the page; `serve_forever` of the result serves it.

    Args:
        folder: what `build_site` wrote.
        host: address to listen on; by default only this machine can connect.
        port: 0 for any free one.

    Raises:
        ConfigError: the address or port cannot be opened.
    """
    try:
        return _Server((host, port), functools.partial(_Handler, directory=str(folder)))
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"Cannot listen on {host}, port {port}: {error}. Choose others by --host and --port."
        ) from error
