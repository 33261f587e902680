"""The cube around a hand: cropping it from the depth image, resizing, normalizing, and the inverse.

Kazakos, chapter 4. A cube of side cs (mm) around the center (x, y, z) covers cs * fx / z by cs * fy / z pixels. Its
patch contains (d - z) / (cs / 2) in [-1, 1]; missing readings and points behind the back face are 1, points in front of
the front face are -1 (our decision). Joints are (x' - x) / (cs / 2), likewise for y and z.

For augmentation, a cube can be rotated about the ray through its center: the image and the joints rotate about the
center's pixel, the joints keeping their depth. Patch and joints therefore always agree, for any camera.
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
"""A cube with fewer readings inside counts as empty."""


@dataclass(frozen=True)
class Cube:
    """A cube. `center_mm`: (x, y, z) in camera coordinates; `turn`: rotation in degrees, counterclockwise."""

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
        """Crop depth [H, W] in mm to a normalized patch [size, size], with nearest-neighbor sampling to keep edges.

        Pixels outside the image count as missing readings. Raises GestaError if the cube is (almost) empty.
        """
        patch = self.normal_depth(self.cut(depth_mm, size))
        readings = int(hand_mask(patch).sum())
        if readings < MIN_PIXELS * (size / PATCH) ** 2:
            x, y, z = self.center_mm
            raise GestaError(
                f"the cube of {self.side_mm:g} mm around ({x:.0f}, {y:.0f}, {z:.0f}) mm is empty: {readings} of "
                f"{size * size} pixels have a reading in it. Are the center and the camera right?"
            )
        return patch

    def cut(self, depth_mm: NDArray[np.float32], size: int) -> NDArray[np.float32]:
        """Crop depth [H, W] to the cube's window [size, size], both in mm; 0 outside the image."""
        return _warped(depth_mm, self.to_image(size), size, cv2.INTER_NEAREST)

    def normal_depth(self, depth_mm: NDArray[np.floating[Any]] | NDArray[np.uint16]) -> NDArray[np.float32]:
        """Normalize depth in mm: -1 at and in front of the front face, 1 at and behind the back face or missing."""
        normal = (depth_mm.astype(np.float32) - np.float32(self.center_mm[2])) / np.float32(self.side_mm / 2)
        return np.where(depth_mm > 0, np.clip(normal, -1, 1), 1).astype(np.float32)

    def color_patch(self, color: NDArray[np.uint8], patch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Crop RGB [H, W, 3] to [size, size, 3] in 0..255, black where the depth `patch` shows no hand."""
        size = len(patch)
        found = _warped(color, self.to_image(size), size, cv2.INTER_LINEAR)
        return found.astype(np.float32) * hand_mask(patch)[..., None]

    def depth_mm(self, patch: NDArray[np.float32]) -> NDArray[np.float64]:
        """Convert normalized depth back to mm; 0 where it is missing (1) or clipped (-1)."""
        return np.where(hand_mask(patch), self.center_mm[2] + patch.astype(np.float64) * self.side_mm / 2, 0.0)

    def points_mm(self, patch: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the points [N, 3] of the patch's pixels with a reading in the cube, in camera coordinates."""
        rows, columns = np.nonzero(hand_mask(patch))
        here = np.stack([columns, rows, np.ones_like(rows)], axis=-1)  # N 3
        uv = here @ self.to_image(len(patch)).T  # N 2, pixels of the image
        depth = self.depth_mm(patch)[rows, columns]
        return self.camera.unproject(np.column_stack([uv, depth]))

    def normalize(self, joints_mm: ArrayLike) -> NDArray[np.float64]:
        """Normalize joints [..., J, 3] in mm; inside the cube they are in [-1, 1]."""
        turned = self._turned(np.asarray(joints_mm, np.float64), self.turn)
        return (turned - self.center_mm) / (self.side_mm / 2)

    def restore(self, normalized: ArrayLike) -> NDArray[np.float64]:
        """Invert `normalize`: [..., J, 3] -> mm in camera coordinates."""
        return self._turned(np.asarray(normalized, np.float64) * (self.side_mm / 2) + self.center_mm, -self.turn)

    def to_patch(self, uv: ArrayLike, size: int = PATCH) -> NDArray[np.float64]:
        """Map pixels [..., 2] of the depth image to pixels of the patch."""
        back = cv2.invertAffineTransform(self.to_image(size))
        return np.asarray(uv, np.float64) @ back[:, :2].T + back[:, 2]

    def to_image(self, size: int = PATCH) -> NDArray[np.float64]:
        """Return the affine map [2, 3] from patch to depth image pixels. Pixel centers are integers in both."""
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
        """Rotate the joints' projections about the center's pixel, keeping their depth."""
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
    """Return where a patch has a reading inside the cube."""
    return np.asarray(np.abs(patch) < 1)


def standardize(color: NDArray[np.float32], mean: ArrayLike, deviation: ArrayLike) -> NDArray[np.float32]:
    """Standardize [..., 3] by channel with the training set's mean and deviation. Raises ValueError if one is 0."""
    spread = np.asarray(deviation, np.float32)
    if not (spread > 0).all():
        raise ValueError(f"a channel's deviation must be positive, not {spread.tolist()}")
    return np.asarray((color - np.asarray(mean, np.float32)) / spread, np.float32)


def vary(
    cube: Cube,
    rng: np.random.Generator,
    *,
    turn: float = 180.0,
    shift_mm: float = 10.0,
    scale: tuple[float, float] = (0.9, 1.1),
) -> Cube:
    """Rotate the cube by up to `turn` degrees, shift it (normal, `shift_mm` per axis), scale its side within `scale`.

    A patch and joints computed with the new cube move together.
    """
    moved = np.asarray(cube.center_mm) + rng.normal(scale=shift_mm, size=3)
    side = cube.side_mm * rng.uniform(*scale)
    return Cube(cube.camera, (moved[0], moved[1], moved[2]), side, cube.turn + rng.uniform(-turn, turn))


def _about(u: float, v: float, degrees: float) -> NDArray[np.float64]:
    """Return the matrix [3, 3] of an image rotation about (u, v), counterclockwise as seen."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, s, u - c * u - s * v], [-s, c, v + s * u - c * v], [0, 0, 1]])
