"""Draw true and estimated joints over the depth image and the colored point cloud (Kazakos, figures 4.10, 4.11).

True joints are blue, estimates red.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.draw import ESTIMATE, TRUTH, Image, depth_image, draw_hand, hand_bones
from gesta.schema import GestaError, HandFrame
from gesta.tasks.hands.cube import Cube, hand_mask
from gesta.tasks.hands.read import read_color, read_depth

SIDE = 340
POINTS = 6000
BAR, MARGIN = 84, 12
"""Width of the depth color bar, and the margin above and below it, in pixels."""
VIEW = (-28.0, 14.0)
"""Rotation of the still point cloud picture about the vertical and horizontal axis, in degrees."""

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Cloud:
    """A point cloud: `points_mm` [N, 3] relative to the cube's center (x right, y up, z away), `colors` [N, 3] RGB."""

    points_mm: NDArray[np.float32]
    colors: NDArray[np.uint8]


@dataclass(frozen=True)
class Hand:
    """What is drawn of a frame: cube, joint names, joints [J, 3] in mm, camera coordinates (truth may be None)."""

    frame: HandFrame
    cube: Cube
    joint_names: Sequence[str]
    truth_mm: NDArray[Any] | None
    found_mm: NDArray[Any]

    def layers(self) -> list[tuple[NDArray[Any], Color]]:
        """Return (joints, color) pairs in drawing order."""
        truth = [] if self.truth_mm is None else [(self.truth_mm, TRUTH)]
        return [*truth, (self.found_mm, ESTIMATE)]


def over_depth(hand: Hand, depth_mm: NDArray[np.float32], side: int = SIDE) -> Image:
    """Return the depth around the hand with the joints drawn over it, RGB [side, side, 3]."""
    into = cv2.invertAffineTransform(hand.cube.to_image(side))
    size = (side, side)
    found = cv2.warpAffine(depth_mm, into, size, flags=cv2.INTER_NEAREST, borderValue=0)
    middle, reach = hand.cube.center_mm[2], hand.cube.side_mm / 2
    image = depth_image(np.where(np.abs(found - middle) < reach, found, 0))
    for joints, color in hand.layers():
        uv = hand.frame.camera.project(np.asarray(joints, np.float32))
        image = draw_hand(image, hand.cube.to_patch(uv, side), hand_bones(hand.joint_names), color)
    return image


def cloud_of(
    hand: Hand, depth_mm: NDArray[np.float32], points: int = POINTS, *, tones: Literal["natural", "depth"] = "natural"
) -> Cloud:
    """Return at most `points` points of the hand's cube.

    `tones`: natural uses the color image if the frame has one, else shading by depth; depth uses the scale of
    `depth_bar`. Raises GestaError if the cube is empty.
    """
    size = max(32, min(256, round(np.sqrt(points) * 1.6)))
    patch = hand.cube.patch(depth_mm, size)
    places = hand.cube.points_mm(patch) - hand.cube.center_mm  # N 3
    mask = hand_mask(patch)
    color = None if tones == "depth" else _color_of(hand, depth_mm.shape, size)
    painted = _scale(patch[mask]) if tones == "depth" else _by_depth(patch[mask]) if color is None else color[mask]
    step = -(-len(places) // points)
    return Cloud(places[::step].astype(np.float32), np.ascontiguousarray(painted[::step], np.uint8))


def cloud_view(hand: Hand, cloud: Cloud, side: int = SIDE, view: tuple[float, float] = VIEW) -> Image:
    """Draw the points from a rotated view, near over far, with the joints on top; RGB [side, side, 3]."""
    turn = _turn(*view)
    scale = 0.85 * side / hand.cube.side_mm
    image = np.full((side, side, 3), 255, np.uint8)
    turned = cloud.points_mm @ turn.T
    for index in np.argsort(-turned[:, 2]):
        x, y = side / 2 + scale * turned[index, 0], side / 2 - scale * turned[index, 1]
        cv2.circle(image, (round(float(x)), round(float(y))), 2, tuple(int(c) for c in cloud.colors[index]), -1)
    for joints, color in hand.layers():
        moved = (np.asarray(joints, np.float64) - hand.cube.center_mm) @ turn.T
        uv = np.column_stack([side / 2 + scale * moved[:, 0], side / 2 - scale * moved[:, 1]])
        image = draw_hand(image, uv, hand_bones(hand.joint_names), color)
    return image


def depth_bar(cube: Cube, side: int = SIDE) -> Image:
    """Draw the color scale from the cube's front (top) to its back, with depths in mm; RGB [side, BAR, 3]."""
    image = np.full((side, BAR, 3), 255, np.uint8)
    rows = np.linspace(-1, 1, side - 2 * MARGIN, dtype=np.float32)
    image[MARGIN:-MARGIN, 8:26] = _scale(rows)[:, None]
    for place in (-1, 0, 1):
        depth_mm = cube.center_mm[2] + place * cube.side_mm / 2
        row = round(MARGIN + (place + 1) / 2 * (side - 2 * MARGIN - 1))
        where = (30, row + 4)
        cv2.putText(image, f"{depth_mm:.0f} mm", where, cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 0, 0), 1, cv2.LINE_AA)
    return image


def depth_of(frame: HandFrame) -> NDArray[np.float32]:
    return read_depth(frame.depth, frame.encoding, frame.depth_unit_mm)


def _color_of(hand: Hand, shape: tuple[int, ...], size: int) -> Image | None:
    """Return the color image cropped like the depth, or None if there is none of the same size."""
    if hand.frame.color is None:
        return None
    try:
        color = read_color(hand.frame.color)
    except GestaError:
        return None  # only an illustration: fall back to depth
    if color.shape[:2] != shape:
        return None
    into = cv2.invertAffineTransform(hand.cube.to_image(size))
    return np.asarray(cv2.warpAffine(color, into, (size, size), flags=cv2.INTER_LINEAR), np.uint8)


def _by_depth(normalized: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Map normalized depth [N] to colors [N, 3]: near is light, far is dark."""
    level = np.clip((1 - normalized) / 2, 0, 1)
    return np.column_stack([90 + 130 * level, 80 + 110 * level, 70 + 95 * level]).astype(np.uint8)


def _scale(normalized: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Map [N] in [-1, 1] to RGB [N, 3]: near is yellow, far dark blue (viridis, which is colorblind-safe)."""
    level = (np.clip((1 - normalized) / 2, 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(cv2.applyColorMap(level.reshape(-1, 1), cv2.COLORMAP_VIRIDIS)[:, 0, ::-1])


def _turn(yaw: float, pitch: float) -> NDArray[np.float64]:
    a, b = np.radians((yaw, pitch))
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return np.asarray(about_x @ about_y)
