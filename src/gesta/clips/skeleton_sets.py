"""Joint sets: a skeleton's joints, its bones, its mirror pairs, and its center.

Sets are recognized by joint names in any order and style: `HandLeft` equals `left_hand`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from gesta.clips.skeleton import joint_index
from gesta.schema import KINECT_JOINTS, GestaError

Group = tuple[int, ...]
"""Joints whose mean position is used."""


def _names(words: str) -> tuple[str, ...]:
    return tuple(words.split())


KINECT2_JOINTS = _names(
    "SpineBase SpineMid Neck Head ShoulderLeft ElbowLeft WristLeft HandLeft ShoulderRight ElbowRight WristRight "
    "HandRight HipLeft KneeLeft AnkleLeft FootLeft HipRight KneeRight AnkleRight FootRight SpineShoulder HandTipLeft "
    "ThumbLeft HandTipRight ThumbRight"
)
"""The 25 joints of the second Kinect, in the order of NTU RGB+D's files."""

BLAZEPOSE_JOINTS = _names(
    "nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer left_ear right_ear "
    "mouth_left mouth_right left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist left_pinky "
    "right_pinky left_index right_index left_thumb right_thumb left_hip right_hip left_knee right_knee left_ankle "
    "right_ankle left_heel right_heel left_foot_index right_foot_index"
)
"""The 33 landmarks of BlazePose (MediaPipe pose), in its order."""

ARMS_JOINTS = _names("left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist")
"""The BlazePose joints that are visible of a person at a desk."""

FINGERS = ("thumb", "index", "middle", "ring", "pinky")
HAND_JOINTS = _names(
    "wrist thumb_cmc thumb_mcp thumb_ip thumb_tip index_mcp index_pip index_dip index_tip middle_mcp middle_pip "
    "middle_dip middle_tip ring_mcp ring_pip ring_dip ring_tip pinky_mcp pinky_pip pinky_dip pinky_tip"
)
"""The 21 landmarks of a hand (MediaPipe hands), in its order."""
SIDES = ("left", "right")
TWO_HANDS_JOINTS = tuple(f"{side}_hand_{joint}" for side in SIDES for joint in HAND_JOINTS)
"""2 x 21: the left hand, then the right one."""

SFINGE3D_JOINTS = _names(
    "palm thumb_a thumb_b thumb_end index_a index_b index_c index_end middle_a middle_b middle_c middle_end ring_a "
    "ring_b ring_c ring_end pinky_a pinky_b pinky_c pinky_end"
)
"""The 20 points of a Leap Motion's hand in SFINGE3D (Caputo et al. 2020)."""
UNIQUE_BY_COUNT: dict[int, tuple[str, ...]] = {
    len(joints): joints
    for joints in (
        KINECT2_JOINTS,
        BLAZEPOSE_JOINTS,
        HAND_JOINTS,
        TWO_HANDS_JOINTS,
        BLAZEPOSE_JOINTS + TWO_HANDS_JOINTS,
    )
}
"""Sets identified by their number of joints; there are several with 20."""


@dataclass(frozen=True)
class JointSet:
    """A skeleton's joints in a file's order.

    `edges`: bones, pairs of joints. `mirror`: for each joint the one that replaces it when left and right are swapped.
    `origin`: joints whose mean is the center. `spans`: pairs of groups whose distance defines the skeleton's size.
    `across`: left and right end of the line that should face the camera; None if there is no such line.
    """

    name: str
    joints: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    mirror: tuple[int, ...]
    origin: Group
    spans: tuple[tuple[Group, Group], ...]
    across: tuple[Group, Group] | None = None


@dataclass(frozen=True)
class _Family:
    """A joint set by names, before the joint order is known. `bones` are chains: `a b c` is a-b, b-c."""

    joints: Sequence[str]
    bones: Sequence[str]
    origin: str
    spans: Sequence[tuple[str, str]]
    across: tuple[str, str] | None = None


def _fingers(*, root: str, prefix: str = "", joints: Sequence[str]) -> list[str]:
    """A chain from the root along each finger; fingers are identified by name prefix."""
    return [
        " ".join([f"{prefix}{root}", *(f"{prefix}{joint}" for joint in joints if joint.startswith(f"{finger}_"))])
        for finger in FINGERS
    ]


_ARMS_AND_LEGS = [f"Shoulder{side} Elbow{side} Wrist{side} Hand{side}" for side in ("Left", "Right")] + [
    f"Hip{side} Knee{side} Ankle{side} Foot{side}" for side in ("Left", "Right")
]

_BLAZEPOSE = [
    "left_ear left_eye_outer left_eye left_eye_inner nose right_eye_inner right_eye right_eye_outer right_ear",
    "mouth_left mouth_right",
    "left_wrist left_elbow left_shoulder right_shoulder right_elbow right_wrist",
    "left_shoulder left_hip right_hip right_shoulder",
    *(f"{side}_hip {side}_knee {side}_ankle {side}_heel {side}_foot_index" for side in SIDES),
    *(f"{side}_wrist {side}_pinky {side}_index {side}_wrist {side}_thumb" for side in SIDES),
]
_TRUNK = [("left_hip right_hip", "left_shoulder right_shoulder")]
_HANDS = [
    chain
    for side in SIDES
    for chain in [
        *_fingers(root="wrist", prefix=f"{side}_hand_", joints=HAND_JOINTS),
        " ".join(f"{side}_hand_{finger}_mcp" for finger in FINGERS[1:]),
    ]
]
_HAND_SPANS = [(f"{side}_hand_wrist", f"{side}_hand_middle_mcp") for side in SIDES]

FAMILIES: dict[str, _Family] = {
    "kinect": _Family(
        KINECT_JOINTS,
        [
            "HipCenter Spine ShoulderCenter Head",
            "ShoulderLeft ShoulderCenter ShoulderRight",
            "HipLeft HipCenter HipRight",
            *_ARMS_AND_LEGS,
        ],
        "HipCenter",
        [("HipCenter", "ShoulderCenter")],
        ("ShoulderLeft", "ShoulderRight"),
    ),
    "kinect2": _Family(
        KINECT2_JOINTS,
        [
            "SpineBase SpineMid SpineShoulder Neck Head",
            "ShoulderLeft SpineShoulder ShoulderRight",
            "HipLeft SpineBase HipRight",
            *_ARMS_AND_LEGS,
            *(f"HandTip{side} Hand{side} Thumb{side}" for side in ("Left", "Right")),
        ],
        "SpineBase",
        [("SpineBase", "SpineShoulder")],
        ("ShoulderLeft", "ShoulderRight"),
    ),
    "blazepose": _Family(
        BLAZEPOSE_JOINTS, _BLAZEPOSE, "left_hip right_hip", _TRUNK, ("left_shoulder", "right_shoulder")
    ),
    "arms": _Family(
        ARMS_JOINTS,
        ["left_wrist left_elbow left_shoulder right_shoulder right_elbow right_wrist"],
        "left_shoulder right_shoulder",
        [("left_shoulder", "right_shoulder")],
        ("left_shoulder", "right_shoulder"),
    ),
    "hand": _Family(
        HAND_JOINTS,
        [*_fingers(root="wrist", joints=HAND_JOINTS), "index_mcp middle_mcp ring_mcp pinky_mcp"],
        "wrist",
        [("wrist", "middle_mcp")],
    ),
    "hands": _Family(TWO_HANDS_JOINTS, _HANDS, "left_hand_wrist right_hand_wrist", _HAND_SPANS),
    "holistic": _Family(
        BLAZEPOSE_JOINTS + TWO_HANDS_JOINTS,
        [*_BLAZEPOSE, *_HANDS, *(f"{side}_wrist {side}_hand_wrist" for side in SIDES)],
        "left_hip right_hip",
        _TRUNK,
        ("left_shoulder", "right_shoulder"),
    ),
    "sfinge3d": _Family(SFINGE3D_JOINTS, _fingers(root="palm", joints=SFINGE3D_JOINTS), "palm", [("palm", "middle_a")]),
}
"""Kinect 20 (ChaLearn, UTD-MHAD, MSR) and 25 (NTU), BlazePose 33 and its arms, hands 21 and 42, all 75, SFINGE3D 20."""


def joint_set(joints: Sequence[str]) -> JointSet:
    """The joint set of these joints, in their order. Unknown names give a set without bones, named `other`.

    Raises GestaError if a name occurs twice or there is no name.
    """
    names = tuple(joints)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not names:
        what = f"joint {twice[0]} is named twice" if twice else "there is no joint"
        raise GestaError(f"{what}. joints.txt needs a different name for each joint, in the order of the file.")
    plain = tuple(_plain(name, hands=len(names) == len(TWO_HANDS_JOINTS)) for name in names)
    for name, family in FAMILIES.items():
        if len(names) == len(family.joints) and all(joint_index(plain, joint) is not None for joint in family.joints):
            return _ordered(name, family, names, plain)
    every = tuple(range(len(names)))
    return JointSet("other", names, (), _mirror(names), every, ())


def order_of(joints: Sequence[str], wanted: Sequence[str]) -> list[int] | None:
    """Index in `joints` of each `wanted` joint, with names in any style; None if the sets differ."""
    if tuple(joints) == tuple(wanted):
        return list(range(len(wanted)))
    return places_in(joints, wanted) if len(joints) == len(wanted) else None


def places_in(joints: Sequence[str], wanted: Sequence[str]) -> list[int] | None:
    """Index in `joints` of each `wanted` joint, with names in any style; None if one is missing."""
    hands = len(wanted) == len(TWO_HANDS_JOINTS)
    plain = tuple(_plain(name, hands=hands) for name in joints)
    order = [joint_index(plain, _plain(name, hands=hands)) for name in wanted]
    return [i for i in order if i is not None] if None not in order and len(set(order)) == len(order) else None


def describe_joints(joints: Sequence[str]) -> str:
    """`20 joints of kinect (HipCenter, Spine, ...)`."""
    name = joint_set(joints).name
    of = "" if name == "other" else f" of {name}"
    return f"{len(joints)} joints{of} ({', '.join(joints[:2])}, ...)"


def _ordered(name: str, family: _Family, names: tuple[str, ...], plain: tuple[str, ...]) -> JointSet:
    def group(words: str) -> Group:
        found = [joint_index(plain, word) for word in words.split()]
        return tuple(index for index in found if index is not None)

    chains = [group(chain) for chain in family.bones]
    edges = tuple((a, b) for chain in chains for a, b in pairwise(chain))
    spans = tuple((group(a), group(b)) for a, b in family.spans)
    across = None if family.across is None else (group(family.across[0]), group(family.across[1]))
    return JointSet(name, names, edges, _mirror(names), group(family.origin), spans, across)


def _plain(name: str, *, hands: bool) -> str:
    """Normalizes MediaPipe's INDEX_FINGER_MCP to index_mcp; for two hands alone, left_wrist to left_hand_wrist."""
    name = re.sub("_?finger", "", name, flags=re.I)
    if hands and "hand" not in name.lower():
        name = re.sub(r"(left|right)_?", r"\1_hand_", name, count=1, flags=re.I)
    return name


def _mirror(names: tuple[str, ...]) -> tuple[int, ...]:
    """Index of each joint's partner on the other side; its own if there is none."""
    swapped = [re.sub(r"left|right", _other_side, name, flags=re.I) for name in names]
    return tuple(names.index(other) if other in names else i for i, other in enumerate(swapped))


def _other_side(found: re.Match[str]) -> str:
    word = found[0]
    other = "right" if word.lower() == "left" else "left"
    return other.upper() if word.isupper() else other.capitalize() if word[0].isupper() else other
