"""Lossless videos whose frames tell their number, in class folders; a recipe and an engine that reads it off."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from gesta.schema import Resource, Sample
from gesta.tasks.feature_store import FeatureRecipe

RECIPE = FeatureRecipe("numbers", "0" * 64, "last", True, 32, frames=3, every=None)


def write_numbered(path: Path, count: int, first: int = 0, *, depth: bool = False) -> Path:
    """Frame i is uniformly first + 2 i (depth: 16 times as many millimeters)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width = 48, 64
        stream.pix_fmt = "gray16le" if depth else "bgr0"
        for i in range(count):
            value = first + 2 * i
            image = np.full((48, 64), 16 * value, np.uint16) if depth else np.full((48, 64, 3), value, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="gray16le" if depth else "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def video(path: Path, identity: str | None = None, **settings) -> Sample:
    name = identity or path.name
    return Sample(id=name, recording=name, color=Resource(path), label="a", **settings)


def several(folder: Path, counts: tuple[int, ...] = (5, 9, 4, 1, 6)) -> list[Sample]:
    """Videos of so many frames; video k begins with the number 20 k."""
    return [video(write_numbered(folder / f"{k}.mkv", count, 20 * k)) for k, count in enumerate(counts)]


def numbers(frames: np.ndarray) -> np.ndarray:
    """An engine: [b, H, W, 3] -> [b, 2], the number twice."""
    assert frames.dtype == np.uint8 and len(frames) > 0
    return np.repeat(frames.reshape(len(frames), -1).mean(1, keepdims=True), 2, axis=1).astype(np.float32)
