"""Loads bundles, predicts clips, and follows streams. Needs no PyTorch for an exported bundle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from gesta.bundle.io import Bundle
from gesta.clips.plane import RawFrame, as_frame, is_video
from gesta.clips.preprocess import Preprocessor, preprocess, raw_frames
from gesta.clips.sampling import central_window, feed, frames_of, part_of
from gesta.decoder import GestureEvent
from gesta.engines.base import Engine, Placement
from gesta.engines.catalog import open_engine
from gesta.engines.part import Part
from gesta.schema import Clip, Frame, GestaError, Prediction, Sample
from gesta.sources.inputs import one_sample
from gesta.tasks.classification import prediction, probabilities
from gesta.tasks.clips.follow import EventStream
from gesta.tasks.clips.inputs import notes, require
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.stream import Stream, is_windowed, windows

BATCH = 16
LONG_FRAMES = 256
"""Longer clips are processed chunk by chunk with the streaming step to bound memory; the result is the same."""

Video = str | Path | Sample | Clip | NDArray[np.uint8]
"""A file or recording, a Sample, a preprocessed clip (or its pixels [T, S, H, W, C]), or RGB frames [T, H, W, 3]."""


def load(bundle: Bundle[ClipManifest], at: Placement = Placement()) -> Recognizer:
    """Loads the recognizer of a bundle. Raises GestaError if it is damaged or the engine is not available."""
    opened = open_engine(bundle, at, lambda: _parts(bundle))
    return Recognizer(opened, bundle.manifest)


def _parts(bundle: Bundle[ClipManifest]) -> list[Part]:
    from gesta.tasks.clips.network import parts

    return parts(bundle)


class Recognizer:
    """Recognizes clips, or follows a stream.

    Holds a network on one device; use one Recognizer per thread.

        model = gesta.load("runs/mine/bundle")
        print(model.labels)
        print(model.predict("wave.mp4").label)
        for prediction in model.stream("wave.mp4"):
            print(prediction.time_s, prediction.label, prediction.confidence)
    """

    def __init__(self, engine: Engine, manifest: ClipManifest) -> None:
        self.engine, self.manifest = engine, manifest
        self.shuffled = False  # for a control evaluation with shuffled frames

    @property
    def labels(self) -> tuple[str, ...]:
        """The N classes, in the order of all probabilities."""
        return self.manifest.labels

    @overload
    def predict(self, video: Video, fps: float | None = None) -> Prediction: ...

    @overload
    def predict(self, video: list[Video], fps: float | None = None) -> list[Prediction]: ...

    def predict(self, video: Video | list[Video], fps: float | None = None) -> Prediction | list[Prediction]:
        """Recognizes the class of a video, or of each video in a list: files, Samples, Clips, or RGB frames uint8
        [T, H, W, 3].

        `fps`: rate of frames given as arrays; by default the model's own. Raises GestaError if a video cannot be read,
        lacks what the model needs, or is a folder of several.

            import numpy as np

            frames = np.zeros((30, 120, 160, 3), np.uint8)
            print(model.predict(frames, fps=15).top(3))
            print([found.label for found in model.predict(["wave.mp4", "new_video.mp4"])])
        """
        if isinstance(video, (list, tuple)):
            return [self._predict(one, fps) for one in video]
        return self._predict(video, fps)  # type: ignore[arg-type]

    def _predict(self, video: Video, fps: float | None) -> Prediction:
        if isinstance(video, (str, Path)):
            video = one_sample(video)
        if isinstance(video, np.ndarray):
            return self._named(self._preprocessed(video, fps) if is_video(video) else video, "")
        if not isinstance(video, (Clip, Sample)):
            raise GestaError(f"A video is a path, a Sample, a Clip or an array of frames, not {type(video).__name__}.")
        if isinstance(video, Clip):
            return self._named(video.pixels, video.id)
        require(video, self.manifest)
        found = self._named(preprocess(video, self.manifest.transform).pixels, str(video.files[0]))
        return replace(found, notes=notes(video, self.manifest))

    def predict_clips(self, clips: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
        """Probabilities [n, N] of n preprocessed clips uint8 [T, S, H, W, C] of any length T.

        Raises GestaError for another shape or type.
        """
        for pixels in clips:
            self._check(pixels)
        order = sorted(range(len(clips)), key=lambda i: len(clips[i]))  # batch clips of similar length: less padding
        found = np.zeros((len(clips), len(self.labels)))
        for first in range(0, len(order), BATCH):
            rows = order[first : first + BATCH]
            found[rows] = probabilities(self._logits([clips[i] for i in rows]), self.manifest)
        return found

    def stream(
        self, frames: Iterable[Frame | RawFrame | NDArray[np.uint8]] | str | Path | Sample, fps: float | None = None
    ) -> Iterator[Prediction]:
        """Yields one prediction per chunk of frames, in constant memory.

        `frames`: a file, a Sample, or an iterable of Frames or of RGB images uint8 [H, W, 3]. Images have no time
        stamps; they are assumed to come at `fps`, by default the model's own rate. Raises GestaError as `predict` does.
        """
        joints: Sequence[str] | None = None
        if isinstance(frames, (str, Path)):
            frames = one_sample(frames)
        if isinstance(frames, Sample):
            require(frames, self.manifest)
            joints, frames = self._joints_of(frames), raw_frames(frames, self.manifest.transform)
        stream = self.open_stream(joints)
        for index, frame in enumerate(frames):
            yield from stream.push(as_frame(frame, index, fps or self.manifest.transform.fps))
        yield from stream.finish()

    def events(self, video: str | Path | Sample) -> Iterator[GestureEvent]:
        """Yields the events of a recording, each as soon as it is detected.

        Raises GestaError as `stream` does.

            for event in model.events("wave.mp4"):
                print(event.label, event.start_s, event.end_s)
        """
        sample = one_sample(video) if isinstance(video, (str, Path)) else video
        require(sample, self.manifest)
        following = self.open_events(joints=self._joints_of(sample))
        for frame in raw_frames(sample, self.manifest.transform):
            yield from following.push(frame)
        yield from following.finish()

    def open_events(self, threshold: float | None = None, joints: Sequence[str] | None = None) -> EventStream:
        """A stream that returns events instead of one prediction per chunk: `push(frame, time_s)`, `finish()`.

        The decoder has the bundle's settings, or defaults if the bundle was not trained for streams. `threshold`: the
        probability that starts an event, instead of the decoder's. `joints`: as for `open_stream`.
        """
        return EventStream(self.open_stream(joints), self.manifest, threshold)

    def open_stream(self, joints: Sequence[str] | None = None) -> Stream:
        """A stream to push frames into. Several may be open; each has its own state.

        `joints`: names of the frames' joints, in order; by default the Kinect's, or for skeleton models the model's.
        """
        return Stream(self.engine, self.manifest, joints)

    def open_stream_of(self, sample: Sample) -> Stream:
        """A stream for the frames of a sample (`gesta.clips.preprocess.raw_frames`)."""
        return self.open_stream(self._joints_of(sample))

    def _joints_of(self, sample: Sample) -> Sequence[str] | None:
        return sample.joints if self.manifest.transform.pictures else None

    def _preprocessed(self, frames: NDArray[np.uint8], fps: float | None) -> NDArray[np.uint8]:
        """Preprocesses RGB frames [T, H, W, 3] for the network, [t, S, H, W, C]."""
        preprocessor = Preprocessor(self.manifest.transform)
        rate = fps or self.manifest.transform.fps
        pieces = [preprocessor.push(as_frame(frame, index, rate)) for index, frame in enumerate(frames)]
        return np.concatenate([*pieces, preprocessor.flush()])

    def _named(self, pixels: NDArray[Any], source: str) -> Prediction:
        return prediction(self.labels, self.predict_clips([pixels])[0], source)

    def _check(self, pixels: NDArray[Any]) -> None:
        empty = self.manifest.transform.empty(0)
        if pixels.dtype != empty.dtype or pixels.shape[1:] != empty.shape[1:] or len(pixels) == 0:
            raise GestaError(
                f"The model takes preprocessed clips, {empty.dtype} [{', '.join(['T', *map(str, empty.shape[1:])])}], "
                f"not {pixels.dtype} {list(pixels.shape)}. Give the video itself, or apply the bundle's transform."
            )

    def _logits(self, clips: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        transform, engine = self.manifest.transform, self.engine
        if is_windowed(engine):
            spans = (central_window(len(pixels), transform.window) for pixels in clips)
            taken = [pixels[start:end] for pixels, (start, end) in zip(clips, spans, strict=True)]
            return engine.run({"clip": windows(taken, transform.window)})["logits"]
        short = max(len(pixels) for pixels in clips) <= LONG_FRAMES
        inputs, lengths = feed(clips, transform.chunk)
        if not engine.inputs("step") or (engine.inputs("whole") and short):
            return engine.run({**inputs, "lengths": lengths})["logits"]
        return self._by_steps(inputs, lengths)

    def states(self, sample: Sample) -> NDArray[np.float32]:
        """The model's states and logits after each of the K chunks of a recording, concatenated [K, D].

        For a network without a streaming step, only the logits [1, N]. Raises GestaError as `predict` does.
        """
        require(sample, self.manifest)
        pixels = preprocess(sample, self.manifest.transform).pixels
        if not self.engine.inputs("step"):
            return self._logits([pixels])
        chunk, state, rows = self.manifest.transform.chunk, self.engine.start(1), []
        inputs, _ = feed([pixels], chunk)
        for k in range(frames_of(inputs) // chunk):
            found, state = self.engine.step(part_of(inputs, k * chunk, (k + 1) * chunk), state)
            rows.append(np.concatenate([*(array.ravel() for array in state.values()), found["logits"][0]]))
        return np.stack(rows)

    def class_probabilities(self, sample: Sample) -> NDArray[np.float32]:
        """The probabilities of the classes after each of the K chunks of a recording, [K, N].

        For a network without a streaming step, those of the whole, [1, N]. Raises GestaError as `predict` does.
        """
        logits = self.states(sample)[:, -len(self.labels) :]
        return probabilities(logits, self.manifest).astype(np.float32)

    def _by_steps(self, inputs: Mapping[str, NDArray[Any]], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
        """Like the whole network, using the step: returns each clip's logits after its last chunk."""
        chunk, state = self.manifest.transform.chunk, self.engine.start(len(lengths))
        final = np.zeros((len(lengths), len(self.labels)), np.float32)
        for k in range(frames_of(inputs) // chunk):
            found, state = self.engine.step(part_of(inputs, k * chunk, (k + 1) * chunk), state)
            last = -(-lengths // chunk) == k + 1
            final[last] = found["logits"][last]
        return final
