"""An articulated right hand: 28 degrees of freedom within anatomical limits, NYU's 36 joints, and flesh of capsules.

Degrees of freedom: place 3, direction 3, wrist 2 (bend, deviation), each of four fingers 4 (root bend, root spread,
middle bend, end bend), thumb 4 (root across the palm, root out of the palm, middle bend, end bend).

Hand axes: u to the thumb, f along the fingers, n out of the palm; the origin is the wrist. Lengths in mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FINGERS = ("little", "ring", "middle", "index")
LIMITS = {
    "root_bend": (-15.0, 88.0),
    "root_spread": (-14.0, 14.0),
    "middle_bend": (0.0, 105.0),
    "end_bend": (0.0, 72.0),
    "thumb_across": (-12.0, 48.0),
    "thumb_out": (-5.0, 55.0),
    "thumb_middle": (-5.0, 55.0),
    "thumb_end": (-12.0, 75.0),
    "wrist_bend": (-50.0, 50.0),
    "wrist_deviation": (-20.0, 30.0),
}
"""Range of each angle, in degrees."""

_ROOTS = np.array([(-33, 76, 0), (-15, 85, 0), (5, 91, 0), (26, 90, 0)], float)  # u f n, little to index
_BONES = np.array([(34, 21, 20), (43, 28, 23), (47, 31, 24), (42, 27, 22)], float)  # root, middle, end
_RADII = np.array([(8.5, 7.6, 6.6), (9.6, 8.6, 7.4), (10.0, 9.0, 7.8), (10.0, 8.8, 7.6)])
_THUMB_ROOT, _THUMB_BONES, _THUMB_RADII = np.array([22.0, 20, 6]), (46.0, 33, 26), (14.0, 11, 9.5)
_WRIST_HALF, _FOREARM = 18.0, 260.0
WRIST_RADIUS, PALM_RADIUS = 20.0, 13.0

PARTS = (
    *(f"{finger}{bone}" for finger in FINGERS for bone in (1, 2, 3)),
    "thumb1",
    "thumb2",
    "thumb3",
    "palm",
    "forearm",
)
"""Names of the parts; a capsule's part is an index into them."""
PALM, FOREARM = PARTS.index("palm"), PARTS.index("forearm")


def _parts_of_joints() -> tuple[tuple[int, ...], ...]:
    """Returns the parts that each of the 36 joints belongs to: both bones for a joint between two."""
    found: list[tuple[int, ...]] = []
    for finger in range(4):
        one, two, three = 3 * finger, 3 * finger + 1, 3 * finger + 2
        found += [(three,), (three,), (three, two), (two, one), (one,), (one, PALM)]
    found += [(14,), (14, 13), (13,), (13, 12), (12, PALM), (12, PALM)]
    return (*found, (PALM, FOREARM), (PALM, FOREARM), *[(PALM,)] * 4)


JOINT_PARTS = _parts_of_joints()


@dataclass(frozen=True)
class HandShape:
    """One person's hand: scale factors for finger lengths, palm width and thickness."""

    length: float = 1.0
    width: float = 1.0
    thickness: float = 1.0
    fingers: tuple[float, float, float, float, float] = (1.0, 1.0, 1.0, 1.0, 1.0)  # little to index, thumb


@dataclass(frozen=True)
class HandPose:
    """Angles in degrees. `fingers` 4 4: little to index; root bend, root spread, middle bend, end bend.

    `thumb` 4: across, out, middle, end. `wrist` 2: bend, deviation. `turn` 3 3 maps (u, f, n) to camera axes, `place`
    3 is the wrist in mm in camera coordinates (x right, y up, z forward).
    """

    fingers: Array
    thumb: Array
    wrist: Array
    turn: Array
    place: Array


@dataclass(frozen=True)
class Flesh:
    """Capsules in camera coordinates, mm: ends `a`, `b` [K, 3], radii [K], indices into PARTS [K]."""

    a: Array
    b: Array
    radii: Array
    parts: NDArray[np.int64]


def person(rng: np.random.Generator) -> HandShape:
    """Samples a hand's proportions."""
    length = float(np.clip(rng.normal(1.0, 0.07), 0.82, 1.18))
    width, thickness = (length * float(np.clip(rng.normal(1.0, 0.05), 0.88, 1.12)) for _ in range(2))
    a, b, c, d, e = (float(v) for v in np.clip(rng.normal(1.0, 0.03, 5), 0.92, 1.08))
    return HandShape(length, width, thickness, (a, b, c, d, e))


def draw_pose(rng: np.random.Generator, place: Array) -> HandPose:
    """Samples a pose within LIMITS with the palm at `place` (mm); fingers are often curled like their neighbors.

    The hand points roughly upwards and towards the camera, showing the palm, the back or a side.
    """
    alike = rng.random()
    curl = np.clip(alike * rng.beta(0.7, 0.9) + (1 - alike) * rng.beta(0.6, 0.9, 4), 0, 1)
    root = _within("root_bend", -12 + 92 * curl + rng.normal(0, 12, 4))
    middle = _within("middle_bend", 3 + 100 * curl + rng.normal(0, 14, 4))
    end = _within("end_bend", 0.62 * middle + rng.normal(0, 8, 4))
    fan = rng.uniform(-3, 11) * np.array([-1.0, -0.4, 0.2, 1.0]) + rng.normal(0, 2.5, 4)
    spread = _within("root_spread", fan * np.clip(1 - root / 75, 0, 1))  # a bent finger cannot be spread
    thumb = np.array([_drawn(rng, name) for name in ("thumb_across", "thumb_out", "thumb_middle", "thumb_end")])
    wrist = np.array([_drawn(rng, "wrist_bend"), _drawn(rng, "wrist_deviation")])
    yaw, lean, roll = rng.uniform(-180, 180), rng.normal(-25, 25), rng.normal(0, 28)
    turn = _turn_x(lean) @ _turn_y(yaw) @ _turn_z(roll) @ np.diag([1.0, 1.0, -1.0])
    return HandPose(np.column_stack([root, spread, middle, end]), thumb, wrist, turn, place - turn @ (0.0, 60.0, 0.0))


def pose_hand(shape: HandShape, pose: HandPose) -> tuple[Array, Flesh]:
    """Returns (NYU's 36 joints [36, 3] in mm in camera coordinates, the flesh around them).

    A finger's six joints are its tip, the middle of its end bone, the three joints towards the root, and between the
    last two the middle of the root bone. 24 to 29 are the thumb, 30 and 31 the wrist's sides, 32 the palm center (C).
    """
    scale = np.array([shape.width, shape.length, shape.thickness])
    a: list[Array] = []
    b: list[Array] = []
    radii: list[float] = []
    parts: list[int] = []

    def add(start: Array, end: Array, radius: float, part: int) -> None:
        a.append(start)
        b.append(end)
        radii.append(radius * shape.thickness)
        parts.append(part)

    joints = np.empty((36, 3))
    wrist = np.array([(_WRIST_HALF, 0, 0), (-_WRIST_HALF, 0, 0)]) * scale
    for finger in range(4):
        chain = _chain(
            _ROOTS[finger] * scale, _BONES[finger] * shape.length * shape.fingers[finger], pose.fingers[finger]
        )
        for bone in range(3):
            add(chain[bone], chain[bone + 1], _RADII[finger, bone], 3 * finger + bone)
        root, middle, end, tip = chain
        joints[6 * finger : 6 * finger + 6] = tip, (tip + end) / 2, end, middle, (middle + root) / 2, root
        add(wrist[0] * (_ROOTS[finger, 0] / _ROOTS[3, 0], 1, 1) * 0.9, root, PALM_RADIUS, PALM)
    thumb = _thumb(_THUMB_ROOT * scale, np.array(_THUMB_BONES) * shape.length * shape.fingers[4], pose.thumb)
    for bone in range(3):
        add(thumb[bone], thumb[bone + 1], _THUMB_RADII[bone], 12 + bone)
    joints[24:30] = thumb[3], thumb[2], (thumb[2] + thumb[1]) / 2, thumb[1], (thumb[1] + thumb[0]) / 2, thumb[0]
    joints[30:32] = wrist
    joints[32:36] = np.array([(0, 72, 0), (16, 60, 0), (-16, 52, 0), (0, 30, 0)]) * scale
    add(_ROOTS[0] * scale, _ROOTS[3] * scale, PALM_RADIUS - 2, PALM)
    add(wrist[0], wrist[1], PALM_RADIUS + 2, PALM)
    add((thumb[0] + thumb[1]) / 2, np.array((14.0, 62, 2)) * scale, PALM_RADIUS - 3, PALM)  # the web of the thumb
    back = _forearm(pose.wrist) * _FOREARM * shape.length
    for side in wrist:
        add(side * 0.6, side * 0.9 + back, WRIST_RADIUS, FOREARM)
    turned = [np.asarray(points) @ pose.turn.T + pose.place for points in (joints, a, b)]
    return turned[0], Flesh(turned[1], turned[2], np.array(radii), np.array(parts))


def _chain(root: Array, bones: Array, angles: Array) -> Array:
    """Returns root, two joints and tip of a finger, 4 3."""
    bends = np.radians(np.cumsum(angles[[0, 2, 3]]))
    spread = np.radians(angles[1])
    along = np.cos(bends)
    steps = np.column_stack([np.sin(spread) * along, np.cos(spread) * along, np.sin(bends)]) * bones[:, None]
    return np.concatenate([root[None], root + np.cumsum(steps, axis=0)])


def _thumb(root: Array, bones: Array, angles: Array) -> Array:
    """Returns the thumb, 4 3: it bends across the palm, in a plane that its root tilts out of the palm."""
    across = np.radians(58 - np.cumsum(angles[[0, 2, 3]]))  # from f towards u
    out = np.radians(12 + angles[1])
    flat = np.cos(out)
    steps = np.column_stack([np.sin(across) * flat, np.cos(across) * flat, np.full(3, np.sin(out))]) * bones[:, None]
    return np.concatenate([root[None], root + np.cumsum(steps, axis=0)])


def _forearm(wrist: Array) -> Array:
    """Returns the direction from the wrist to the elbow."""
    bend, deviation = np.radians(wrist)
    return np.array([np.sin(deviation) * np.cos(bend), -np.cos(deviation) * np.cos(bend), np.sin(bend)])


def _within(name: str, degrees: Array) -> Array:
    return np.clip(degrees, *LIMITS[name])


def _drawn(rng: np.random.Generator, name: str) -> float:
    """Samples an angle within its limits, more often near the middle."""
    low, high = LIMITS[name]
    return low + (high - low) * float(rng.beta(1.5, 1.5))


def _turn_x(degrees: float) -> Array:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def _turn_y(degrees: float) -> Array:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def _turn_z(degrees: float) -> Array:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
