"""MSR Action3D skeletons: text, 20 rows per frame `x y z confidence`, meters. Skeletons only, so there are no samples.

The joint order differs from the Kinect's; it was inferred from the data (see tests): bones of constant length, the head
at the top and the feet at the bottom, and the hand that moves in one-handed actions.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gesta.schema import GestaError

JOINTS = (
    "ShoulderLeft",
    "ShoulderRight",
    "ShoulderCenter",
    "Spine",
    "HipLeft",
    "HipRight",
    "HipCenter",
    "ElbowLeft",
    "ElbowRight",
    "WristLeft",
    "WristRight",
    "HandLeft",
    "HandRight",
    "KneeLeft",
    "KneeRight",
    "AnkleLeft",
    "AnkleRight",
    "FootLeft",
    "FootRight",
    "Head",
)
"""Joints in the order of the rows of a file."""


def read_skeleton(path: Path) -> NDArray[np.float32]:
    """Joints T 20 3 in world meters (x right, y up, z forward), ordered as in JOINTS; zeros where nobody is tracked.

    Raises GestaError if the file is not a whole number of frames of 20 rows with 4 numbers.
    """
    try:
        rows = np.loadtxt(path, dtype=np.float32, ndmin=2)
    except (OSError, ValueError) as error:
        raise GestaError(
            f"{path}: cannot be read as a skeleton ({error}). Expected rows `x y z confidence`."
        ) from error
    if rows.size == 0 or rows.shape[1] != 4 or len(rows) % len(JOINTS):
        shape = " x ".join(map(str, rows.shape))
        raise GestaError(f"{path}: has {shape} numbers; expected 20 rows of 4 per frame. Is the file complete?")
    return np.ascontiguousarray(rows.reshape(-1, len(JOINTS), 4)[..., :3])
