"""A local web page with the image and the latest events, on 127.0.0.1 only. Uses the standard library's server."""

from __future__ import annotations

import json
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.decoder import GestureEvent
from gesta.schema import GestaError

HOST = "127.0.0.1"
SHOWN = 12
SIDE = 640
"""Longer side of the image, in pixels."""
PAGE = (
    b"<!doctype html><html lang=en><meta charset=utf-8><title>gesta live</title><style>body{font:16px system-ui;"
    b"margin:2em;color:#1d2433}img{max-width:640px;background:#eef0f4}</style><h1>gesta live</h1><img id=p alt=''>"
    b"<ol id=e></ol><script>setInterval(()=>{p.src='/picture?'+Date.now();fetch('/events').then(r=>r.json()).then(l=>{"
    b"e.replaceChildren(...l.map(t=>{const i=document.createElement('li');i.textContent=t;return i}))})},150)</script>"
)


class Preview:
    """Serves for the duration of the block. `show` may be called for every frame."""

    def __init__(self, port: int = 0) -> None:
        self._picture = b""
        self._events: deque[str] = deque(maxlen=SHOWN)
        try:
            self._server = ThreadingHTTPServer((HOST, port), _handler(self))
        except OSError as error:
            raise GestaError(
                f"--preview: port {port} cannot be used ({error}). Give another one.", usage=True
            ) from error
        self.address = f"http://{HOST}:{self._server.server_address[1]}/"

    def __enter__(self) -> Preview:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def show(self, value: NDArray[Any], events: list[GestureEvent]) -> None:
        """Updates the picture (images only) and adds new events."""
        if value.ndim == 3 and value.dtype == np.uint8:
            share = min(1.0, SIDE / max(value.shape[:2]))
            small = cv2.resize(value, None, fx=share, fy=share) if share < 1 else value
            self._picture = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR))[1].tobytes()
        for event in events:
            self._events.appendleft(f"{event.label} {event.start_s:.1f} - {event.end_s:.1f} s, {event.confidence:.2f}")

    def answer(self, path: str) -> tuple[str, bytes] | None:
        """(content type, content) for a path; None for an unknown one."""
        found = {
            "/": ("text/html; charset=utf-8", PAGE),
            "/picture": ("image/jpeg", self._picture),
            "/events": ("application/json", json.dumps(list(self._events)).encode()),
        }
        return found.get(path.partition("?")[0])


def _handler(preview: Preview) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answers only requests for this exact host: another name may belong to a malicious page."""
            host = self.headers.get("Host", "").rpartition(":")[0]
            found = preview.answer(self.path) if host in (HOST, "localhost") else None
            self.send_response(200 if found else 404)
            kind, content = found or ("text/plain", b"not found")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
