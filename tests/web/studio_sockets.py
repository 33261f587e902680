"""Eight pages that try the same model at once: the server's memory, answers a second and dropped frames, each minute.

    PYTHONPATH=src:tests python -m web.studio_sockets [--minutes 10] [--sockets 8] [--model demo]

As the page, a client sends at 20 frames/s and has two frames unanswered at most. Exit code 1 if the memory at the end
is more than a twentieth above that after the first minute.
"""

from __future__ import annotations

import argparse
import json
import os
import struct
import sys
import tempfile
import threading
import time
from pathlib import Path

from web.served import served
from web.studio_minutes import SIZE, jpegs
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

FPS, UNANSWERED, MOST = 20, 2, 1.05


class Camera(threading.Thread):
    """One page. `answers`, `dropped` and `sent` count; `ended` says why it stopped, if it did."""

    def __init__(self, port: int, token: str, model: str, frames: list[bytes], stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.address = f"ws://127.0.0.1:{port}/api/ws/live?model={model}"
        self.origin, self.token, self.frames, self.stop = f"http://127.0.0.1:{port}", token, frames, stop
        self.answers = self.dropped = self.offered = 0
        self.ended = ""

    def run(self) -> None:
        try:
            with connect(self.address, origin=self.origin) as socket:  # type: ignore[arg-type]
                socket.send(json.dumps({"token": self.token}))
                self._send(socket)
        except (ConnectionClosed, OSError) as error:
            self.ended = str(error)

    def _send(self, socket: object) -> None:
        begun, waiting = time.monotonic(), set[int]()
        while not self.stop.wait(max(0.0, begun + self.offered / FPS - time.monotonic())):
            seq = self.offered
            self.offered += 1
            self._hear(socket, waiting)
            if len(waiting) >= UNANSWERED:
                self.dropped += 1
                continue
            waiting.add(seq)
            socket.send(struct.pack("<IQ", seq, round(1e6 * seq / FPS)) + self.frames[seq % len(self.frames)])  # type: ignore[attr-defined]

    def _hear(self, socket: object, waiting: set[int]) -> None:
        """The answers that have come; a frame before an answered one gets none."""
        while True:
            try:
                answer = json.loads(socket.recv(timeout=0))  # type: ignore[attr-defined]
            except TimeoutError:
                return
            self.answers += 1
            waiting.difference_update([one for one in waiting if one <= answer["seq"]])


def resident_mb(pid: int) -> float:
    """What a process holds in memory, by Linux' count."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def run(minutes: float, sockets: int, model: str) -> int:
    frames = [frame for _, frame in jpegs("wave", 0, 0, 4.0)]
    with tempfile.TemporaryDirectory() as scratch, served(Path(scratch) / "data") as (client, process, port):
        stop = threading.Event()
        cameras = [Camera(port, client.headers["X-Gesta-Token"], model, frames, stop) for _ in range(sockets)]
        for camera in cameras:
            camera.start()
        begun, before, memories = time.monotonic(), 0, list[float]()
        step_s = min(60.0, 60 * minutes / 4)
        while time.monotonic() - begun < 60 * minutes - 0.5:
            time.sleep(step_s)
            memories.append(resident_mb(process.pid))
            answers, dropped, offered = (sum(getattr(c, n) for c in cameras) for n in ("answers", "dropped", "offered"))
            print(
                f"{(time.monotonic() - begun) / 60:.1f} min: {memories[-1]:.0f} MB, "
                f"{(answers - before) / step_s:.1f} answers/s of {sockets * FPS} frames/s, "
                f"{100 * dropped / max(1, offered):.1f} % dropped, {sum(not c.ended for c in cameras)} sockets open",
                flush=True,
            )
            before = answers
        stop.set()
        lost = [camera.ended for camera in cameras if camera.ended]
        grown = memories[-1] / memories[0]
        print(f"memory at the end / after the first step: {grown:.3f} (at most {MOST}); pictures {SIZE}; lost: {lost}")
        return int(grown > MOST or bool(lost))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--sockets", type=int, default=8)
    parser.add_argument("--model", default="demo")
    given = parser.parse_args()
    sys.exit(run(given.minutes, given.sockets, given.model))
