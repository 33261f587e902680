"""Writes h264 in mp4 that decodes to full-range RGB."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import av
import cv2
import numpy as np
from numpy.typing import NDArray

_LUMA = np.rint(16 + np.arange(256) * 219 / 255).astype(np.uint8)
"""Full-range gray -> the limited-range Y that decoders expect in h264."""


class VideoWriter:
    """Writes one constant-rate stream, yuv420p (BT.601). Gray frames are (H, W), color frames (H, W, 3) RGB, uint8."""

    def __init__(self, path: Path, size: tuple[int, int], fps: int, quality: int, speed: str) -> None:
        """quality: x264's crf, lower is better; speed: its preset. Sides must be even."""
        self._container = av.open(str(path), "w")
        self._stream = self._container.add_stream("h264", rate=fps)
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        # one thread, because recordings run side by side; and only the speeds without look-ahead were seen to write
        # the same bytes every time
        self._stream.options = {"crf": str(quality), "preset": speed, "threads": "1"}
        width, height = size
        self._gray = np.full((height * 3 // 2, width), 128, np.uint8)

    def write(self, frame: NDArray[np.uint8]) -> None:
        if frame.ndim == 2:
            cv2.LUT(frame, _LUMA, dst=self._gray[: frame.shape[0]])
            planes: NDArray[np.uint8] = self._gray
        else:
            planes = cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420).astype(np.uint8, copy=False)
        for packet in self._stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")):
            self._container.mux(packet)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            for packet in self._stream.encode():
                self._container.mux(packet)
        self._container.close()
