"""Film strips of videos, for reports."""

from __future__ import annotations

import base64

import cv2
import numpy as np

from gesta.clips.chosen_frames import read_frames
from gesta.schema import GestaError, Sample

FRAMES = 10
STRIP_SIDE = 96


def video_strip(sample: Sample) -> list[tuple[str, str]]:
    """Frames of a video side by side, in color; an empty list if it can no longer be read."""
    try:
        frames = read_frames(sample, STRIP_SIDE, frames=FRAMES)
    except GestaError:
        return []
    picture = cv2.cvtColor(np.concatenate(list(frames), axis=1), cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode(".jpg", picture)
    return [("video", "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode())]
