"""Sources that stand for a camera."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gesta.schema import GestaError
from gesta.synthetic.video import VideoWriter


class Script:
    """Gives what it is told: values, or None where it breaks; `refuse` attempts to open it again fail."""

    def __init__(self, frames: list, lasting: bool = False, refuse: int = 0) -> None:
        self.frames, self.lasting, self.refuse = list(frames), lasting, refuse
        self.opened = self.closed = 0

    def open(self) -> None:
        self.opened += 1
        if self.opened > 1 and self.refuse > 0:
            self.refuse -= 1
            raise GestaError("not there yet")

    def take(self):
        return self.frames.pop(0) if self.frames else None

    def close(self) -> None:
        self.closed += 1


def write_video(path: Path, frames: int = 10, level: int = 120, fps: int = 20) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, (64, 48), fps, 20, "ultrafast") as writer:
        for number in range(frames):
            picture = np.full((48, 64, 3), level, np.uint8)
            picture[10:20, 2 * number : 2 * number + 8] = 255
            writer.write(picture)
    return path
