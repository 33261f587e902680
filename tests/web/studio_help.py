"""A studio in memory, and recordings as its page would send them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from starlette.testclient import TestClient

from gesta.web.app import create
from gesta.web.folder import Folder
from gesta.web.guard import Door
from gesta.web.messages import TOKEN_HEADER, Limits
from gesta.web.naming import slug
from gesta.web.studio import Studio

TOKEN, HOST = "secret", "127.0.0.1:8765"
SIZE = (64, 48)


def jpeg(place: float = 0.5, level: int = 120, size: tuple[int, int] = SIZE) -> bytes:
    """A gray picture with a white square at `place` (0 to 1) of its width."""
    image = np.full((size[1], size[0], 3), level, np.uint8)
    left = int(place * (size[0] - 12))
    image[size[1] // 3 : size[1] // 3 + 12, left : left + 12] = 255
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1])


def wave(
    seconds: float = 2.0, fps: float = 20.0, start_us: int = 5_000_000, level: int = 120
) -> list[tuple[int, bytes]]:
    """Frames of a square that rests, moves over and back, and rests."""
    times = np.arange(0, seconds, 1 / fps)
    places = 0.5 + 0.4 * np.sin(2 * np.pi * np.clip((times - 0.4) / (seconds - 0.8), 0, 1))
    return [(start_us + round(t * 1e6), jpeg(place, level)) for t, place in zip(times, places, strict=True)]


def part(frames: list[tuple[int, bytes]]) -> bytes:
    packed = [struct.pack("<QI", time_us, len(data)) + data for time_us, data in frames]
    return struct.pack("<I", len(frames)) + b"".join(packed)


class Page:
    """A client with the token, that records as the page does."""

    def __init__(self, client: TestClient, studio: Studio) -> None:
        self.client, self.studio = client, studio

    def ask(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        answer = self.client.request(method, f"/api{path}", **options)
        assert answer.status_code == status, (answer.status_code, answer.text)
        is_json = answer.content and answer.headers.get("content-type") == "application/json"
        return answer.json() if is_json else answer.content

    def socket(self, path: str) -> Any:
        return self.client.websocket_connect(f"ws://{HOST}{path}")

    def label(self, name: str) -> None:
        self.ask("PUT", f"/labels/{slug(name)}", json={"name": name})

    def open(self, label: str, subject: str = "anna", **options: Any) -> str:
        body = {"label": label, "subject": subject, "width": SIZE[0], "height": SIZE[1], **options}
        return str(self.ask("POST", "/takes", 201, json=body)["take"])

    def record(
        self, label: str, subject: str = "anna", frames: list[tuple[int, bytes]] | None = None, **options: Any
    ) -> Any:
        """The clips of one recording, sent in parts of ten frames."""
        frames, take = frames or wave(), self.open(label, subject, **options)
        pieces = [frames[i : i + 10] for i in range(0, len(frames), 10)]
        for number, piece in enumerate(pieces):
            self.ask("PUT", f"/takes/{take}/parts/{number}", content=part(piece))
        return self.ask("POST", f"/takes/{take}/finish", json={"parts": len(pieces)})["clips"]


@contextmanager
def opened(root: Path, **limits: Any) -> Iterator[Page]:
    """A studio of a folder, as a server starts and ends it; tests need no free disk."""
    folder = Folder(root, Limits(**{"free_bytes": 0, **limits})).open()
    studio = Studio(folder)
    app = create(studio, Door(TOKEN, (HOST,)))
    headers = {TOKEN_HEADER: TOKEN}
    with TestClient(app, base_url=f"http://{HOST}", headers=headers, raise_server_exceptions=False) as client:
        yield Page(client, studio)


def jpegs_of(path: Path) -> Iterator[tuple[float, bytes]]:
    """(seconds from the first frame, JPEG) of a video that `write_video` made."""
    with av.open(str(path)) as container:
        track = container.streams.video[0]
        for packet in container.demux(track):
            if packet.size and packet.pts is not None:
                yield float(packet.pts * (track.time_base or 0)), bytes(packet)
