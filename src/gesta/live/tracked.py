"""A follower of skeletons behind a tracker, so that it takes images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.clips.skeleton_sets import places_in
from gesta.clips.skeleton_space import SkeletonSpace
from gesta.decoding import GestureEvent
from gesta.live.session import Follower
from gesta.schema import GestaError
from gesta.trackers.joints import SOUGHT, joint_names
from gesta.trackers.tracker import Tracker

Track = Callable[[NDArray[np.uint8], float], tuple[NDArray[Any], NDArray[Any]]]
"""An image and its time -> positions J D (D = 3 or more) and confidence J."""


class TrackedFollower:
    """Images -> joints of `track` -> `follower`; joints whose confidence is 0, or below the model's least, are NaN."""

    takes = "rgb"

    def __init__(self, follower: Follower, track: Track, space: SkeletonSpace) -> None:
        self._follower, self._track, self._space = follower, track, space

    def push(self, value: NDArray[Any], time_s: float) -> list[GestureEvent]:
        """The next image; the events decided by it."""
        points, confidence = self._track(value, time_s)
        seen = (confidence > 0) & (confidence >= self._space.least_confidence)
        return self._follower.push(np.where(seen[:, None], points[:, : self._space.dimensions], np.nan), time_s)

    def finish(self) -> list[GestureEvent]:
        """What is still going on, ended."""
        return self._follower.finish()


def tracked(follower: Follower, space: SkeletonSpace) -> TrackedFollower:
    """A follower of skeletons that takes images: a tracker finds the joints in them.

    Raises GestaError where no tracker finds these joints, or its networks are not fetched.
    """
    for what in SOUGHT:
        places = places_in(joint_names(what), space.joints)
        if places is not None:
            break
    else:
        raise GestaError(
            f"The model needs skeletons with the joints {', '.join(space.joints[:3])}, ..., which no tracker finds in "
            "images. Give a file of such skeletons as --source, or train a model on skeletons from gesta track.",
            usage=True,
        )
    tracker = Tracker(what)

    def track(image: NDArray[np.uint8], time_s: float) -> tuple[NDArray[Any], NDArray[Any]]:
        points, confidence = tracker.step(image, time_s).joints(what)
        return points[places], confidence[places]

    return TrackedFollower(follower, track, space)
