"""Connections that ask nothing are closed; sockets are not, however long they have been open."""

from __future__ import annotations

import json
import socket
import threading
import time

import pytest
import uvicorn
from web.studio_help import TOKEN
from websockets.sync.client import connect

from gesta.web import serve
from gesta.web.app import create
from gesta.web.folder import Folder
from gesta.web.guard import Door
from gesta.web.messages import Limits
from gesta.web.studio import Studio


@pytest.fixture
def port(tmp_path, monkeypatch):
    """Of a served studio that closes silent connections after 0.3 s."""
    monkeypatch.setattr(serve, "SILENT_S", 0.3)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    studio = Studio(Folder(tmp_path / "data", Limits(free_bytes=0)).open())
    app = create(studio, Door(TOKEN, (f"127.0.0.1:{port}",)))
    server = uvicorn.Server(serve._config(app, serve.Address(port=port)))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield port
    server.should_exit = True
    thread.join(10)


def test_a_socket_outlives_the_silence_of_others(port):
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as silent,
        connect(f"ws://127.0.0.1:{port}/api/ws/state", origin=f"http://127.0.0.1:{port}") as page,
    ):
        page.send(json.dumps({"token": TOKEN}))
        assert json.loads(page.recv(5))["type"] == "hello"
        assert silent.recv(1) == b""  # closed by the server
        time.sleep(0.5)
        page.ping().wait(5)
        with pytest.raises(TimeoutError):
            page.recv(0.2)
