"""Frame selection as pure integer functions, and conversion of arrays to network layout, which happens only here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def n_chunks(frames: int, chunk: int) -> int:
    """Number of chunks that cover `frames` frames; the last one may be incomplete."""
    return -(-frames // chunk)


def central_window(frames: int, window: int) -> tuple[int, int]:
    """[start, stop) of the central `window` frames; the whole clip if it is shorter (spec 1, Input 4)."""
    start = max(0, (frames - window) // 2)
    return start, min(frames, start + window)


def ticks_due(time_s: float, fps: float, done: int) -> int:
    """Number of ticks k = done, done + 1, ... at k / fps that are half a tick or more before `time_s`.

    A tick takes the last frame that is less than half a tick late: frames at the same rate with jittered time stamps
    are taken once each, missing ones repeated, surplus ones skipped. Needs no lookahead, so live equals offline.
    """
    return max(0, int(np.floor(time_s * fps - 0.5 + 1e-6)) + 1 - done)


def to_network(clips: Sequence[NDArray[Any]], chunk: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Clips T S H W C -> (B S C T H W zero-padded at the end, T a multiple of chunk; lengths B in frames).

    Skeletons T J D, NaN where a joint is missing -> B T J D+1: coordinates, 0 where missing, and a presence flag.
    """
    lengths = np.array([len(c) for c in clips], dtype=np.int64)
    total = n_chunks(int(lengths.max()), chunk) * chunk
    if clips[0].ndim == 3:
        return _skeletons(clips, total), lengths
    _, s, h, w, c = clips[0].shape
    batch = np.zeros((len(clips), s, c, total, h, w), dtype=np.uint8)
    for row, pixels in zip(batch, clips, strict=True):
        row[:, :, : len(pixels)] = pixels.transpose(1, 4, 0, 2, 3)  # T S H W C -> S C T H W
    return batch, lengths


def feed(
    clips: Sequence[NDArray[Any]], chunk: int, name: str = "clip"
) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64]]:
    """Clips as network inputs by name, and their lengths in frames: only `name`, as returned by `to_network`.

    Records of pixels and skeletons give `name`, "skeleton", and "present" float32 B T 2: whether a frame has pixels
    (any nonzero one) and a skeleton (any joint).
    """
    if clips[0].dtype.names is None:
        batch, lengths = to_network(clips, chunk)
        return {name: batch}, lengths
    pixels, lengths = to_network([clip["pixels"] for clip in clips], chunk)
    skeleton, _ = to_network([clip["skeleton"] for clip in clips], chunk)
    there = np.stack([pixels.any(axis=(1, 2, 4, 5)), skeleton[..., -1].any(axis=2)], axis=-1)  # B T 2
    return {name: pixels, "skeleton": skeleton, "present": there.astype(np.float32)}, lengths


def frames_of(inputs: Mapping[str, NDArray[Any]]) -> int:
    """Number of frames in the network inputs."""
    batch = next(iter(inputs.values()))
    return int(batch.shape[_frames_axis(batch)])


def part_of(inputs: Mapping[str, NDArray[Any]], start: int, stop: int) -> dict[str, NDArray[Any]]:
    """Frames [start, stop) of the network inputs, as inputs of one step: `clip` is renamed `chunk`."""
    spans = {n: (slice(None),) * _frames_axis(batch) + (slice(start, stop),) for n, batch in inputs.items()}
    return {"chunk" if n == "clip" else n: np.ascontiguousarray(batch[spans[n]]) for n, batch in inputs.items()}


def _frames_axis(batch: NDArray[Any]) -> int:
    """The time axis in network layout."""
    return 3 if batch.ndim == 6 else 1


def _skeletons(clips: Sequence[NDArray[np.float32]], total: int) -> NDArray[np.float32]:
    joints, dimensions = clips[0].shape[1:]
    batch = np.zeros((len(clips), total, joints, dimensions + 1), np.float32)
    for row, clip in zip(batch, clips, strict=True):
        there = np.asarray(np.isfinite(clip).all(axis=-1))  # T J
        row[: len(clip), :, :dimensions] = np.where(there[..., None], clip, 0)
        row[: len(clip), :, dimensions] = there
    return batch
