"""Augmentation: one draw per clip, the same for all its frames, channels and streams (spec 1, Input 5).

Speed and window select frames (integers, in the data set); rotation, shift, zoom, scale and mirror are one affine map
per clip, applied to the whole batch at once. Every draw depends only on (seed, epoch, clip), so neither the order of
the clips nor resuming a run changes it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from gesta.tasks.clips.recipe import AugmentationSettings


def generator(seed: int, epoch: int, clip: int) -> np.random.Generator:
    """Returns the random generator of one clip in one epoch."""
    return np.random.default_rng([seed, epoch, clip])


def at_speed(frames: int, percent: int) -> NDArray[np.int64]:
    """Returns the frame indices of a clip of `frames` played at `percent` of its speed: 200 = every other."""
    count = max(1, -(-frames * 100 // percent))
    return np.arange(count, dtype=np.int64) * percent // 100


def choose_frames(frames: int, settings: AugmentationSettings, rng: np.random.Generator) -> NDArray[np.int64]:
    """Returns indices into a clip's frames: cut off at both ends, a random speed, then a random window."""
    first, last = (rng.uniform(0, settings.cut, 2) * frames).astype(int) if settings.cut else (0, 0)
    low, high = settings.speed
    percent = int(rng.integers(round(100 * low), round(100 * high) + 1))
    indices = first + at_speed(frames - first - last, percent)
    shortest, longest = settings.window or (len(indices), len(indices))
    length = min(int(rng.integers(shortest, longest + 1)), len(indices))
    start = int(rng.integers(0, len(indices) - length + 1))
    return indices[start : start + length]


def draw_affine(size: int, settings: AugmentationSettings, rng: np.random.Generator) -> NDArray[np.float32]:
    """Returns a 2 x 3 map from output to input coordinates, both in [-1, 1], for crops of `size` pixels.

    Rotation in degrees, shift in pixels on both axes, zoom-in by 0..zoom_in_px pixels, scale, mirror.
    """
    angle = np.deg2rad(rng.uniform(-settings.rotation_deg, settings.rotation_deg))
    shift = rng.uniform(-settings.shift_px, settings.shift_px, size=2) * 2 / size
    zoom = (size - rng.uniform(0, settings.zoom_in_px)) / size
    zoom /= rng.uniform(*settings.scale)
    mirror = -1.0 if rng.random() < float(settings.flip) else 1.0
    cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
    return np.array([[mirror * cos, -sin, shift[0]], [mirror * sin, cos, shift[1]]], dtype=np.float32)


def moves_pixels(settings: AugmentationSettings) -> bool:
    """Returns whether the affine map can differ from the identity."""
    amounts = (settings.rotation_deg, settings.shift_px, settings.zoom_in_px, settings.flip)
    return any(amounts) or settings.scale != (1.0, 1.0)


def warp(clip: Tensor, theta: Tensor) -> Tensor:
    """Warps uint8 or float [B, S, C, T, H, W] by maps [B, 2, 3] -> float, same shape, with border padding."""
    batch, streams, channels, frames, height, width = clip.shape
    flat = clip.reshape(batch, -1, height, width).float()  # B S*C*T H W
    grid = F.affine_grid(theta, [batch, 1, height, width], align_corners=False)  # B H W 2
    moved = F.grid_sample(flat, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return moved.reshape(batch, streams, channels, frames, height, width)
