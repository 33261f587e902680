"""The cube around a hand: cut out of the depth image, resized, normalized, and all of it backwards.

Kazakos, chapter 4. A cube of side cs (mm) around the center (x, y, z) covers cs * fx / z by cs * fy / z pixels. Its
patch holds (d - z) / (cs / 2) in [-1, 1]; no reading and what lies behind the back face are 1, what lies before the
front face is -1 (our decision). Joints are (x' - x) / (cs / 2), likewise for y and z.

For augmentation a cube may be turned about the ray through its center: the image is turned about the center's pixel,
and joints with it, at their depth. So patch and joints always agree, whatever the camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from gesta.schema import Camera, GestaError

SIDE_MM = 300.0
PATCH = 128
MIN_PIXELS = 20
"""A cube with fewer readings in it is taken for empty."""


@dataclass(frozen=True)
class Cube:
    """Where a cube is. `center_mm` (x, y, z) in the camera's coordinates, `turn` in degrees, counter-clockwise."""

    camera: Camera
    center_mm: tuple[float, float, float]
    side_mm: float = SIDE_MM
    turn: float = 0.0

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, self.center_mm)) or self.center_mm[2] <= 0:
            raise GestaError(
                f"the hand's center is {self.center_mm} mm; expected numbers with z in front of the camera. "
                "Is the annotation in millimeters, with z forward?"
            )
        if not self.side_mm > 0:
            raise GestaError(
                f"the cube's side is {self.side_mm} mm, expected a positive length such as 300.", usage=True
            )

    def patch(self, depth_mm: NDArray[np.float32], size: int = PATCH) -> NDArray[np.float32]:
        """H W millimeters -> size size, normalized depth. Nearest pixels, so that no depth is invented at edges.

        What lies outside the image counts as no reading. Raises GestaError where hardly a reading lies in the cube.
        """
        patch = self.normal_depth(self.cut(depth_mm, size))
        readings = int(hand_mask(patch).sum())
        if readings < MIN_PIXELS * (size / PATCH) ** 2:
            x, y, z = self.center_mm
            raise GestaError(
                f"the cube of {self.side_mm:g} mm around ({x:.0f}, {y:.0f}, {z:.0f}) mm is empty: {readings} of "
                f"{size * size} pixels have a reading in it. Is the center on the hand, the camera the right one?"
            )
        return patch

    def cut(self, depth_mm: NDArray[np.float32], size: int) -> NDArray[np.float32]:
        """H W millimeters -> size size millimeters in the cube's window, 0 outside the image."""
        return _warped(depth_mm, self.to_image(size), size, cv2.INTER_NEAREST)

    def normal_depth(self, depth_mm: NDArray[np.floating[Any]] | NDArray[np.uint16]) -> NDArray[np.float32]:
        """Millimeters in the cube's window -> -1 (front face and before) to 1 (back face, behind it, no reading)."""
        normal = (depth_mm.astype(np.float32) - np.float32(self.center_mm[2])) / np.float32(self.side_mm / 2)
        return np.where(depth_mm > 0, np.clip(normal, -1, 1), 1).astype(np.float32)

    def color_patch(self, color: NDArray[np.uint8], patch: NDArray[np.float32]) -> NDArray[np.float32]:
        """H W 3 RGB -> size size 3 in 0..255, black where the `patch` of depth shows no hand."""
        size = len(patch)
        found = _warped(color, self.to_image(size), size, cv2.INTER_LINEAR)
        return found.astype(np.float32) * hand_mask(patch)[..., None]

    def depth_mm(self, patch: NDArray[np.float32]) -> NDArray[np.float64]:
        """Normalized depth back in millimeters; 0 where the patch has none (1) or it was cut off (-1)."""
        return np.where(hand_mask(patch), self.center_mm[2] + patch.astype(np.float64) * self.side_mm / 2, 0.0)

    def points_mm(self, patch: NDArray[np.float32]) -> NDArray[np.float64]:
        """N 3 (x, y, z) of the patch's pixels with a reading in the cube, in camera coordinates."""
        rows, columns = np.nonzero(hand_mask(patch))
        here = np.stack([columns, rows, np.ones_like(rows)], axis=-1)  # N 3
        uv = here @ self.to_image(len(patch)).T  # N 2, pixels of the image
        depth = self.depth_mm(patch)[rows, columns]
        return self.camera.unproject(np.column_stack([uv, depth]))

    def normalize(self, joints_mm: ArrayLike) -> NDArray[np.float64]:
        """... J 3 mm -> ... J 3, within [-1, 1] inside the cube."""
        turned = self._turned(np.asarray(joints_mm, np.float64), self.turn)
        return (turned - self.center_mm) / (self.side_mm / 2)

    def restore(self, normalized: ArrayLike) -> NDArray[np.float64]:
        """The inverse of `normalize`: ... J 3 -> mm in camera coordinates."""
        return self._turned(np.asarray(normalized, np.float64) * (self.side_mm / 2) + self.center_mm, -self.turn)

    def to_patch(self, uv: ArrayLike, size: int = PATCH) -> NDArray[np.float64]:
        """... 2 pixels of the depth image -> pixels of the patch."""
        back = cv2.invertAffineTransform(self.to_image(size))
        return np.asarray(uv, np.float64) @ back[:, :2].T + back[:, 2]

    def to_image(self, size: int = PATCH) -> NDArray[np.float64]:
        """2 3: pixels of the patch to pixels of the depth image; centers of pixels are whole numbers in both."""
        u, v = self._center_uv()
        z = self.center_mm[2]
        step_u, step_v = self.side_mm * self.camera.fx / z / size, self.side_mm * self.camera.fy / z / size
        middle = (size - 1) / 2
        scale = np.array([[step_u, 0, u - step_u * middle], [0, step_v, v - step_v * middle], [0, 0, 1]])
        return np.asarray((_about(u, v, -self.turn) @ scale)[:2])

    def _center_uv(self) -> tuple[float, float]:
        x, y, z = self.center_mm
        return self.camera.cx + self.camera.fx * x / z, self.camera.cy - self.camera.fy * y / z

    def _turned(self, joints_mm: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
        """Joints whose image is turned about the center's pixel, at their depth."""
        if degrees == 0:
            return joints_mm
        x, y, z = np.moveaxis(joints_mm, -1, 0)
        camera = self.camera
        uv = np.stack([camera.cx + camera.fx * x / z, camera.cy - camera.fy * y / z, np.ones_like(z)], axis=-1)
        turned = uv @ _about(*self._center_uv(), degrees).T
        return camera.unproject(np.concatenate([turned[..., :2], z[..., None]], axis=-1))


def _warped(image: NDArray[Any], to_image: NDArray[np.float64], size: int, flag: int) -> NDArray[Any]:
    return cv2.warpAffine(image, to_image, (size, size), flags=flag | cv2.WARP_INVERSE_MAP, borderValue=0)


def hand_mask(patch: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where a patch has a reading inside the cube."""
    return np.asarray(np.abs(patch) < 1)


def standardize(color: NDArray[np.float32], mean: ArrayLike, deviation: ArrayLike) -> NDArray[np.float32]:
    """... 3: minus the training set's mean, over its deviation, by channel. Raises ValueError for a deviation 0."""
    spread = np.asarray(deviation, np.float32)
    if not (spread > 0).all():
        raise ValueError(f"a channel's deviation must be positive, not {spread.tolist()}")
    return np.asarray((color - np.asarray(mean, np.float32)) / spread, np.float32)


def restore_color(standard: NDArray[np.float32], mean: ArrayLike, deviation: ArrayLike) -> NDArray[np.float32]:
    """The inverse of `standardize`."""
    return np.asarray(standard * np.asarray(deviation, np.float32) + np.asarray(mean, np.float32), np.float32)


def vary(
    cube: Cube,
    rng: np.random.Generator,
    *,
    turn: float = 180.0,
    shift_mm: float = 10.0,
    scale: tuple[float, float] = (0.9, 1.1),
) -> Cube:
    """The cube turned by up to `turn` degrees, moved by a normal of `shift_mm` an axis, its side scaled within `scale`.

    Patch and joints made with it move together.
    """
    moved = np.asarray(cube.center_mm) + rng.normal(scale=shift_mm, size=3)
    side = cube.side_mm * rng.uniform(*scale)
    return Cube(cube.camera, (moved[0], moved[1], moved[2]), side, cube.turn + rng.uniform(-turn, turn))


def _about(u: float, v: float, degrees: float) -> NDArray[np.float64]:
    """3 3: a turn of the image about (u, v), counter-clockwise as seen."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, s, u - c * u - s * v], [-s, c, v + s * u - c * v], [0, 0, 1]])
