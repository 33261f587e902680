"""A model that follows a source: events as they come, and at the end how quick it was and what it missed."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gesta.decoder import GestureEvent
from gesta.decoding import DecoderSpec
from gesta.live.newest import Newest
from gesta.live.sources import Source
from gesta.words import counted

KEPT = 20_000
"""Latencies that the percentiles are of: the last ones, so that memory stays as it is."""


class Follower(Protocol):
    """What turns frames into events. `takes`: "rgb" (images H W 3) or "skeletons" (J D)."""

    takes: str

    @property
    def probabilities(self) -> Mapping[str, float]:
        """The last answer, by label; empty before the first."""

    def push(self, value: NDArray[Any], time_s: float) -> list[GestureEvent]:
        """The next frame and its time, later than the one before; the events that it has decided."""

    def finish(self) -> list[GestureEvent]:
        """What is still going on, ended. Then the stream begins anew."""

    def decode_with(self, spec: DecoderSpec) -> None:
        """Other numbers of the decoder, from the next frame on; an event that is going on is forgotten."""


@dataclass
class Summary:
    """What a session came to."""

    frames: int = 0
    taken: int = 0
    dropped_share: float = 0.0
    reconnected: int = 0
    events: int = 0
    seconds: float = 0.0
    load: float = 0.0
    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))

    @property
    def document(self) -> dict[str, Any]:
        """As plain values. `latency_...`: from a frame's arrival to the model's answer; `load`: of one core."""
        p50, p95 = np.percentile(self.latencies_ms, (50, 95)).tolist() if self.latencies_ms else (None, None)
        return {
            **{name: value for name, value in vars(self).items() if name != "latencies_ms"},
            "latency_p50_ms": p50,
            "latency_p95_ms": p95,
        }

    @property
    def line(self) -> str:
        """For people."""
        found = self.document
        quick = "no frame was processed"
        if found["latency_p50_ms"] is not None:
            quick = f"latency {found['latency_p50_ms']:.1f} ms (p95 {found['latency_p95_ms']:.1f})"
        again = f", reconnected {counted(self.reconnected, 'time')}" if self.reconnected else ""
        return (
            f"{counted(self.events, 'event')} in {self.seconds:.1f} s; {counted(self.frames, 'frame')} processed, "
            f"{self.dropped_share:.1%} of {self.taken} dropped{again}; {quick}; {self.load:.0%} of one core"
        )


Watch = Callable[[NDArray[Any], list[GestureEvent]], None]


def session(
    source: Source,
    follower: Follower,
    summary: Summary,
    *,
    seconds: float | None = None,
    watch: Watch = lambda _value, _events: None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[GestureEvent]:
    """Events of a source, each as soon as it is known; `summary` is filled while it runs.

    `seconds`: ends after so long; `watch` sees every frame that was answered, and its events. When a source is opened
    again, what was going on has ended.
    """
    started, used, connection = clock(), time.process_time(), 0
    with Newest(source, clock) as frames:
        try:
            for frame in frames:
                ended = follower.finish() if frame.connection != connection else []
                connection = frame.connection
                found = ended + follower.push(frame.value, frame.time_s)
                summary.latencies_ms.append(1000 * (clock() - frame.arrived))
                summary.frames += 1
                summary.events += len(found)
                watch(frame.value, found)
                yield from found
                if seconds is not None and clock() - started >= seconds:
                    break
            last = follower.finish()
            summary.events += len(last)
            yield from last
        finally:
            summary.taken, summary.dropped_share = frames.taken, frames.dropped_share
            summary.reconnected, summary.seconds = frames.connections, clock() - started
            summary.load = (time.process_time() - used) / max(summary.seconds, 1e-9)
