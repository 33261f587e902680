"""Chromium by its debugging protocol: a page on a local server, with a camera that plays a file."""

from __future__ import annotations

import functools
import http.server
import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--remote-debugging-port=0",
)
LONGEST_S = 60.0


def needed() -> None:
    """Skips where there is no Chromium, or nothing to talk to it."""
    pytest.importorskip("websockets")
    if CHROMIUM is None:
        pytest.skip("no chromium here")


def write_y4m(path: Path, frames: NDArray[np.uint8], fps: int) -> Path:
    """RGB frames [T, H, W, 3] as the file that a fake camera plays, again and again."""
    import av

    height, width = frames.shape[1:3]
    with path.open("wb") as out:
        out.write(f"YUV4MPEG2 W{width} H{height} F{fps}:1 Ip A1:1 C420jpeg\n".encode())
        for frame in frames:
            yuv = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="yuvj420p")
            out.write(b"FRAME\n" + yuv.to_ndarray().tobytes())
    return path


class Handler(http.server.SimpleHTTPRequestHandler):
    """A plain static server: no special headers."""

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder on this computer."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


class Page:
    """One tab. What it asked the network for is in `requests`, what it complained of in `errors`."""

    def __init__(self, socket: Any) -> None:
        self._socket, self._number = socket, 0
        self.requests: list[str] = []
        self.errors: list[str] = []

    def call(self, method: str, **given: Any) -> dict[str, Any]:
        """The protocol's answer."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": given}))
        while True:
            message = json.loads(self._socket.recv(timeout=LONGEST_S))
            if message.get("id") == self._number:
                assert "error" not in message, message
                return dict(message["result"])
            self._note(message)

    def run(self, code: str) -> Any:
        """The value of JavaScript, promises awaited, as after a click of a person."""
        given = {"expression": code, "awaitPromise": True, "returnByValue": True, "userGesture": True}
        found = self.call("Runtime.evaluate", **given)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, code: str) -> Any:
        """The first value of JavaScript that is true."""
        until = time.monotonic() + LONGEST_S
        while time.monotonic() < until:
            if value := self.run(code):
                return value
            time.sleep(0.1)
        raise AssertionError(f"{code} did not come true. {self.run('document.body.innerText')} {self.errors}")

    def _note(self, message: dict[str, Any]) -> None:
        given = message.get("params", {})
        if message["method"] == "Network.requestWillBeSent":
            self.requests.append(given["request"]["url"])
        elif message["method"] in ("Runtime.exceptionThrown", "Log.entryAdded"):
            self.errors.append(json.dumps(given)[:500])


@contextmanager
def opened(url: str, profile: Path, camera: Path | None = None) -> Iterator[Page]:
    """A page in Chromium."""
    from websockets.sync.client import connect

    fake = () if camera is None else (f"--use-file-for-fake-video-capture={camera}",)
    words = [str(CHROMIUM), *FLAGS, *fake, f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stderr is not None
            address = next(m[1] for line in process.stderr if (m := re.search(r"listening on (ws://\S+)", line)))
            threading.Thread(target=process.stderr.read, daemon=True).start()
            with connect(address, max_size=None) as browser:
                target = Page(browser).call("Target.createTarget", url="about:blank")["targetId"]
            with connect(f"{address.rsplit('/', 3)[0]}/devtools/page/{target}", max_size=None) as socket:
                page = Page(socket)
                for domain in ("Page", "Runtime", "Network", "Log"):
                    page.call(f"{domain}.enable")
                page.call("Page.navigate", url=url)
                yield page
        finally:
            process.terminate()
