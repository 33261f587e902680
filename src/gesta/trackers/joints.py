"""Names of the landmarks, in the networks' order.

Sources: BlazePose GHUM 3D model card (2021) for the 33 points of the body, MediaPipe Hands model card (2021) for the 21
of a hand. Left and right are the person's own.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

What = Literal["hands", "pose", "both"]


class Sought(NamedTuple):
    """Whether to track hands, and whether to track a body."""

    hands: bool
    body: bool


SOUGHT: dict[What, Sought] = {"hands": Sought(True, False), "pose": Sought(False, True), "both": Sought(True, True)}
SIDES = ("left", "right")

_FINGERS = {
    "thumb": ("cmc", "mcp", "ip", "tip"),
    **dict.fromkeys(("index", "middle", "ring", "pinky"), ("mcp", "pip", "dip", "tip")),
}

HAND_JOINTS = ("wrist", *(f"{finger}_{part}" for finger, parts in _FINGERS.items() for part in parts))
"""The 21 points of a hand: wrist, then thumb to pinky, each from the palm to the tip."""

BLAZEPOSE_JOINTS = (
    "nose",
    *(f"{side}_eye_{part}".removesuffix("_") for side in SIDES for part in ("inner", "", "outer")),
    *(f"{side}_ear" for side in SIDES),
    *(f"mouth_{side}" for side in SIDES),
    *(
        f"{side}_{joint}"
        for joint in [
            "shoulder",
            "elbow",
            "wrist",
            "pinky",
            "index",
            "thumb",
            "hip",
            "knee",
            "ankle",
            "heel",
            "foot_index",
        ]
        for side in SIDES
    ),
)
"""The 33 points of the body. `left_pinky`, `left_index` and `left_thumb` are knuckles of the hand."""

TWO_HANDS_JOINTS = tuple(f"{side}_hand_{joint}" for side in SIDES for joint in HAND_JOINTS)
"""2 x 21: the left hand, then the right hand."""

HAND_BONES = tuple(pair for finger in range(5) for pair in pairwise((0, *range(1 + 4 * finger, 5 + 4 * finger))))
"""Pairs of HAND_JOINTS."""

_CHAINS = (
    "left_shoulder right_shoulder right_hip left_hip left_shoulder",
    *(f"{side}_shoulder {side}_elbow {side}_wrist {side}_index {side}_pinky {side}_wrist" for side in SIDES),
    *(f"{side}_hip {side}_knee {side}_ankle {side}_heel {side}_foot_index" for side in SIDES),
    *(f"nose {side}_eye {side}_ear" for side in SIDES),
    "mouth_left mouth_right",
)
BLAZEPOSE_BONES = tuple(
    (BLAZEPOSE_JOINTS.index(one), BLAZEPOSE_JOINTS.index(other))
    for chain in _CHAINS
    for one, other in pairwise(chain.split())
)
"""Pairs of BLAZEPOSE_JOINTS."""


BODY_CENTERS = {
    "hip_center": ("left_hip", "right_hip"),
    "head": ("left_ear", "right_ear"),
    "left_hand": ("left_wrist", "left_index", "left_pinky"),
    "right_hand": ("right_wrist", "right_index", "right_pinky"),
}
"""Joints needed for the crops around body and hand, each the mean of some of the 33."""


def skeleton_names(what: What) -> tuple[str, ...]:
    """Joint names in skeleton files: those of the tracker and, with a body, BODY_CENTERS."""
    return joint_names(what) + tuple(BODY_CENTERS) * SOUGHT[what].body


def with_centers(points: NDArray[np.float32], what: What) -> NDArray[np.float32]:
    """Joints [..., J, D] in tracker order -> in the order of `skeleton_names`."""
    if not SOUGHT[what].body:
        return points
    places = [[BLAZEPOSE_JOINTS.index(joint) for joint in joints] for joints in BODY_CENTERS.values()]
    centers = [points[..., rows, :].mean(axis=-2, keepdims=True) for rows in places]
    return np.concatenate([points, *centers], axis=-2)


def joint_names(what: What) -> tuple[str, ...]:
    """Names of the joints that `Landmarks.joints(what)` returns: 42 of two hands, 33 of the body, or 33 and 42."""
    sought = SOUGHT[what]
    return BLAZEPOSE_JOINTS * sought.body + TWO_HANDS_JOINTS * sought.hands
