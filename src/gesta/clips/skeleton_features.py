"""A recording's skeleton as a sequence of feature vectors: input without pixels for a network on stored features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gesta.clips.skeleton_files import read_skeletons
from gesta.clips.skeleton_space import Normalizer, SkeletonSpace, fill
from gesta.schema import GestaError, Sample

NAME = "skeleton"
EVERY = 1
"""Default number of frames per vector."""


def skeleton_features(sample: Sample, every: int = EVERY, movement: bool = True) -> NDArray[np.float32]:
    """[n, every * J * D]: each vector concatenates the joints of `every` frames; the last frame is repeated as padding.

    With `movement` [n, 2 * every * J * D]: every joint is followed by its movement since the frame before.
    Positions are relative to the middle of the first frame with a person, rotated so that its shoulders lie along x,
    and keep their unit; a missing joint keeps its last position. Raises GestaError if there is no skeleton or it cannot
    be read.
    """
    if sample.skeleton is None:
        raise GestaError(f"{sample.files[0]}: has no skeleton. gesta track finds people in videos.")
    if sample.start_s is not None:
        raise GestaError(f"{sample.skeleton}: spans in seconds cannot be cut out of skeletons. Give whole recordings.")
    found = read_skeletons(sample.skeleton, sample.joints if sample.skeleton.name.endswith(".npy") else None)
    values = found.values
    if sample.first_frame is not None and sample.last_frame is not None:
        values = values[sample.first_frame : sample.last_frame + 1]
    dimensions = values.shape[-1]
    view = "first" if dimensions == 3 else "none"
    space = SkeletonSpace(joints=found.joints, dimensions=dimensions, origin="first", scale="none", view=view)
    joints, _ = fill(Normalizer(space)(values, None))  # T J D
    if not len(joints):
        raise GestaError(f"{sample.skeleton}: contains no frames of the span.")
    if movement:
        joints = np.concatenate([joints, np.diff(joints, axis=0, prepend=joints[:1])], 2)
    padded = np.concatenate([joints, np.repeat(joints[-1:], -len(joints) % every, axis=0)])
    return padded.reshape(len(padded) // every, -1)
