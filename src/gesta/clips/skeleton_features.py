"""A recording's skeleton as a sequence of feature vectors: what a network of stored features sees without pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gesta.clips.skeleton_files import read_skeletons
from gesta.clips.skeleton_space import Normalizer, SkeletonSpace, fill
from gesta.schema import GestaError, Sample

NAME = "skeleton"
EVERY = 4
"""Frames of a vector, where nobody says otherwise."""


def skeleton_features(sample: Sample, every: int = EVERY) -> NDArray[np.float32]:
    """[n, every * J * D]: the joints of `every` frames side by side, vector by vector; the last one's frame repeated.

    Positions are relative to the middle of the first frame with a person, turned so that the shoulders there lie
    along x, and keep their unit; a missing joint stays where it was. Raises GestaError if there is no skeleton, or
    none that can be read.
    """
    if sample.skeleton is None:
        raise GestaError(f"{sample.files[0]}: has no skeleton. gesta track finds people in videos.")
    if sample.start_s is not None:
        raise GestaError(f"{sample.skeleton}: spans in seconds are not cut out of skeletons. Give whole recordings.")
    found = read_skeletons(sample.skeleton, sample.joints if sample.skeleton.name.endswith(".npy") else None)
    values = found.values
    if sample.first_frame is not None and sample.last_frame is not None:
        values = values[sample.first_frame : sample.last_frame + 1]
    dimensions = values.shape[-1]
    view = "first" if dimensions == 3 else "none"
    space = SkeletonSpace(joints=found.joints, dimensions=dimensions, origin="first", scale="none", view=view)
    joints, _ = fill(Normalizer(space)(values, None))  # T J D
    if not len(joints):
        raise GestaError(f"{sample.skeleton}: holds no frame of the span.")
    padded = np.concatenate([joints, np.repeat(joints[-1:], -len(joints) % every, axis=0)])
    return padded.reshape(len(padded) // every, -1)
