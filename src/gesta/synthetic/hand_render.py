"""Renders the capsules of a hand to depth, part map and shading, with exact ray-capsule intersections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gesta.schema import Camera
from gesta.synthetic.hand_model import Flesh

Image = NDArray[np.float32]
NOTHING = -1


@dataclass(frozen=True)
class Rendered:
    """`depth_mm` H W, infinite outside the hand; `parts` H W: indices into PARTS, NOTHING elsewhere;

    `shade` H W: light on the surface, 0 to 1."""

    depth_mm: Image
    parts: NDArray[np.int8]
    shade: Image


class Rays(NamedTuple):
    """The rays (x, y, 1) of a part of the image: x [W], y [H, 1], their squared length and their share of the light."""

    x: Image
    y: Image
    square: Image
    light: Image


def render(flesh: Flesh, camera: Camera, size: tuple[int, int], light: tuple[float, float, float]) -> Rendered:
    """Renders the capsules for a camera at the origin. `size` is (width, height); `light` points to the light."""
    width, height = size
    depth = np.full((height, width), np.inf, np.float32)
    parts = np.full((height, width), NOTHING, np.int8)
    shade = np.zeros((height, width), np.float32)
    x = ((np.arange(width) - camera.cx) / camera.fx).astype(np.float32)
    y = ((camera.cy - np.arange(height)) / camera.fy).astype(np.float32)[:, None]
    square = x * x + y * y + 1
    lit = np.asarray(light[0] * x + light[1] * y + light[2], np.float32)
    with np.errstate(invalid="ignore", divide="ignore"):
        for a, b, radius, part in zip(flesh.a, flesh.b, flesh.radii, flesh.parts, strict=True):
            box = _box(a, b, radius, camera, size)
            if box is None:
                continue
            rays = Rays(x[box[1]], y[box[0]], square[box], lit[box])
            hit, normal_light = _meet(a, b, radius, rays, light)
            nearer = hit < depth[box]  # NaN (ray misses) is not nearer
            np.copyto(depth[box], hit, where=nearer)
            np.copyto(parts[box], np.int8(part), where=nearer)
            np.copyto(shade[box], normal_light, where=nearer)
    return Rendered(depth, parts, shade)


def _box(
    a: NDArray[np.float64], b: NDArray[np.float64], radius: float, camera: Camera, size: tuple[int, int]
) -> tuple[slice, slice] | None:
    """Returns the rows and columns that can contain a capsule, or None if it is out of view."""
    ends = np.stack([a, b])
    near = ends[:, 2] - radius
    if near.min() <= 1:
        return None
    u = camera.cx + camera.fx * ends[:, 0] / ends[:, 2]
    v = camera.cy - camera.fy * ends[:, 1] / ends[:, 2]
    reach = 1.15 * max(camera.fx, camera.fy) * radius / near
    left, right = max(int((u - reach).min()), 0), min(int((u + reach).max()) + 2, size[0])
    top, bottom = max(int((v - reach).min()), 0), min(int((v + reach).max()) + 2, size[1])
    return None if left >= right or top >= bottom else (slice(top, bottom), slice(left, right))


def _meet(
    a: NDArray[np.float64], b: NDArray[np.float64], radius: float, rays: Rays, light: tuple[float, float, float]
) -> tuple[Image, Image]:
    """Returns (depth of each ray's first intersection with a capsule, NaN if it misses; light on the surface).

    The ray t (x, y, 1) intersects the cylinder around a + s (b - a) where its component orthogonal to the axis has
    length `radius`; beyond the ends, it intersects a sphere instead. t is the depth.
    """
    axis = (b - a).astype(np.float32)
    length2 = float(axis @ axis) + 1e-6
    along_ray = (axis[0] * rays.x + axis[1] * rays.y + axis[2]) / np.float32(length2)
    along_a = float(a @ axis) / length2
    ray_a, ray_b = (np.float32(e[0]) * rays.x + np.float32(e[1]) * rays.y + np.float32(e[2]) for e in (a, b))
    # |t ray - a - s axis| = radius with s = t along_ray - along_a
    square = rays.square - along_ray * along_ray * np.float32(length2)
    half = ray_a - along_ray * np.float32(along_a * length2)
    rest = np.float32(float(a @ a) - along_a * along_a * length2 - radius * radius)
    depth = (half - np.sqrt(half * half - square * rest)) / square
    s = depth * along_ray - np.float32(along_a)
    before = s <= 0
    outside_a, outside_b = (np.float32(end @ end - radius * radius) for end in (a, b))
    to_end = np.where(before, ray_a, ray_b)
    sphere = to_end - np.sqrt(to_end * to_end - rays.square * np.where(before, outside_a, outside_b))
    depth = np.where((s > 0) & (s < 1), depth, sphere / rays.square)
    s = np.clip(depth * along_ray - np.float32(along_a), 0, 1)
    lit = depth * rays.light - s * np.float32(axis @ light) - np.float32(a @ light)
    return depth, np.clip(lit / np.float32(radius), 0, 1)
