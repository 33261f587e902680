"""Small lossless videos with known pixels, written with PyAV: helpers of the tests, no test themselves."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from gesta.schema import KINECT_JOINTS


def write_video(
    path: Path,
    frames: Sequence[np.ndarray],
    *,
    fps: int = 20,
    codec: str = "ffv1",
    pix_fmt: str = "bgr0",
    source: str = "rgb24",
    pts_ms: Sequence[int] | None = None,
) -> Path:
    """Frames H W 3 uint8 (or H W uint16 with source="gray16le") -> a video; `pts_ms`: irregular time stamps."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        if pts_ms is not None:
            stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for i, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=source)
            if pts_ms is not None:
                frame.time_base, frame.pts = Fraction(1, 1000), pts_ms[i]
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def gray_frames(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Frame i is uniformly i * 5 + 20: its number can be read off its pixels."""
    return [np.full((height, width, 3), i * 5 + 20, np.uint8) for i in range(count)]


def moving_square(count: int, height: int = 96, width: int = 128, side: int = 16, step: int = 2) -> list[np.ndarray]:
    """A bright square that goes to the right on a dark ground."""
    out = []
    for i in range(count):
        image = np.full((height, width, 3), 30, np.uint8)
        image[40 : 40 + side, 8 + i * step : 8 + i * step + side] = 220
        out.append(image)
    return out


def skeleton_csv(path: Path, uv: np.ndarray) -> Path:
    """T 20 2 pixels -> ChaLearn's csv (world and quaternion filled with ones; all zeros where uv is NaN)."""
    rows = []
    for joints in uv:
        row = np.ones((len(KINECT_JOINTS), 9), np.float32)
        row[:, 7:9] = joints
        rows.append(np.zeros_like(row) if np.isnan(joints).any() else row)
    np.savetxt(path, np.array(rows).reshape(len(rows), -1), delimiter=",", fmt="%.4f")
    return path


def standing(count: int, hip: tuple[float, float] = (64, 60), h: float = 24) -> np.ndarray:
    """T 20 2: a person standing still, left hand low, right hand lower."""
    uv = np.tile(np.array(hip, np.float32), (count, 20, 1))
    uv[:, 3] = (hip[0], hip[1] - h)
    uv[:, 7] = (hip[0] - h, hip[1] + 2)
    uv[:, 11] = (hip[0] + h, hip[1] + 4)
    return uv
