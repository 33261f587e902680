"""Live recognition with a clip model: from chunk probabilities to events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.clips.plane import RawFrame
from gesta.decoder import Decoder, GestureEvent
from gesta.decoding import DecoderSpec
from gesta.schema import Frame, Prediction
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.passages import is_none
from gesta.tasks.clips.stream import Stream


class EventStream:
    """Converts a stream of frames to events; opened by `Recognizer.open_events`.

    If the model was not trained for streams, every confident prediction is an event, except of the class `none`.
    `threshold`: the probability that starts an event. `takes`: "rgb" (images [H, W, 3]) or "skeletons" ([J, D]).
    `probabilities`: those of the last chunk by label; empty before the first.

        import numpy as np

        stream = gesta.load("runs/mine/bundle").open_events(threshold=0.6)
        for n in range(60):                       # camera frames with their time stamps
            for event in stream.push(np.zeros((120, 160, 3), np.uint8), time_s=n / 30):
                print(event.label, event.start_s, event.end_s)
        print(stream.finish())
    """

    def __init__(self, stream: Stream, manifest: ClipManifest, threshold: float | None = None) -> None:
        labels, spec = manifest.labels, decoder_of(manifest)
        self.takes = "rgb" if manifest.transform.decoded else "skeletons"
        self._stream, self._labels = stream, labels
        self._decoder = Decoder(spec.at(threshold), labels, manifest.chunk_s / 2)
        self._last_s = -1.0
        self.probabilities: Mapping[str, float] = {}

    def push(self, value: Frame | RawFrame | NDArray[Any], time_s: float | None = None) -> list[GestureEvent]:
        """Takes the next Frame, or an RGB image [H, W, 3] (or skeleton [J, D]) and its time in seconds.

        Returns new events. Raises GestaError as `Stream.push` does.
        """
        if self.takes == "skeletons" and isinstance(value, np.ndarray) and time_s is not None:
            value = RawFrame(time_s, joints=value)
        return [event for found in self._stream.push(value, time_s) for event in self._seen(found)]

    def decode_with(self, spec: DecoderSpec) -> None:
        """Changes the decoder's settings from the next frame on; an event in progress is discarded."""
        self._decoder = Decoder(spec, self._labels, self._decoder.half_s)

    def finish(self) -> list[GestureEvent]:
        """Ends the event in progress and returns it, if any; then starts a new stream."""
        found = [event for last in self._stream.finish() for event in self._seen(last)]
        self._last_s = -1.0
        return found + self._decoder.finish()

    def _seen(self, found: Prediction) -> list[GestureEvent]:
        self.probabilities = found.probabilities
        time_s = found.time_s or 0.0
        if time_s <= self._last_s:
            return []
        self._last_s = time_s
        return self._decoder.step([time_s], [[found.probabilities[label] for label in self._labels]])


def decoder_of(manifest: ClipManifest) -> DecoderSpec:
    """Returns the bundle's decoder settings, otherwise the defaults with its no-gesture label, if it has one."""
    none = next((label for label in manifest.labels if is_none(label)), DecoderSpec().none)
    return manifest.decoder or DecoderSpec(none=none)
