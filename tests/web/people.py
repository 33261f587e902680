"""Generated people before a camera: drawn frames of gestures and of nothing, and a fake camera's file of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.schema import CHALEARN_GESTURES
from gesta.synthetic.recording import FPS, Plan, prepare

Image = NDArray[np.uint8]
WORDS = {"wave": "vattene", "salute": "seipazzo", "open arms": "basta"}
"""What the generated people do under these names."""


def doing(label: str, person: int, take: int, size: tuple[int, int] = (160, 120)) -> Iterator[Image]:
    """Frames, RGB, at `FPS`: one gesture (of WORDS or CHALEARN_GESTURES) from rest to rest; of "none" a rest with small
    movements."""
    word = CHALEARN_GESTURES.index(WORDS.get(label, label if label in CHALEARN_GESTURES else "basta")) + 1
    plan = Plan(seed=8, person=person, take=take, gestures=(word,), size=size, preset="easy", place=person)
    recording = prepare(plan)
    first, last = recording.spans[0].first, recording.spans[0].last
    moments = range(max(0, first - 6), min(len(recording), last + 7))
    if label == "none":
        moments = range(0, max(first - 2, 8))
    for t in moments:
        color, depth = recording.renderer.draw(t, recording.room.color)
        yield np.asarray(recording.sensor.read(color, depth).color, np.uint8)


def write_y4m(path: Path, frames: Iterable[Any], fps: int = FPS) -> None:
    """Frames, RGB with even sides, as a file for Chromium's fake camera."""
    import cv2

    with path.open("wb") as stream:
        for place, frame in enumerate(frames):
            if not place:
                height, width = frame.shape[:2]
                stream.write(f"YUV4MPEG2 W{width} H{height} F{fps}:1 Ip A1:1 C420jpeg\n".encode())
            stream.write(b"FRAME\n" + cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420).tobytes())
