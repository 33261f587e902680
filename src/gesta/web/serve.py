"""Runs the server: its address, connections and browser."""

from __future__ import annotations

import asyncio
import secrets
import socket
import ssl
import sys
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import Any

import cv2
import numpy as np
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from gesta.schema import GestaError
from gesta.web.app import create
from gesta.web.folder import Folder
from gesta.web.guard import Door, hosts_of
from gesta.web.messages_work import Job
from gesta.web.studio import Studio
from gesta.words import command

CONNECTIONS = 200
"""Maximum number of open connections; further ones are closed."""
SILENT_S = 10.0
"""A connection without a request for this long is closed."""


@dataclass(frozen=True)
class Address:
    """Where the server listens; `cert` and `key`: TLS certificate files (key None: in the same file)."""

    host: str = "127.0.0.1"
    port: int = 8765
    cert: Path | None = None
    key: Path | None = None

    @property
    def is_local(self) -> bool:
        return self.host in ("127.0.0.1", "localhost", "::1")

    def checked(self) -> Address:
        """The address, unchanged. Raises GestaError (usage) if others could eavesdrop, or for a bad certificate."""
        if not self.is_local and self.cert is None:
            raise GestaError(
                f"--host {self.host}: other computers could listen in, and browsers allow no camera without TLS. "
                "Give --cert FILE as well (and --key FILE), for instance one made by mkcert.",
                usage=True,
            )
        if self.cert is not None:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.cert, self.key)
            except (OSError, ssl.SSLError) as error:
                raise GestaError(
                    f"--cert {self.cert}: cannot be used ({error}). Give a PEM file.", usage=True
                ) from error
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Names under which the server is reachable, best first; if it listens on all addresses, those known."""
        if self.host not in ("0.0.0.0", "::"):
            return (self.host,)
        return (*outward(self.host == "::"), socket.gethostname(), "localhost")

    def link(self, token: str) -> str:
        host = f"[{self.names[0]}]" if ":" in self.names[0] else self.names[0]
        return f"{'https' if self.cert else 'http'}://{host}:{self.port}/#token={token}"


class Patient(H11Protocol):
    """Closes connections beyond a maximum number, and those without requests."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:
            transport.close()
            return
        self._silence = asyncio.get_running_loop().call_later(SILENT_S, self._close_silent)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if hasattr(self, "_silence"):
            self._silence.cancel()

    def handle_websocket_upgrade(self, event: Any) -> None:
        self._silence.cancel()  # from here on the socket's own limits apply
        super().handle_websocket_upgrade(event)

    def _close_silent(self) -> None:
        if self.cycle is None and self.transport is not None and not self.transport.is_closing():
            self.transport.close()


def serve(data: Path, address: Address, *, opens: bool = True) -> None:
    """Serves until Ctrl-C. Raises GestaError for a folder or address that cannot be used."""
    address = address.checked()
    folder = Folder(data).open()
    try:
        token = secrets.token_urlsafe(16)
        hosts = {host for name in address.names for host in hosts_of(name, address.port)}
        door = Door(token, tuple(sorted(hosts)), address.cert is not None)
        studio = Studio(folder)
        server = uvicorn.Server(_config(create(studio, door), address))
        link = address.link(token)
        sys.stderr.write(f"gesta studio of {data}: {link}\nPress Ctrl-C to stop.\n")
        if not address.is_local:
            sys.stderr.write(qr_code(link) + "\n")
        if opens:
            Timer(1.0, webbrowser.open, [link]).start()
        server.run()
        sys.stderr.write(goes_on(studio.jobs.all(), data))
        if not server.started:
            raise GestaError(f"port {address.port} of {address.host} cannot be used. Give another --port.", usage=True)
    finally:
        folder.close()


def goes_on(jobs: Sequence[Job], data: Path) -> str:
    """A line on the job that continues without the server; empty if none does."""
    what = {"train": "The training", "measure": "The measurement", "export": "The export"}
    lines = [
        f"{what[job.kind]} continues in the background. To see or stop it: {command('gesta', 'studio', str(data))}\n"
        for job in jobs
        if job.state in ("running", "stopping")
    ]
    return "".join(lines)


def _config(app: Any, address: Address) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=address.host,
        port=address.port,
        http=Patient,
        ws="websockets-sansio",
        ws_max_size=2**20,
        ws_ping_interval=20.0,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=3,
        ssl_certfile=address.cert,
        ssl_keyfile=address.key,
    )


def outward(v6: bool = False) -> tuple[str, ...]:
    """This computer's address as seen by others, if it has one. Sends nothing."""
    with socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("2001:db8::1" if v6 else "192.0.2.1", 9))  # addresses reserved for documentation
        except OSError:
            return ()
        return (probe.getsockname()[0],)


def qr_code(text: str) -> str:
    """The text as a QR code of block characters, two rows per line."""
    code = np.pad(cv2.QRCodeEncoder.create().encode(text), 2, constant_values=255) > 127
    code = np.pad(code, ((0, len(code) % 2), (0, 0)), constant_values=True)
    marks = {(True, True): "█", (True, False): "▀", (False, True): "▄", (False, False): " "}
    return "\n".join(
        "".join(marks[bool(a), bool(b)] for a, b in zip(*rows, strict=True))
        for rows in zip(code[::2], code[1::2], strict=True)
    )
