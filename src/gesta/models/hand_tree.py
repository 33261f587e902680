"""The hand of DeepModel: a palm, five fingers of three bones, and the mapping of its points to a data set's joints.

Palm frame: x to the thumb's side, y to the fingers, z out of the palm; fingers bend towards z. Lengths in mm are those
of an adult hand, as initial values: training scales and changes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FINGERS = ("thumb", "index", "middle", "ring", "little")
BASES_MM = ((35.0, -25.0, 5.0), (25.0, 45.0, 0.0), (5.0, 50.0, 0.0), (-15.0, 45.0, 0.0), (-33.0, 35.0, 0.0))
BONES_MM = ((44.0, 32.0, 26.0), (40.0, 24.0, 20.0), (45.0, 28.0, 20.0), (42.0, 26.0, 20.0), (33.0, 20.0, 18.0))
YAW = (0.9, 0.1, 0.0, -0.1, -0.2)
"""Radians: direction of a stretched finger, from y to x."""
ROLL = (0.9, 0.0, 0.0, 0.0, 0.0)
"""Radians: tilt of the plane in which a finger bends, over the palm."""
LIMITS = ((-0.5, 1.6), (-0.6, 0.6), (-0.1, 1.9), (-0.1, 1.4))
"""Radians, for every finger: flexion at its base, spread, flexion at the second and at the third joint."""

_PALM_MM = {
    "C": (0.0, 0.0, 0.0),
    "W1": (20.0, -45.0, 0.0),
    "W2": (-20.0, -45.0, 0.0),
    "palm": (0.0, 10.0, 0.0),
    "wrist": (0.0, -50.0, 0.0),
}
_NYU = {
    "P1": ("little", 3),
    "P2": ("little", 1),
    "R1": ("ring", 3),
    "R2": ("ring", 1),
    "M1": ("middle", 3),
    "M2": ("middle", 1),
    "I1": ("index", 3),
    "I2": ("index", 1),
    "T1": ("thumb", 3),
    "T2": ("thumb", 2),
    "T3": ("thumb", 1),
}
_PARTS = {"root": 0, "mid": 1, "mcp": 0, "pip": 1, "dip": 2, "tip": 3}


@dataclass(frozen=True)
class Points:
    """`palm`: names of further points fixed to the palm; `order`: the index of each joint among all points.

    All points: base, second joint, third joint and tip of each finger, 20 in all, then those of the palm.
    """

    palm: tuple[str, ...]
    order: tuple[int, ...]

    @property
    def palm_mm(self) -> list[tuple[float, float, float]]:
        return [_PALM_MM[name] for name in self.palm]


def points_for(joint_names: Sequence[str]) -> Points:
    """The points for these joints: those of NYU's protocol, ICVL or MSRA. Raises ValueError for others."""
    palm = tuple(name for name in joint_names if name in _PALM_MM)
    order = []
    for name in joint_names:
        finger, _, part = name.partition("_")
        if name in palm:
            order.append(4 * len(FINGERS) + palm.index(name))
        elif name in _NYU:
            order.append(4 * FINGERS.index(_NYU[name][0]) + _NYU[name][1])
        elif finger in FINGERS and part in _PARTS:
            order.append(4 * FINGERS.index(finger) + _PARTS[part])
        else:
            raise ValueError(
                f"deep_model does not support the joint {name!r}, only those of NYU's protocol, "
                "ICVL and MSRA. Use another network"
            )
    return Points(palm, tuple(order))
