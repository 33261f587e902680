"""A follower of skeletons behind a tracker, so that it takes images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.clips.skeleton_space import SkeletonSpace
from gesta.decoding import GestureEvent
from gesta.live.session import Follower

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
