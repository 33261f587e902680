"""Skeleton files -> joints in pixels. Names are matched whatever their style: `HandLeft` is `left_hand`."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gesta.schema import GestaError, Resource, Sample

_VALUES_PER_JOINT = 9  # world x y z, quaternion (4), pixel x y: ChaLearn 2014


def joint_index(joints: Sequence[str], name: str) -> int | None:
    """Where a Kinect joint (`HandLeft`) stands among `joints`, in any style; None if it is not there."""
    wanted = _key(name)
    return next((i for i, joint in enumerate(joints) if _key(joint) == wanted), None)


def _key(name: str) -> frozenset[str]:
    """`HandLeft`, `left_hand`, `hand left` -> {hand, left}."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name.replace("_", " "))
    return frozenset({"centre": "center"}.get(w.lower(), w.lower()) for w in words)


def read_joints(sample: Sample) -> NDArray[np.float32] | None:
    """T J 2 pixels of a sample's whole recording, NaN where nobody is tracked; None if it has no skeleton.

    Raises GestaError naming the file if it is neither ChaLearn's csv nor `.npy` T J 3.
    """
    if sample.skeleton is None:
        return None
    if sample.skeleton.name.lower().endswith(".npy"):
        return _from_world(sample, sample.skeleton)
    return _from_csv(sample.skeleton)


def _from_csv(resource: Resource) -> NDArray[np.float32]:
    try:
        text = resource.read().decode("utf-8-sig")
        table = np.loadtxt(io.StringIO(text.replace(";", ",")), delimiter=",", dtype=np.float32, ndmin=2)
    except (ValueError, UnicodeDecodeError) as error:
        raise GestaError(f"{resource}: is no skeleton csv ({error}). Expected a row of 180 numbers a frame.") from error
    if table.shape[1] % _VALUES_PER_JOINT:
        raise GestaError(f"{resource}: {table.shape[1]} numbers a row. Expected 9 a joint (180 for 20 joints).")
    joints = table.reshape(len(table), -1, _VALUES_PER_JOINT)
    uv = joints[..., 7:9].copy()
    uv[~joints.any(axis=(1, 2))] = np.nan  # all zero: no person tracked
    return uv


def _from_world(sample: Sample, resource: Resource) -> NDArray[np.float32]:
    try:
        world = np.load(io.BytesIO(resource.read()), allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise GestaError(f"{resource}: is no .npy array of numbers. Expected float32 T J 3, world metres.") from error
    if world.ndim != 3 or world.shape[2] != 3 or world.shape[1] != len(sample.joints):
        raise GestaError(f"{resource}: shape {world.shape}. Expected T {len(sample.joints)} 3, world metres.")
    if sample.camera is None:
        raise GestaError(f"{resource}: world coordinates need camera.yaml (fx, fy, cx, cy) beside the index.")
    return sample.camera.project(world.astype(np.float32))
