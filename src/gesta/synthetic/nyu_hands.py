"""Writes synthetic hands in the layout of the NYU hand pose set: three views, depth, color, all 36 joints.

    OUT/train/ depth_1_0000001.png ... rgb_3_..., joint_data.mat     one person, or `people`, one after the other
    OUT/test/  the same; the first of them, then another person (as many in proportion as in NYU: 2,440 of 8,252 frames)

`joint_data.mat` (MATLAB 5) also holds `subject`, which the original lacks. Writing it requires scipy (the extra train).
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.schema import Camera, GestaError
from gesta.synthetic.hand_model import Flesh, HandPose, HandShape, draw_pose, person, pose_hand
from gesta.synthetic.hand_render import Rendered, render
from gesta.synthetic.hand_sensor import HandSensor
from gesta.synthetic.stamp import claim
from gesta.threads import Threads
from gesta.words import install

Array = NDArray[np.float64]

CAMERA = Camera(588.03, 587.07, 320.0, 240.0)
SIZE = (640, 480)
VIEWS = 3
FIRST_PERSON_SHARE = 2440 / 8252
_PIVOT = np.array([0.0, 0.0, 800.0])
_VIEW_ANGLES = ((0.0, 0.0), (38.0, 6.0), (-38.0, 6.0))  # degrees about the vertical, then the horizontal axis
_LIGHT = (0.30, 0.60, -0.74)


@dataclass(frozen=True)
class HandPerson:
    """A person's hand: proportions and colors (RGB, 0 to 255)."""

    shape: HandShape
    skin: NDArray[np.float32]
    sleeve: NDArray[np.float32]


@dataclass(frozen=True)
class HandScene:
    """One frame before the sensor: joints [V, 36, 3] mm in each view's camera, and each view rendered."""

    joints_mm: Array
    views: tuple[Rendered, ...]


def make(
    out: Path, *, images: int, people: int = 1, seed: int = 0, progress: Callable[[int, int], None] | None = None
) -> list[str]:
    """Writes `images` training frames and a fifth as many test frames, each in three views. Returns the parts' names.

    `people`: number of people in the training part. A stopped run resumes: finished frames with the same settings are
    kept. Raises GestaError if `out` has other content, `images` is below 5 or `people`, or scipy is not installed.
    """
    if images < max(5, people):
        raise GestaError(
            f"images is {images}, expected at least {max(5, people)}: there is one test image for every five, and an "
            "image of every person.",
            usage=True,
        )
    if importlib.util.find_spec("scipy") is None:
        raise GestaError(f"writing joint_data.mat needs scipy, which is not installed: {install('train')}")
    several = {"people": people} if people > 1 else {}
    claim(out, {"generator": "nyu", "seed": seed, "images": images, **several})
    everyone = [draw_person(np.random.default_rng([seed, 1, who])) for who in range(people + 1)]
    sensor = HandSensor(np.random.default_rng([seed, 2]), SIZE)
    counts = {"train": images, "test": images // 5}
    done = 0
    for part, (name, frames) in enumerate(counts.items()):
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        if name == "train":
            subjects = 1 + np.arange(frames) * people // frames
        else:
            subjects = np.where(np.arange(frames) < round(frames * FIRST_PERSON_SHARE), 1, people + 1)
        with Threads(min(4, os.cpu_count() or 1)) as pool:
            jobs = [
                pool.submit(_write_frame, folder, row, everyone[subjects[row] - 1], sensor, (seed, 3 + part, row))
                for row in range(frames)
            ]
            joints = []
            for job in jobs:
                joints.append(job.result())
                done += 1
                if progress is not None:
                    progress(done, sum(counts.values()))
        _write_annotation(folder / "joint_data.mat", np.stack(joints, axis=1), subjects)
    return list(counts)


def draw_person(rng: np.random.Generator) -> HandPerson:
    """Samples a hand's proportions, skin and sleeve (one in three arms is bare)."""
    skin = np.array([225, 172, 140]) * rng.uniform(0.45, 1.05) + rng.normal(0, 8, 3)
    sleeve = skin if rng.random() < 1 / 3 else rng.uniform(20, 230, 3)
    return HandPerson(person(rng), np.clip(skin, 20, 250).astype(np.float32), sleeve.astype(np.float32))


def draw_scene(who: HandPerson, rng: np.random.Generator, *, rendered: bool = True) -> HandScene:
    """Samples a pose in front of the three cameras, rendered (or only its joints), without noise."""
    place = np.array([rng.uniform(-110, 110), rng.uniform(-60, 110), rng.uniform(620, 980)])
    pose: HandPose = draw_pose(rng, place)
    joints, flesh = pose_hand(who.shape, pose)
    seen = [_seen_from(view, joints, flesh) for view in range(VIEWS)]
    joints_mm = np.stack([points for points, _ in seen])
    return HandScene(joints_mm, tuple(render(turned, CAMERA, SIZE, _LIGHT) for _, turned in seen) if rendered else ())


def _seen_from(view: int, joints: Array, flesh: Flesh) -> tuple[Array, Flesh]:
    """Returns joints and flesh in the coordinates of one of the cameras, which surround the hand."""
    yaw, pitch = np.radians(_VIEW_ANGLES[view])
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    turn = about_x @ about_y
    joints, a, b = ((points - _PIVOT) @ turn.T + _PIVOT for points in (joints, flesh.a, flesh.b))
    return joints, Flesh(a, b, flesh.radii, flesh.parts)


def _write_frame(folder: Path, row: int, who: HandPerson, sensor: HandSensor, seed: tuple[int, ...]) -> Array:
    """Writes the six images of a frame, unless they exist; returns its joints [V, 36, 3]."""
    rng = np.random.default_rng(seed)
    views = range(1, VIEWS + 1)
    names = {(kind, view): folder / f"{kind}_{view}_{row + 1:07d}.png" for kind in ("depth", "rgb") for view in views}
    scene = draw_scene(who, rng, rendered=not all(path.exists() for path in names.values()))
    for view, hand in enumerate(scene.views, start=1):
        depth = sensor.depth(hand, rng)
        color = sensor.color(hand, depth, who.skin, who.sleeve, rng)
        packed = np.zeros((*depth.shape, 3), np.uint8)  # BGR
        bytes_ = depth.astype("<u2", copy=False).view(np.uint8).reshape(*depth.shape, 2)  # low, high
        cv2.mixChannels([bytes_], [packed], [0, 0, 1, 1])
        _write_png(names["depth", view], packed)
        _write_png(names["rgb", view], np.asarray(cv2.cvtColor(color, cv2.COLOR_RGB2BGR), np.uint8))
    return scene.joints_mm


def _write_png(path: Path, image: NDArray[np.uint8]) -> None:
    done, data = cv2.imencode(".png", image)
    if not done:
        raise GestaError(f"{path}: could not be encoded as PNG.")
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(data.data)
    partial.replace(path)


def _write_annotation(path: Path, joints_mm: Array, subjects: NDArray[np.int64]) -> None:
    """Writes joint_xyz and joint_uvd, V N 36 3, as in the original."""
    from scipy.io import savemat

    fields: dict[str, Any] = {
        "joint_names": np.array([[f"joint_{index}" for index in range(36)]], object),
        "joint_xyz": joints_mm,
        "joint_uvd": np.concatenate([CAMERA.project(joints_mm.astype(np.float32)), joints_mm[..., 2:]], axis=-1),
        "subject": subjects.astype(float)[None],
    }
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as stream:
        savemat(stream, fields, do_compression=True)
    partial.replace(path)
