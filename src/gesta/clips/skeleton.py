"""Skeleton files -> joints in pixels. Names match in any style: `HandLeft` equals `left_hand`."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gesta.schema import GestaError, Resource, Sample
from gesta.untrusted import MAX_TEXT_BYTES, read_npy

_VALUES_PER_JOINT = 9  # world x y z, quaternion (4), pixel x y: ChaLearn 2014
_FARTHEST_PX = 100_000.0
"""Pixel coordinates beyond this are treated as missing: no image is that large, and crops would be."""


def joint_index(joints: Sequence[str], name: str) -> int | None:
    """Index of a Kinect joint (`HandLeft`) in `joints`, with names in any style; None if it is missing."""
    wanted = _key(name)
    return next((i for i, joint in enumerate(joints) if _key(joint) == wanted), None)


def _key(name: str) -> frozenset[str]:
    """`HandLeft`, `left_hand`, `hand left` -> {hand, left}."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name.replace("_", " "))
    return frozenset({"centre": "center"}.get(w.lower(), w.lower()) for w in words)


def read_joints(sample: Sample) -> NDArray[np.float32] | None:
    """Joints T J 2 in pixels of a sample's whole recording, NaN where nobody is tracked; None without a skeleton.

    Raises GestaError naming the file if it is neither ChaLearn's csv nor `.npy` T J 3, or has no camera.
    """
    if sample.skeleton is None:
        return None
    reader = _CROPS.get(suffix_of(sample.skeleton))
    if reader is None:
        raise GestaError(
            f"{sample.skeleton}: has no pixel positions, which crops need. Give ChaLearn's csv, or .npy with "
            "camera.yaml; or use the skeleton without crops: --set input.streams=[skeleton]"
        )
    uv = reader(sample, sample.skeleton)
    with np.errstate(invalid="ignore"):
        uv[~(np.abs(uv) <= _FARTHEST_PX).all(axis=2)] = np.nan
    return uv


def serves_crops(sample: Sample) -> bool:
    """Whether crops can follow the sample's skeleton: its pixels are known, and it has the joints that they need."""
    return pixels_known(sample) and all(joint_index(sample.joints, name) is not None for name in ("HipCenter", "Head"))


def pixels_known(sample: Sample) -> bool:
    """Whether the sample's skeleton has pixel coordinates, by its suffix and camera; a packed clip then has joints."""
    if sample.skeleton is not None and sample.skeleton.is_packed:
        return bool(sample.joints)
    if sample.skeleton is None or suffix_of(sample.skeleton) not in _CROPS:
        return False
    return suffix_of(sample.skeleton) != ".npy" or sample.camera is not None


def suffix_of(resource: Resource) -> str:
    """The suffix of a file's name in lower case: `.npy`."""
    return resource.name[resource.name.rfind(".") :].lower()


def _from_csv(sample: Sample, resource: Resource) -> NDArray[np.float32]:
    n_joints = len(sample.joints)
    expected = n_joints * _VALUES_PER_JOINT
    try:
        text = resource.read(MAX_TEXT_BYTES).decode("utf-8-sig").replace(";", ",")
        with warnings.catch_warnings(action="ignore"):  # about an empty file, which is rejected below
            table = np.loadtxt(io.StringIO(text), delimiter=",", dtype=np.float32, ndmin=2, comments=None)
    except ValueError as error:
        reason = " ".join(str(error).split())[:200]
        raise GestaError(
            f"{resource}: is not a skeleton csv ({reason}). Expected a row of {expected} numbers per frame."
        ) from error
    if not table.size or table.shape[1] != expected:
        raise GestaError(
            f"{resource}: {table.shape[1] if table.size else 0} numbers per row. Expected {_VALUES_PER_JOINT} per "
            f"joint, {expected} for {n_joints} joints."
        )
    joints = table.reshape(len(table), -1, _VALUES_PER_JOINT)
    uv = joints[..., 7:9].copy()
    uv[~joints.any(axis=(1, 2))] = np.nan  # all zero: no person tracked
    return uv


def _from_world(sample: Sample, resource: Resource) -> NDArray[np.float32]:
    try:
        world = read_npy(resource.read(MAX_TEXT_BYTES))
    except ValueError as error:
        raise GestaError(
            f"{resource}: is not a .npy array of numbers ({error}). Expected float32 T J 3, world meters."
        ) from error
    if world.ndim != 3 or world.shape[2] != 3 or world.shape[1] != len(sample.joints):
        raise GestaError(f"{resource}: shape {world.shape}. Expected T {len(sample.joints)} 3, world meters.")
    if sample.camera is None:
        raise GestaError(f"{resource}: world coordinates need camera.yaml (fx, fy, cx, cy) next to the index.")
    with np.errstate(all="ignore"):  # overflowing values are treated as missing
        return sample.camera.project(world.astype(np.float32))


_CROPS = {".csv": _from_csv, ".npy": _from_world}
