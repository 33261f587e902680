"""Lets a follower of skeletons take images, by means of a tracker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.clips.skeleton_sets import places_in
from gesta.clips.skeleton_space import SkeletonSpace
from gesta.decoder import GestureEvent
from gesta.decoding import DecoderSpec
from gesta.live.session import Follower
from gesta.schema import GestaError
from gesta.trackers.files import default_folder, located
from gesta.trackers.joints import SOUGHT, What, joint_names
from gesta.trackers.tracker import Tracker, needed

Track = Callable[[NDArray[np.uint8], float], tuple[NDArray[Any], NDArray[Any]]]
"""(image, time) -> (positions in pixels J D with D = 3 or more, confidences J)."""


class TrackedFollower:
    """Images -> joints of `track` -> `follower`; joints whose confidence is 0, or below the model's minimum, are NaN.

    `joints`: of the last image, [J, 3]: x and y as fractions of its width and height, and confidence, 0 for a joint
    that was not seen; None before the first image.
    """

    takes = "rgb"
    joints: NDArray[np.float64] | None = None

    def __init__(self, follower: Follower, track: Track, space: SkeletonSpace) -> None:
        self._follower, self._track, self._space = follower, track, space

    @property
    def probabilities(self) -> Mapping[str, float]:
        """The latest output by label; empty before the first."""
        return self._follower.probabilities

    def push(self, value: NDArray[Any], time_s: float) -> list[GestureEvent]:
        """Processes the next image; returns the events that it decided."""
        points, confidence = self._track(value, time_s)
        seen = ((confidence > 0) & (confidence >= self._space.least_confidence))[:, None]
        height, width = value.shape[:2]
        placed = np.column_stack([points[:, :2] / (width, height), confidence])
        self.joints = np.where(seen & np.isfinite(placed).all(axis=1, keepdims=True), placed, 0.0)
        return self._follower.push(np.where(seen, points[:, : self._space.dimensions], np.nan), time_s)

    def finish(self) -> list[GestureEvent]:
        """Ends the ongoing event and returns it."""
        return self._follower.finish()

    def decode_with(self, spec: DecoderSpec) -> None:
        """Sets the decoder's parameters from the next frame on; drops an ongoing event."""
        self._follower.decode_with(spec)


def tracked(follower: Follower, space: SkeletonSpace) -> TrackedFollower:
    """Wraps a follower of skeletons so that it takes images, in which a tracker finds the joints.

    Raises GestaError if no tracker finds these joints, or its networks have not been fetched.
    """
    what, places = _sought(space)
    tracker = Tracker(what)

    def track(image: NDArray[np.uint8], time_s: float) -> tuple[NDArray[Any], NDArray[Any]]:
        points, confidence = tracker.step(image, time_s).joints(what)
        return points[places], confidence[places]

    return TrackedFollower(follower, track, space)


def lacking(space: SkeletonSpace) -> str:
    """Why `tracked` would reject this space, and what to do; empty if it would not."""
    try:
        located(needed(_sought(space)[0]), default_folder())
    except GestaError as error:
        return str(error)
    return ""


def _sought(space: SkeletonSpace) -> tuple[What, Sequence[int]]:
    """(what the tracker should find, indices of the joints in it). Raises GestaError if no tracker finds them."""
    for what in SOUGHT:
        places = places_in(joint_names(what), space.joints)
        if places is not None:
            return what, places
    raise GestaError(
        f"The model needs skeletons with the joints {', '.join(space.joints[:3])}, ..., which no tracker finds in "
        "images. Give a file of such skeletons as --source, or train a model on skeletons from gesta track.",
        usage=True,
    )
