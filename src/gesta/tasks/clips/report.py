"""Film strips of preprocessed clips for evaluation reports."""

from __future__ import annotations

import base64
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.clips.cache import ClipCache
from gesta.clips.strips import FRAMES, video_strip
from gesta.clips.transform import Transform
from gesta.schema import GestaError, Sample
from gesta.tasks.classification import Strips


def strips_of(transform: Transform) -> Strips:
    """Returns film strips of samples: the video and, below it, the preprocessed clip if it is still cached."""
    cache = ClipCache()

    def strips(sample: Sample) -> tuple[list[tuple[str, str]], float | None]:
        try:
            pixels = np.asarray(cache.load(sample, transform).pixels)
        except GestaError:
            pixels = transform.empty(0)
        video = video_strip(sample) if sample.color is not None or sample.depth is not None else []
        return video + film_strips(pixels, transform), len(pixels) / transform.fps

    return strips


def film_strips(pixels: NDArray[Any], transform: Transform) -> list[tuple[str, str]]:
    """Returns a strip for each stream and plane of a preprocessed clip T S H W C: (caption, PNG data URI).

    Difference planes are omitted if the clip has others. Empty without frames.
    """
    if len(pixels) == 0 or not transform.pictures:
        return []
    pixels = pixels["pixels"] if transform.fused else pixels
    plain = [c for c, name in enumerate(transform.planes) if not name.endswith(("_difference", "_x", "_y"))]
    shown = np.unique(np.linspace(0, len(pixels) - 1, FRAMES).round().astype(int))
    strips = []
    for s, stream in enumerate(transform.pictures):
        for c in plain or range(len(transform.planes)):
            picture = np.concatenate(list(pixels[shown, s, :, :, c]), axis=1)
            _, png = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])
            name = f"{stream}, {transform.planes[c].replace('_', ' ')}"
            strips.append((name, "data:image/png;base64," + base64.b64encode(png.tobytes()).decode()))
    return strips
