"""Streaming with a feature classifier: each kept frame passes through the backbone once.

The classifier sees the features kept so far. Letters: t features kept so far, D numbers of a feature, w frames of a
window (video backbones).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gesta.clips.chosen_frames import fit_frame, iter_every
from gesta.clips.clock import Clock, checked_time
from gesta.clips.damage import note
from gesta.clips.plane import RawFrame, as_frame, check_frame, timed
from gesta.schema import Frame, GestaError, Prediction, Sample
from gesta.sources.inputs import one_sample
from gesta.tasks.classification import prediction
from gesta.tasks.features.manifest import BackboneUse, FeatureManifest

LAST = 256
"""Number of features kept. In a longer stream, the classifier sees a sliding window of the last LAST features."""

Features = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""[1, H, W, 3], or a window [1, w, H, W, 3] -> [1, D]."""
Answer = Callable[[Sequence[NDArray[np.float32]]], NDArray[np.float64]]
"""Sequences [t, D] -> probabilities [n, N]."""


class SequenceStream:
    """A stream of frames passing through a backbone and a classifier of its features.

    `push` takes every frame. Every n-th one, as in training, is kept and gives one feature (video backbones: one for
    every w kept frames) and a prediction from all features so far, at most the last `last`. `finish` pads the last
    incomplete window with its last frame, as `predict` does; `reset` starts over. Memory is constant. `time_s` of a
    prediction is that of its newest frame.
    """

    def __init__(self, features: Features, answer: Answer, manifest: FeatureManifest, last: int = LAST) -> None:
        self.every = kept_every(manifest)
        if last < 1:
            raise GestaError(
                f"last={last}: expected at least 1, the number of features that a stream keeps.", usage=True
            )
        self._features, self._answer, self._manifest, self._last = features, answer, manifest, last
        self.reset()

    def reset(self) -> None:
        """Return to the state before the first frame."""
        self._frames = 0
        self._window: list[NDArray[np.uint8]] = []
        self._ring = np.zeros((0, self._manifest.backbone.features), np.float32)
        self._time_s = 0.0
        self._clock = Clock()
        self._restarts = 0

    def push(self, frame: Frame | NDArray[np.uint8], time_s: float | None = None) -> list[Prediction]:
        """Add a frame later than the one before: a Frame, or an RGB image [H, W, 3] with its time.

        Frames that are not kept cost nothing. Raises GestaError naming the frame if its time is not a number or its
        image is invalid.
        """
        given = timed(frame, time_s)
        if isinstance(given, RawFrame):
            raise GestaError("A stream of this model takes gesta Frames or RGB images (uint8, H W 3).")
        frame = given
        kept = self._frames % self.every == 0
        self._frames += 1
        check_frame(frame, self._frames)
        now_s = self._clock.at(checked_time(frame.time_s, self._frames))
        if self._clock.restarts and not self._restarts:
            note(
                f"The time stamps of the stream jump back at frame {self._frames}; time continues from the frame "
                "before."
            )
        self._restarts = self._clock.restarts
        used = self._manifest.backbone
        return self.push_kept(now_s, fit_frame(frame, used.size, used.letterbox)) if kept else []

    def push_kept(self, time_s: float, image: NDArray[np.uint8]) -> list[Prediction]:
        """Add a frame that is kept, [size, size, 3]."""
        self._window.append(image)
        self._time_s = time_s
        return [self._advance()] if len(self._window) == self._manifest.backbone.window else []

    def finish(self) -> list[Prediction]:
        """Return the prediction for the incomplete last window, if any, then reset the stream."""
        missing = self._manifest.backbone.window - len(self._window)
        found = []
        if self._window:
            self._window += self._window[-1:] * missing
            found = [self._advance()]
        self.reset()
        return found

    def _advance(self) -> Prediction:
        frames = np.stack(self._window)  # w H W 3
        self._window = []
        feature = self._features(frames if self._manifest.backbone.window == 1 else frames[None])
        self._ring = np.concatenate([self._ring, feature])[-self._last :]
        return prediction(self._manifest.labels, self._answer([self._ring])[0], time_s=self._time_s)


def kept_every(manifest: FeatureManifest) -> int:
    """Return n if every n-th frame is kept. Raises GestaError (usage) if the choice depends on the whole video."""
    used = manifest.backbone
    if used.every is None:
        raise GestaError(
            f"The model {manifest.name!r} sees exactly {used.frames} frames, spread evenly over the whole video: which "
            "ones is known only when the video has ended, so it cannot follow a stream. Predict whole videos (without "
            "--stream), or train on features of every n-th frame: gesta features DATA --every N.",
            usage=True,
        )
    return used.every


def follow(
    stream: SequenceStream,
    frames: Iterable[Frame | RawFrame | NDArray[np.uint8]] | str | Path | Sample,
    used: BackboneUse,
    fps: float,
) -> Iterator[Prediction]:
    """Yield predictions for a stream of frames, a video file or a Sample; RGB images are timed by `fps`."""
    if isinstance(frames, (str, Path)):
        frames = one_sample(frames)
    if isinstance(frames, Sample):
        for time_s, image in iter_every(frames, used.size, stream.every, used.letterbox):
            yield from stream.push_kept(time_s, image)
    else:
        for index, given in enumerate(frames):
            frame = as_frame(given, index, fps)
            if isinstance(frame, RawFrame):
                raise GestaError(
                    "A feature classifier follows gesta Frames or RGB images (uint8, H W 3), not RawFrames."
                )
            yield from stream.push(frame)
    yield from stream.finish()
