"""The hand transform: the preprocessing stored with a hand pose model, and its exact inverse. NumPy only.

Kazakos, chapter 4: the cube around the hand, resized and normalized; color multiplied by the hand mask and standardized
by the training set. The network's output, joints in units of half a cube, is mapped back with the same cube and camera.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from gesta.schema import Camera, GestaError, HandFrame
from gesta.tasks.hands.center import Find, nearest_object
from gesta.tasks.hands.cube import Cube, standardize
from gesta.tasks.hands.read import read_hand

HandInputs = Literal["depth", "rgb", "rgbd"]
CHANNELS: dict[str, int] = {"depth": 1, "rgb": 3, "rgbd": 4}
HAND_TRANSFORM_VERSION = 1
"""Incremented whenever the same specification would give different numbers."""

Rgb = tuple[float, float, float]


class HandTransform(BaseModel):
    """Turns a hand frame into float32 [C, size, size]: depth in [-1, 1], then standardized R, G, B.

    `color_mean` and `color_deviation` (0 to 255) are those of the training frames; required if `inputs` has color.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = HAND_TRANSFORM_VERSION
    inputs: HandInputs = "depth"
    size: int = Field(128, ge=16, le=512, description="height and width of the patch, pixels")
    cube_mm: float = Field(300.0, gt=0, le=2000, description="side of the cube around the hand")
    mask: bool = Field(True, description="color is black where depth shows no hand")
    color_mean: Rgb | None = None
    color_deviation: Rgb | None = None
    joint_indices: tuple[int, ...] | None = Field(
        None, description="which joints of the data set are estimated, if not all (NYU: 14 of 36)"
    )

    @model_validator(mode="after")
    def _consistent(self) -> HandTransform:
        if (self.color_mean is None) != (self.color_deviation is None):
            raise ValueError("color_mean and color_deviation must be given together")
        if self.color_deviation is not None and min(self.color_deviation) <= 0:
            raise ValueError(f"color_deviation must be positive, not {list(self.color_deviation)}")
        if self.version > HAND_TRANSFORM_VERSION:
            raise ValueError(f"version {self.version} is newer than this gesta knows ({HAND_TRANSFORM_VERSION})")
        return self

    @property
    def channels(self) -> int:
        """Number of channels C of the network's input."""
        return CHANNELS[self.inputs]

    @property
    def needs_color(self) -> bool:
        return self.inputs != "depth"

    def key(self) -> str:
        """Return a short hash of everything that affects the result."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


@dataclass(frozen=True)
class PreprocessedHand:
    """The network's input, `image` float32 [C, size, size], and the cube for mapping its output back."""

    image: NDArray[np.float32]
    cube: Cube

    def joints_mm(self, output: ArrayLike) -> NDArray[np.float64]:
        """Map outputs [..., J, 3] (units of half a cube) to mm in camera coordinates (x right, y up, z forward)."""
        return self.cube.restore(output)

    def joints_uv(self, output: ArrayLike) -> NDArray[np.float32]:
        """Map network outputs [..., J, 3] to pixels (u, v) [..., J, 2] of the depth image."""
        return self.cube.camera.project(self.cube.restore(output).astype(np.float32))


def preprocess_hand(
    frame: HandFrame, transform: HandTransform, center_mm: ArrayLike | None = None, find: Find = nearest_object
) -> PreprocessedHand:
    """Read and preprocess a frame's images. The center is `center_mm`, else the frame's, else found by `find`.

    Raises GestaError if an image cannot be read, color is needed but missing or of another size, the cube is empty,
    or no object is found.
    """
    depth, color = read_hand(frame, color=transform.needs_color)
    center = frame.center_mm if center_mm is None else center_mm
    try:
        return preprocess_images(depth, color, frame.camera, transform, center, find)
    except GestaError as error:
        raise GestaError(f"{frame.depth}: {error}") from error


def preprocess_images(
    depth_mm: NDArray[np.float32],
    color: NDArray[np.uint8] | None,
    camera: Camera,
    transform: HandTransform,
    center_mm: ArrayLike | None = None,
    find: Find = nearest_object,
) -> PreprocessedHand:
    """Preprocess arrays, e.g. from a live camera: depth [H, W] in mm, RGB [H, W, 3] or None.

    Raises GestaError if color is needed but None, the cube is empty, or no object is found.
    """
    cube = cube_of(depth_mm, camera, transform, center_mm, find)
    patch = cube.patch(depth_mm, transform.size)  # S S
    if not transform.needs_color:
        return PreprocessedHand(patch[None], cube)
    if color is None:
        raise GestaError("this model needs color and depth, but there is no color.")
    found = cube.color_patch(color, patch if transform.mask else np.zeros_like(patch))
    return PreprocessedHand(stacked(patch, found, transform), cube)


def cube_of(
    depth_mm: NDArray[np.float32],
    camera: Camera,
    transform: HandTransform,
    center_mm: ArrayLike | None = None,
    find: Find = nearest_object,
) -> Cube:
    """Return the cube around `center_mm` (x, y, z), or around the center found by `find`.

    Raises GestaError if there is no object or the camera does not seem to fit images of this size.
    """
    height, width = depth_mm.shape
    found = camera.doubts((width, height))
    if found:
        raise GestaError(
            f"the intrinsics look wrong for it: {'; '.join(found)}. Give the intrinsics for images of this size."
        )
    if center_mm is None:
        return Cube(camera, find(depth_mm, camera, transform.cube_mm), transform.cube_mm)
    x, y, z = np.asarray(center_mm, np.float64)
    return Cube(camera, (float(x), float(y), float(z)), transform.cube_mm)


def stacked(
    patch: NDArray[np.float32], color: NDArray[np.float32] | None, transform: HandTransform
) -> NDArray[np.float32]:
    """Stack the transform's channels: depth patch [S, S] and masked color [S, S, 3] in 0..255 -> [C, S, S].

    Raises ValueError if color is needed but color, mean or deviation is missing.
    """
    if not transform.needs_color:
        return patch[None]
    if color is None or transform.color_mean is None or transform.color_deviation is None:
        raise ValueError("color inputs need color, and the training set's mean and deviation")
    planes = standardize(color, transform.color_mean, transform.color_deviation).transpose(2, 0, 1)  # 3 S S
    if transform.inputs == "rgb":
        return np.ascontiguousarray(planes)
    return np.concatenate([patch[None], planes])
