"""Capsules of a hand as a depth image, a map of parts and shading: each ray is met with each capsule, exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gesta.schema import Camera
from gesta.synthetic.hand_model import Flesh

Image = NDArray[np.float32]
NOTHING = -1


@dataclass(frozen=True)
class Rendered:
    """`depth_mm` H W, infinite where there is no hand; `parts` H W positions in PARTS, NOTHING elsewhere;

    `shade` H W: how much light the surface gets, 0 to 1."""

    depth_mm: Image
    parts: NDArray[np.int8]
    shade: Image


def render(flesh: Flesh, camera: Camera, size: tuple[int, int], light: tuple[float, float, float]) -> Rendered:
    """The capsules as a camera at the origin sees them. `size` is (width, height); `light` points to the light."""
    width, height = size
    depth = np.full((height, width), np.inf, np.float32)
    parts = np.full((height, width), NOTHING, np.int8)
    shade = np.zeros((height, width), np.float32)
    ray_x = ((np.arange(width) - camera.cx) / camera.fx).astype(np.float32)
    ray_y = ((camera.cy - np.arange(height)) / camera.fy).astype(np.float32)
    for a, b, radius, part in zip(flesh.a, flesh.b, flesh.radii, flesh.parts, strict=True):
        box = _box(a, b, radius, camera, size)
        if box is None:
            continue
        rows, columns = box
        hit, normal_light = _meet(a, b, radius, ray_x[columns], ray_y[rows][:, None], light)
        held = depth[rows, columns]
        nearer = hit < held  # NaN, where the ray misses, is not nearer
        np.copyto(held, hit, where=nearer)
        np.copyto(parts[rows, columns], np.int8(part), where=nearer)
        np.copyto(shade[rows, columns], normal_light, where=nearer)
    return Rendered(depth, parts, shade)


def _box(
    a: NDArray[np.float64], b: NDArray[np.float64], radius: float, camera: Camera, size: tuple[int, int]
) -> tuple[slice, slice] | None:
    """Rows and columns that a capsule can be seen in; None where it is out of sight."""
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
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    radius: float,
    x: Image,
    y: Image,
    light: tuple[float, float, float],
) -> tuple[Image, Image]:
    """(depth of the first point of a capsule on the rays (x, y, 1), NaN where it is missed; light on the surface).

    The ray t (x, y, 1) meets the cylinder around a + s (b - a) where the part of it across the axis has length
    `radius`; beyond the ends it meets a sphere there instead. t is the depth.
    """
    axis = (b - a).astype(np.float32)
    length2 = float(axis @ axis) + 1e-6
    along_ray = (axis[0] * x + axis[1] * y + axis[2]) / np.float32(length2)
    along_a = float(a @ axis) / length2
    ray2 = x * x + y * y + 1
    ray_a = np.float32(a[0]) * x + np.float32(a[1]) * y + np.float32(a[2])
    with np.errstate(invalid="ignore", divide="ignore"):
        # |t ray - a - s axis| = radius with s = t along_ray - along_a
        square = ray2 - along_ray * along_ray * np.float32(length2)
        half = ray_a - along_ray * np.float32(along_a * length2)
        rest = np.float32(float(a @ a) - along_a * along_a * length2 - radius * radius)
        depth = (half - np.sqrt(half * half - square * rest)) / square
        s = depth * along_ray - np.float32(along_a)
        beyond = ~((s > 0) & (s < 1))
        if beyond.any():
            for end, where in ((a, ~(s >= 1)), (b, ~(s <= 0))):
                to_end = np.float32(end[0]) * x + np.float32(end[1]) * y + np.float32(end[2])
                sphere = (to_end - np.sqrt(to_end * to_end - ray2 * np.float32(end @ end - radius * radius))) / ray2
                np.copyto(depth, np.fmin(np.where(beyond, np.nan, depth), sphere), where=where & beyond)
            depth = depth.astype(np.float32)
        s = np.clip(depth * along_ray - np.float32(along_a), 0, 1)
        lit = depth * (light[0] * x + light[1] * y + light[2]) - s * np.float32(axis @ light) - np.float32(a @ light)
        lit = np.clip(lit / np.float32(radius), 0, 1)
    return depth, lit.astype(np.float32)
