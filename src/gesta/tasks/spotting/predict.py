"""Spot gestures in recordings and live streams. Exported bundles need no PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gesta.bundle.io import Bundle
from gesta.clips.skeleton_space import Normalizer, Skeleton, resample
from gesta.decoder import Decoder, GestureEvent
from gesta.decoding import DecoderSpec
from gesta.engines.base import Engine, Placement, State
from gesta.engines.catalog import open_engine
from gesta.engines.part import Part
from gesta.schema import GestaError
from gesta.sources import recordings
from gesta.sources.recordings import Recording
from gesta.tasks.classification import softmax
from gesta.tasks.spotting import data
from gesta.tasks.spotting.manifest import SpottingManifest

BLOCK = 512
"""Number of frames passed through the network at a time."""
PAUSE_S = 1.0
"""A gap between frames longer than this ends the stream; the next frame starts a new one."""

Given = str | Path | Recording | NDArray[Any]
"""A skeleton file, a Recording, or an array [T, J, D] at the model's frame rate, NaN where a joint is missing."""


def load(bundle: Bundle[SpottingManifest], at: Placement = Placement()) -> Spotter:
    """Load a spotter from a bundle. Raises GestaError if the bundle is damaged or the engine is not available."""
    return Spotter(open_engine(bundle, at, lambda: _parts(bundle)), bundle.manifest)


def _parts(bundle: Bundle[SpottingManifest]) -> list[Part]:
    from gesta.tasks.spotting.network import parts

    return parts(bundle)


class Spotter:
    """Finds gestures in skeleton recordings. Holds a network on one device; use one Spotter per thread.

    Skeletons are float [T, J, D]: T frames at the model's frame rate, J joints in the order of `manifest.space.joints`,
    D coordinates; NaN where a joint is missing.

        spotter = gesta.load("everyday")          # shoulders, elbows and wrists in pixels, 30 frames per second
        for event in spotter.predict("arms.npy"):
            print(event.label, event.start_s, event.end_s)
    """

    def __init__(self, engine: Engine, manifest: Any) -> None:
        self.engine, self.manifest = engine, manifest
        self.shuffled = False  # control experiment: evaluate with the frames of each gesture in random order

    def predict(self, given: Given) -> list[GestureEvent]:
        """Return the events of a whole recording, in order.

        `given`: a skeleton file, a Recording, or an array [T, J, D]. Raises GestaError if it cannot be read or its
        joints do not match the model's.
        """
        return self.events(self.probabilities(self.skeleton(given)))

    def skeleton(self, given: Given) -> Skeleton:
        """Return the network input for a recording: normalized skeletons [T, J, D] at the model's frame rate."""
        if isinstance(given, str | Path):
            given = one(Path(given))
        if isinstance(given, Recording):
            values, times = data.raw(self.named(given), self.manifest)
            given = resample(values, times, self.manifest.fps)
        return normalized(Normalizer(self.manifest.space), given)

    def probabilities(self, skeleton: Skeleton) -> NDArray[np.float64]:
        """Return the class probabilities of each frame, [T, N], for normalized skeletons [T, J, D] with T >= 1."""
        delay, state = self.manifest.delay_frames, self.engine.start(1)
        longer = np.concatenate([skeleton, np.repeat(skeleton[-1:], delay, axis=0)])
        rows = []
        for at in range(0, len(longer), BLOCK):
            found, state = steps(self.engine, longer[at : at + BLOCK], state)
            rows.append(found)
        return np.concatenate(rows)[delay:]

    def events(self, probabilities: NDArray[np.float64]) -> list[GestureEvent]:
        """Decode probabilities [T, N] into events, in order. `decided_s` includes the model's delay."""
        manifest = self.manifest
        times = np.arange(len(probabilities)) / manifest.fps
        decoder = Decoder(manifest.decoder, manifest.classes)
        found = decoder.step(times, probabilities) + decoder.finish()
        return [seen_late(event, manifest.delay_frames / manifest.fps, float(times[-1])) for event in found]

    def stream(self, given: Given) -> Iterator[GestureEvent]:
        """Yield the same events as `predict`, each as soon as it is decided, in constant memory."""
        stream = self.open_stream()
        if isinstance(given, str | Path):
            given = one(Path(given))
        if isinstance(given, Recording):
            values, times = data.raw(self.named(given), self.manifest)
        else:
            values, times = given, np.arange(len(given)) / self.manifest.fps
        for frame, time_s in zip(values, times, strict=True):
            yield from stream.push(frame, float(time_s))
        yield from stream.finish()

    def open_stream(self) -> SpottingStream:
        """Open a stream that skeletons are pushed into. Several can be open at once; each has its own state."""
        return SpottingStream(self.engine, self.manifest)

    def named(self, recording: Recording) -> Recording:
        """Return the recording with the model's joint names if neither its file nor its folder names the joints."""
        if recording.joints is not None or not recording.skeleton.name.lower().endswith(".npy"):
            return recording
        return replace(recording, joints=self.manifest.space.joints)


class SpottingStream:
    """A stream of skeletons, opened with `Spotter.open_stream`. `push` returns the events that were just decided.

    Event times use the clock of the frames. Between two frames the last skeleton is repeated, as in
    `gesta.clips.skeleton_space.resample`. A pause longer than PAUSE_S (1 s) ends the current gesture and the stream.
    `probabilities`: the latest probability of each class; empty before the first frame.

        import numpy as np

        stream = gesta.load("everyday").open_stream()
        for n, skeleton in enumerate(np.load("arms.npy")):     # [J, D] each
            for event in stream.push(skeleton, time_s=n / 30):
                print(event.label, event.decided_s)
        print(stream.finish())
    """

    takes = "skeletons"

    def __init__(self, engine: Engine, manifest: Any) -> None:
        self._engine, self._manifest = engine, manifest
        self._normalizer = Normalizer(manifest.space)
        self._decoder = Decoder(manifest.decoder, manifest.classes)
        self.reset()

    def reset(self) -> None:
        """Reset to the state before the first frame."""
        self._normalizer.reset()
        self._decoder.reset()
        self._state: State = self._engine.start(1)
        self._start_s: float | None = None
        self._last: tuple[float, Skeleton] | None = None
        self._frames = 0  # frames the network has seen
        self.probabilities: dict[str, float] = {}

    def push(self, skeleton: ArrayLike, time_s: float) -> list[GestureEvent]:
        """Add a skeleton [J, D] (NaN where a joint is missing) and its time; return the events decided with it.

        Raises GestaError if the shape is wrong or the time is not later than the previous one.
        """
        frame = np.asarray(skeleton, np.float32)
        before = self._last
        if before is not None and not time_s > before[0]:
            raise GestaError(f"A skeleton at {time_s:.3f} s comes after one at {before[0]:.3f} s. Times must increase.")
        ended = self.finish() if before is not None and time_s - before[0] > PAUSE_S else []
        if self._start_s is None:
            self._start_s = time_s
        elif before is not None:
            ended += self._see(before[1], self._until(time_s, inclusive=False))
        self._last = time_s, frame
        return ended + self._see(frame, self._until(time_s, inclusive=True))

    def finish(self) -> list[GestureEvent]:
        """End the current gesture at the last frame and return its event, then start a new stream."""
        if self._last is None or self._start_s is None:
            return []
        seen_s = (self._frames - 1) / self._manifest.fps
        found = self._see(self._last[1], self._frames + self._manifest.delay_frames, seen_s)
        found += [self._real(event, seen_s) for event in self._decoder.finish()]
        self.reset()
        return found

    def decode_with(self, spec: DecoderSpec) -> None:
        """Change the decoder's settings from the next frame on. An event in progress is discarded."""
        self._decoder = Decoder(spec, self._manifest.classes)

    def _until(self, time_s: float, *, inclusive: bool) -> int:
        """Return the number of network frames before `time_s`; with `inclusive`, also the one at that time."""
        assert self._start_s is not None
        place = (time_s - self._start_s) * self._manifest.fps
        return int(np.floor(place + 1e-6)) + 1 if inclusive else int(np.ceil(place - 1e-6))

    def _see(self, frame: Skeleton, until: int, seen_s: float | None = None) -> list[GestureEvent]:
        """Repeat the frame until the network has seen `until` frames in total; return the events decided."""
        count = until - self._frames
        if count <= 0:
            return []
        rows = normalized(self._normalizer, np.repeat(frame[None], count, axis=0))
        found, self._state = steps(self._engine, rows, self._state)
        about = np.arange(self._frames, until) - self._manifest.delay_frames  # frames that the outputs refer to
        self._frames = until
        known = about >= 0
        if known.any():
            self.probabilities = dict(zip(self._manifest.classes, found[-1].tolist(), strict=True))
        events = self._decoder.step(about[known] / self._manifest.fps, found[known])
        return [self._real(event, (until - 1) / self._manifest.fps if seen_s is None else seen_s) for event in events]

    def _real(self, event: GestureEvent, seen_s: float) -> GestureEvent:
        """Convert an event's times to the clock of the frames."""
        assert self._start_s is not None
        event = seen_late(event, self._manifest.delay_frames / self._manifest.fps, seen_s)
        times = (event.start_s, event.end_s, event.decided_s)
        start_s, end_s, decided_s = (round(time_s + self._start_s, 6) for time_s in times)
        return replace(event, start_s=start_s, end_s=end_s, decided_s=decided_s)


def seen_late(event: GestureEvent, delay_s: float, last_s: float) -> GestureEvent:
    """Add the model's delay to the event's decision time, but no later than the last frame."""
    return replace(event, decided_s=min(event.decided_s + delay_s, last_s))


def normalized(normalizer: Normalizer, skeleton: ArrayLike) -> Skeleton:
    """Normalize a skeleton. Raises GestaError if it does not fit the model."""
    try:
        return normalizer(skeleton)
    except ValueError as error:
        raise GestaError(f"The model cannot use this skeleton: {error}.") from error


def steps(engine: Engine, skeleton: Skeleton, state: State) -> tuple[NDArray[np.float64], State]:
    """Run the network on normalized frames [t, J, D]; return the probabilities of each [t, N] and the next state."""
    mask = np.isfinite(skeleton).all(axis=-1)
    rows, seen = np.asarray(np.nan_to_num(skeleton)), np.asarray(mask, np.float32)
    feed = {"skeleton": rows[np.newaxis], "mask": seen[np.newaxis]}
    found, state = engine.step(feed, state)
    return softmax(found["logits"][0]), state


def one(path: Path) -> Recording:
    """Return the only recording at a path. Raises GestaError unless there is exactly one."""
    found = recordings.read(path).samples
    if len(found) != 1:
        raise GestaError(f"{path}: contains {len(found)} recordings, expected one. `gesta predict` takes folders.")
    recording: Recording = found[0]
    return recording
