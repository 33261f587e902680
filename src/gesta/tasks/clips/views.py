"""A teacher's view of the frames that its student sees: the same instants, through the teacher's own transform.

The recording's time line links the two: the student's frames are mapped to times, the times to the teacher's frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gesta.clips.sampling import central_window
from gesta.clips.transform import Transform
from gesta.schema import Clip, Sample


class ClipStore(Protocol):
    """Where preprocessed clips come from: gesta.clips.cache.ClipCache, or a stand-in for tests."""

    def load(self, sample: Sample, transform: Transform) -> Clip: ...


@dataclass(frozen=True)
class View:
    """A teacher's view. `transform` is the teacher's; its clips are loaded whole (`whole`) and cropped in time here."""

    transform: Transform

    @property
    def whole(self) -> Transform:
        return self.transform.model_copy(update={"sampling": "chunks"})

    def pixels(
        self, sample: Sample, chosen: NDArray[np.int64], student: Transform, store: ClipStore
    ) -> NDArray[np.uint8]:
        """Returns [T, S, H, W, C] at the instants that the student sees: frames `chosen` of its clip, in that order.

        For a central window exactly `window` frames, cropped or zero-padded.
        """
        clip = store.load(sample, self.whole).pixels
        taken = clip[same_instants(chosen, len(clip), student, self.transform)]
        if self.transform.sampling == "chunks":
            return taken
        start, end = central_window(len(taken), self.transform.window)
        pad = np.zeros((self.transform.window - (end - start), *taken.shape[1:]), np.uint8)
        return np.concatenate([taken[start:end], pad])


def same_instants(chosen: NDArray[np.int64], frames: int, student: Transform, teacher: Transform) -> NDArray[np.int64]:
    """Returns indices into a clip of `frames` frames at the teacher's rate, played at the student's pace.

    `chosen`: indices into the student's clip. A central window starts later than the clip; padding zeros are skipped.
    With equal rates and whole clips, returns `chosen` itself.
    """
    own = round(frames * student.fps / teacher.fps)  # length of the whole clip at the student's rate
    first = central_window(own, student.window)[0] if student.sampling == "central" else 0
    place = chosen[chosen + first < max(own, 1)] + first
    place = place if len(place) else np.array([first], np.int64)
    played = np.arange(max(1, round(len(place) * teacher.fps / student.fps))) / teacher.fps  # seconds
    index = np.minimum(np.floor(played * student.fps + 1e-6).astype(np.int64), len(place) - 1)
    moment = place[index] / student.fps + (played - index / student.fps)
    return np.clip(np.floor(moment * teacher.fps + 1e-6).astype(np.int64), 0, frames - 1)
