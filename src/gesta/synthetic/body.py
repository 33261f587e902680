"""Converts a path of the hands to a body in space: joints, then capsules to draw.

Camera coordinates in meters: x right, y up, z forward. The person faces the camera, so the person's left is at +x.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gesta.synthetic.hand import hand_axes, hand_segments, unit
from gesta.synthetic.person import Person

Array = NDArray[np.float64]

HEAD_UP = 0.33  # Head above ShoulderCenter, in torso lengths


@dataclass(frozen=True)
class Stand:
    """Where the person stands: HipCenter in camera coordinates, turn about the vertical and tilt of the camera."""

    hip: Array
    yaw: float
    pitch: float


@dataclass(frozen=True)
class Arm:
    """One arm over time, (T, 3) each, in body coordinates (x to the person's left, y up, z away from the camera)."""

    shoulder: Array
    elbow: Array
    wrist: Array
    palm: Array
    axes: tuple[Array, Array, Array]
    shape: Array


@dataclass(frozen=True)
class Body:
    """Joints (T, 20, 3) in Kinect order, and both arms (left, right), in camera coordinates."""

    joints: Array
    arms: tuple[Arm, Arm]
    head_axes: tuple[Array, Array, Array]  # right, up, away; (T, 3) each


def smooth_noise(rng: np.random.Generator, n: int, channels: int, period: float) -> Array:
    """Returns noise (n, channels) of unit variance that varies over about `period` frames."""
    kernel = np.exp(-0.5 * (np.arange(-2 * period, 2 * period + 1) / (period / 2)) ** 2)
    raw = rng.normal(0, 1, (n + len(kernel) - 1, channels))
    out = np.stack([np.convolve(raw[:, c], kernel, "valid") for c in range(channels)], 1)
    return out / np.sqrt(np.sum(kernel**2))


def _rotate(vectors: Array, angle: Array | float, axis: str) -> Array:
    """Rotates (T, 3) about x or y by an angle per frame."""
    cos, sin = np.cos(angle), np.sin(angle)
    x, y, z = vectors[:, 0], vectors[:, 1], vectors[:, 2]
    if axis == "y":
        return np.stack([cos * x + sin * z, y, -sin * x + cos * z], 1)
    return np.stack([x, cos * y - sin * z, sin * y + cos * z], 1)


def _elbow(shoulder: Array, wrist: Array, upper: float, fore: float, side: int, out: float) -> tuple[Array, Array]:
    """Two-link inverse kinematics; a wrist out of reach is pulled in. Returns elbow and wrist."""
    reach = wrist - shoulder
    distance = np.linalg.norm(reach, axis=1, keepdims=True)
    direction = reach / np.maximum(distance, 1e-6)
    distance = np.clip(distance, abs(upper - fore) + 0.02, 0.995 * (upper + fore))
    along = (upper**2 - fore**2 + distance**2) / (2 * distance)
    height = np.sqrt(np.maximum(upper**2 - along**2, 0))
    hint = np.array([side * out, -1.0, 0.25])
    bend = unit(hint - np.sum(hint * direction, 1, keepdims=True) * direction)
    return shoulder + along * direction + height * bend, shoulder + distance * direction


def _arm(person: Person, path: Array, side: int, chest: Array) -> Arm:
    mirror = np.array([side, 1.0, -1.0])  # (outward, up, towards camera) -> body coordinates
    f, n, u = (v * mirror for v in hand_axes(path[:, 3:6], path[:, 6:9]))
    shoulder = chest + np.array([side * person.shoulder, -0.05 * person.torso, 0.0])
    lift = np.clip(path[:, 1:2] + 0.2, 0, 1) * 0.05
    shoulder = shoulder + lift * np.array([0, person.torso, 0])
    wrist_to_palm = 0.060 * person.hand
    wrist = chest + path[:, :3] * mirror * person.torso - wrist_to_palm * f
    elbow, wrist = _elbow(shoulder, wrist, person.upper_arm, person.forearm, side, person.elbow_out)
    return Arm(shoulder, elbow, wrist, wrist + wrist_to_palm * f, (f, n, u), path[:, 9:])


def pose_body(person: Person, path: Array, stand: Stand, rng: np.random.Generator) -> Body:
    """Converts a path (T, 2, 27) of main and other hand to the body over time, in camera coordinates."""
    n = len(path)
    sway = smooth_noise(rng, n, 6, 40) * person.sway
    tremor = smooth_noise(rng, n, 6, 7).reshape(n, 2, 3) * 0.006
    path = path.copy()
    path[:, :, :3] += tremor
    torso = person.torso
    lean = np.stack([0.010 * sway[:, 0], np.zeros(n), 0.012 * sway[:, 1]], 1)
    hip = np.stack([0.010 * sway[:, 2], np.zeros(n), 0.006 * sway[:, 3]], 1)
    chest = hip + lean + np.array([0, (1 - HEAD_UP) * torso, 0])
    left_path, right_path = (path[:, 0], path[:, 1]) if person.left_handed else (path[:, 1], path[:, 0])
    arms = (_arm(person, left_path, 1, chest), _arm(person, right_path, -1, chest))
    nod, turn = 0.05 * sway[:, 4], 0.08 * sway[:, 5]
    head_up = _rotate(np.tile([0.0, 1.0, 0.0], (n, 1)), nod, "x")
    head_away = _rotate(_rotate(np.tile([0.0, 0.0, 1.0], (n, 1)), nod, "x"), turn, "y")
    head = chest + HEAD_UP * torso * head_up + np.array([0, 0, -0.01])
    joints = _joints(person, hip, chest, head, arms)
    yaw = stand.yaw + 0.02 * sway[:, 0]

    def to_camera(points: Array, direction: bool = False) -> Array:
        out = _rotate(_rotate(points, yaw, "y"), stand.pitch, "x")
        return out if direction else out + stand.hip

    def place(arm: Arm) -> Arm:
        f, n, u = arm.axes
        return Arm(
            to_camera(arm.shoulder),
            to_camera(arm.elbow),
            to_camera(arm.wrist),
            to_camera(arm.palm),
            (to_camera(f, True), to_camera(n, True), to_camera(u, True)),
            arm.shape,
        )

    up, away = to_camera(head_up, True), to_camera(head_away, True)
    return Body(
        joints=np.stack([to_camera(j) for j in joints], 1),
        arms=(place(arms[0]), place(arms[1])),
        head_axes=(np.cross(up, away), up, away),
    )


def _joints(person: Person, hip: Array, chest: Array, head: Array, arms: tuple[Arm, Arm]) -> list[Array]:
    """Returns the body coordinates of the 20 Kinect joints, (T, 3) each."""
    still = np.zeros_like(hip)
    leg = 1.27 * person.torso

    def limb(side: int) -> list[Array]:
        root = hip + np.array([side * 0.62 * person.girth, -0.07 * person.torso, 0.0])
        knee = still + np.array([side * 0.75 * person.girth, -0.52 * leg, -0.02])
        ankle = still + np.array([side * 0.80 * person.girth, -0.97 * leg, 0.02])
        return [root, knee, ankle, ankle + np.array([side * 0.02, -0.05, -0.10])]

    left, right = arms
    return [
        hip,
        0.6 * hip + 0.4 * chest,
        chest,
        head,
        *(left.shoulder, left.elbow, left.wrist, left.palm),
        *(right.shoulder, right.elbow, right.wrist, right.palm),
        *limb(1),
        *limb(-1),
    ]


@dataclass(frozen=True)
class Capsules:
    """Everything to draw. a, b: (T, P, 3) meters in camera coordinates; radii (P, 2); color (P, 3) RGB 0-255.

    `flat` scales the bulge towards the camera; `cloth` marks parts with the shirt's pattern.
    """

    a: Array
    b: Array
    radii: Array
    color: Array
    flat: Array
    cloth: NDArray[np.bool_]


def _head_parts(person: Person, body: Body) -> list[tuple]:
    """Returns skull, hair and face as (a, b, ra, rb, color, flat, cloth)."""
    right, up, away = body.head_axes
    at, size = body.joints[:, 3], person.head * (person.torso / 0.66) ** 0.5
    skin, hair = person.skin, person.hair

    def spot(x: float, y: float, z: float) -> Array:
        return np.asarray(at + size * (x * right + y * up + z * away))

    parts = [
        (spot(0, 0.035, 0), spot(0, -0.05, -0.012), 0.085 * size, 0.062 * size, skin, 1.0, False),
        (spot(0, -0.035, -0.088), spot(0, 0.0, -0.085), 0.012, 0.009, skin * 0.97, 1.0, False),
        (spot(0.024, -0.068, -0.078), spot(-0.024, -0.068, -0.078), 0.008, 0.008, skin * [0.8, 0.55, 0.55], 0.3, False),
    ]
    for side in (-1, 1):
        eye, brow = spot(side * 0.032, 0.012, -0.088), 0.034
        parts.append((eye, eye + 0.002 * right, 0.010, 0.010, np.array([45.0, 35, 30]), 0.2, False))
        parts.append(
            (spot(side * 0.018, brow, -0.092), spot(side * 0.046, brow - 0.003, -0.086), 0.006, 0.006, hair, 0.2, False)
        )
        if person.glasses:
            parts.append((spot(side * 0.016, 0.012, -0.095), spot(side * 0.05, 0.012, -0.09), *_GLASSES))
    if person.beard:
        parts.append((spot(0.03, -0.085, -0.05), spot(-0.03, -0.085, -0.05), 0.032, 0.032, hair, 0.8, False))
    if person.hair_style != "bald":
        parts.append(
            (spot(0.035, 0.078, 0.012), spot(-0.035, 0.078, 0.012), 0.070 * size, 0.070 * size, hair, 1, False)
        )
    if person.hair_style == "long":
        for side in (-1, 1):
            parts.append(
                (spot(side * 0.07, 0.04, 0.04), spot(side * 0.085, -0.19, 0.04), 0.045, 0.04, hair, 1.0, False)
            )
    if person.hair_style == "bun":
        parts.append((spot(0, 0.16, 0.04), spot(0, 0.17, 0.04), 0.045, 0.045, hair, 1.0, False))
    return parts


_GLASSES = (0.013, 0.013, np.array([60.0, 60, 70]), 0.1, False)


def _arm_parts(person: Person, arm: Arm) -> list[tuple]:
    """Returns upper arm, forearm (sleeve, then skin) and hand of one side."""
    sleeve, shirt, skin = person.clothes.sleeve, person.clothes.color, person.skin
    r = person.girth / 0.147
    parts = [(arm.shoulder, arm.elbow, 0.056 * r, 0.045 * r, shirt, 1.0, True)]
    if sleeve < 1:
        cut = arm.shoulder + 2 * sleeve * (arm.elbow - arm.shoulder)
        parts = [
            (arm.shoulder, cut, 0.060 * r, 0.054 * r, shirt, 1.0, True),
            (cut, arm.elbow, 0.045 * r, 0.040 * r, skin, 1.0, False),
            (arm.elbow, arm.wrist, 0.040 * r, 0.026 * r, skin, 1.0, False),
        ]
    else:
        cuff = arm.elbow + 0.9 * (arm.wrist - arm.elbow)
        parts.append((arm.elbow, cuff, 0.045 * r, 0.034 * r, shirt, 1.0, True))
        parts.append((cuff, arm.wrist, 0.027 * r, 0.025 * r, skin, 1.0, False))
    a, b, radii = hand_segments(arm.palm, *arm.axes, arm.shape, person.hand)
    shade = np.linspace(1.0, 0.95, a.shape[1])
    parts += [(a[:, i], b[:, i], *radii[i], skin * shade[i], 1.0, False) for i in range(a.shape[1])]
    return parts


def capsules(person: Person, body: Body) -> Capsules:
    """Returns the body as tapered capsules, in no particular order."""
    j, g = body.joints, person.girth
    shirt, trousers, skin = person.clothes.color, person.clothes.trousers, person.skin
    up = unit(j[:, 2] - j[:, 0])
    chest_low = j[:, 2] - 0.24 * person.torso * up
    hips = j[:, 0] + 0.10 * up
    parts = [
        (chest_low, hips, 1.03 * g, 0.97 * g, shirt, 0.72, True),
        (j[:, 12] + 0.04 * up, j[:, 16] + 0.04 * up, 0.5 * g, 0.5 * g, trousers, 1.0, False),
        (j[:, 4] - 0.015 * up, j[:, 8] - 0.015 * up, 0.052, 0.052, shirt, 1.0, True),
        (j[:, 2] - 0.06 * up, chest_low, 0.105, 1.03 * g, shirt, 0.72, True),
        (j[:, 2] - 0.01 * up, j[:, 3] - 0.05 * up, 0.052, 0.048, skin * 0.94, 1.0, False),
    ]
    for hip, knee, ankle in ((12, 13, 14), (16, 17, 18)):
        parts.append((j[:, hip] + 0.02 * up, j[:, knee], 0.56 * g, 0.42 * g, trousers, 1.0, False))
        parts.append((j[:, knee], j[:, ankle], 0.42 * g, 0.34 * g, trousers, 1.0, False))
    parts += _head_parts(person, body)
    parts += _arm_parts(person, body.arms[0]) + _arm_parts(person, body.arms[1])
    a, b, ra, rb, color, flat, cloth = zip(*parts, strict=True)
    return Capsules(
        a=np.stack(a, 1),
        b=np.stack(b, 1),
        radii=np.stack([ra, rb], 1),
        color=np.array([np.asarray(c, dtype=float) for c in color]),
        flat=np.array(flat, dtype=float),
        cloth=np.array(cloth, dtype=bool),
    )
