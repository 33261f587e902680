"""Streaming: frames in, one prediction per chunk out, in constant memory.

Networks with a step carry their state from chunk to chunk; the others use a sliding window of the last frames, padded
to the full window for single-window networks and of variable length for whole-clip networks. Streaming a clip ends with
the prediction for the whole clip (for windows: if the clip is no longer than the window).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.clips.plane import RawFrame, timed
from gesta.clips.preprocess import Preprocessor
from gesta.clips.sampling import feed, to_network
from gesta.engines.base import Engine, State
from gesta.schema import Frame, GestaError, Prediction
from gesta.tasks.classification import prediction, probabilities
from gesta.tasks.clips.manifest import ClipManifest


class Stream:
    """Runs a model on a stream of frames; opened by `Recognizer.open_stream`.

    `push` takes frames as they arrive and returns new predictions: usually none, and one every few frames. `finish`
    pads the last incomplete chunk with zeros; `reset` starts a new stream. The `time_s` of a prediction is the end of
    its chunk on the clock of the frames, over pauses of any length; if that clock jumps back, time continues from where
    it was.

        import numpy as np

        stream = gesta.load("runs/mine/bundle").open_stream()
        for n in range(60):                       # camera frames with their time stamps
            rgb = np.zeros((120, 160, 3), np.uint8)
            for prediction in stream.push(rgb, time_s=n / 30):
                print(prediction.time_s, prediction.label)
    """

    def __init__(self, engine: Engine, manifest: ClipManifest, joints: Sequence[str] | None = None) -> None:
        self._steps = bool(engine.inputs("step"))
        if not (self._steps or is_windowed(engine) or manifest.transform.sampling == "whole"):
            step = f"streaming step for {engine.name}"
            raise GestaError(f"The model {manifest.name!r} has no {step}. Use another engine, or export it.")
        self._engine, self._manifest = engine, manifest
        self._preprocessor = Preprocessor(manifest.transform, joints)
        self._ring = manifest.transform.empty(0)
        self._state: State = {}
        self.reset()

    def reset(self) -> None:
        """Starts a new stream, as before the first frame."""
        self._preprocessor.reset()
        self._frames = self._chunks = 0
        self._clear()

    def push(self, frame: Frame | RawFrame | NDArray[np.uint8], time_s: float | None = None) -> list[Prediction]:
        """Takes one Frame, later than the previous one; or an RGB image uint8 [H, W, 3] and its time in seconds.

        Returns the new predictions. Raises GestaError, naming the frame, if it lacks what the model needs.
        """
        return self.push_preprocessed(self._preprocessor.push(timed(frame, time_s)), self._preprocessor.ends_s)

    def push_preprocessed(self, pixels: NDArray[Any], ends_s: Sequence[float] | None = None) -> list[Prediction]:
        """Takes preprocessed frames uint8 [t, S, H, W, C] at the transform's rate: whole chunks, except at the end.

        `ends_s`: end time of each chunk, in seconds; by default counted from 0.
        """
        chunk = self._manifest.transform.chunk
        found = []
        for number, i in enumerate(range(0, len(pixels), chunk)):
            part = pixels[i : i + chunk]
            self._frames += len(part)
            end_s = self._frames / self._manifest.transform.fps if ends_s is None else ends_s[number]
            found.append(self._advance(part, end_s))
        return found

    def finish(self) -> list[Prediction]:
        """Predicts from the remaining frames, padded with zeros to a chunk; then starts a new stream."""
        last = self.push_preprocessed(self._preprocessor.flush(), self._preprocessor.ends_s)
        self.reset()
        return last

    def _clear(self) -> None:
        self._ring = self._ring[:0]
        if self._steps:
            self._state = self._engine.start(1)

    def _advance(self, pixels: NDArray[Any], time_s: float) -> Prediction:
        limit = self._manifest.reset_after_chunks
        if limit is not None and self._chunks == limit:
            self._clear()
            self._chunks = 0
        self._chunks += 1
        logits = self._step(pixels) if self._steps else self._window(pixels)
        return prediction(self._manifest.labels, probabilities(logits, self._manifest)[0], time_s=time_s)

    def _step(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        inputs, _ = feed([pixels], self._manifest.transform.chunk, "chunk")
        found, self._state = self._engine.step(inputs, self._state)
        return found["logits"]

    def _window(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        window = self._manifest.transform.window
        self._ring = np.concatenate([self._ring, pixels])[-window:]
        if not is_windowed(self._engine):
            inputs, lengths = feed([self._ring], self._manifest.transform.chunk)
            return self._engine.run({**inputs, "lengths": lengths})["logits"]
        return self._engine.run({"clip": windows([self._ring], window)})["logits"]


def windows(clips: Sequence[NDArray[Any]], window: int) -> NDArray[Any]:
    """Stacks clips of at most `window` frames in network layout, each zero-padded to the window."""
    return to_network(clips, window)[0]


def is_windowed(engine: Engine) -> bool:
    """Returns whether the network takes exactly one window of the transform: it then has no lengths and no step."""
    return not engine.inputs("step") and "lengths" not in engine.inputs("whole")
