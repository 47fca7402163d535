"""A server on loopback for tests whose clients may leave before they are answered."""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class LoopbackServer(ThreadingHTTPServer):
    """Listens at a free port, and is silent about clients that have gone: another test may read what is printed."""

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print what goes wrong, but for a client that is no longer there."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)
