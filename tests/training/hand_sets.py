"""A folder of tiny hands in the generic layout: three balls whose places are the joints, before a wall."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from gesta.schema import Camera, HandFrame, HandListing
from gesta.sources import hand_folder
from gesta.tasks.hands.split import assign_hand_splits

CAMERA = Camera(100.0, 100.0, 40.0, 30.0)
SIZE = (80, 60)
NAMES = ("palm", "thumb", "tip")


def make_hands(root: Path, frames: int = 24, seed: int = 0, color: bool = True) -> HandListing:
    """Writes and reads ROOT/depth, rgb, camera.yaml, joints.csv."""
    rng = np.random.default_rng(seed)
    for folder in ("depth", "rgb") if color else ("depth",):
        (root / folder).mkdir(parents=True)
    (root / "camera.yaml").write_text("{fx: 100, fy: 100, cx: 40, cy: 30}")
    lines = ["file," + ",".join(f"{name}_{axis}" for name in NAMES for axis in "xyz")]
    for index in range(frames):
        palm = rng.uniform((-60, -40, 450), (60, 40, 550))
        angle = rng.uniform(-1.2, 1.2)
        along = np.array([np.sin(angle), np.cos(angle), 0])
        aside = np.array([-np.cos(angle), np.sin(angle), -0.4])
        joints = np.stack([palm, palm + 60 * aside, palm + 80 * along])
        depth, image = _seen(joints)
        cv2.imwrite(str(root / "depth" / f"{index:03d}.png"), depth)
        if color:
            cv2.imwrite(str(root / "rgb" / f"{index:03d}.png"), image)
        lines.append(f"{index:03d}.png," + ",".join(f"{value:.2f}" for value in joints.ravel()))
    (root / "joints.csv").write_text("\n".join(lines))
    return hand_folder.read(root)


def split_hands(listing: HandListing) -> list[HandFrame]:
    return assign_hand_splits(listing.frames)[0]


def _seen(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth uint16 mm and color of balls of 25, 14 and 10 mm."""
    depth, image = np.full((SIZE[1], SIZE[0]), 900, np.uint16), np.full((SIZE[1], SIZE[0], 3), 40, np.uint8)
    colors = ((60, 90, 200), (60, 200, 90), (200, 90, 60))
    for (x, y, z), radius, shade in zip(joints, (25, 14, 10), colors, strict=True):
        place = (round(CAMERA.cx + CAMERA.fx * x / z), round(CAMERA.cy - CAMERA.fy * y / z))
        ball = np.zeros_like(depth, np.uint8)
        cv2.circle(ball, place, max(1, round(CAMERA.fx * radius / z)), 1, -1)
        nearer = (ball > 0) & (depth > z - radius)
        depth[nearer], image[nearer] = round(z - radius), shade
    return depth, image
