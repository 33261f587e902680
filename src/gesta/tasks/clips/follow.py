"""A recognizer of clips followed live: the probabilities of its chunks to events."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from gesta.decoding import Decoder, DecoderSpec, GestureEvent
from gesta.schema import Prediction
from gesta.tasks.clips.stream import Stream

NONE = ("none", "nothing", "no_gesture", "rest", "idle", "background")
"""Labels of no gesture; of a model that has none of them a sure answer is an event."""


class ChunkFollower:
    """RGB images -> events. `threshold`: probability at which one opens; it ends below two thirds of it."""

    takes = "rgb"

    def __init__(self, stream: Stream, labels: tuple[str, ...], threshold: float | None = None) -> None:
        none = next((label for label in labels if label.lower() in NONE), DecoderSpec().none)
        spec = (
            DecoderSpec(none=none) if threshold is None else DecoderSpec(none=none, on=threshold, off=threshold / 1.5)
        )
        self._stream, self._labels, self._decoder = stream, labels, Decoder(spec, labels)
        self._last_s = -1.0

    def push(self, value: NDArray[Any], time_s: float) -> list[GestureEvent]:
        """The next image; the events that its chunk has decided."""
        return [event for found in self._stream.push(value, time_s) for event in self._seen(found)]

    def finish(self) -> list[GestureEvent]:
        """What is still going on, ended. Then the stream begins anew."""
        found = [event for last in self._stream.finish() for event in self._seen(last)]
        self._last_s = -1.0
        return found + self._decoder.finish()

    def _seen(self, found: Prediction) -> list[GestureEvent]:
        time_s = found.time_s or 0.0
        if time_s <= self._last_s:
            return []
        self._last_s = time_s
        return self._decoder.step([time_s], [[found.probabilities[label] for label in self._labels]])
