"""Runs a model on a live source: events as they occur, and finally a summary of latency and dropped frames."""

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
"""Number of most recent latencies that the percentiles cover, which bounds memory."""


class Follower(Protocol):
    """Turns frames into events. `takes`: "rgb" (images H W 3) or "skeletons" (J D)."""

    takes: str

    @property
    def probabilities(self) -> Mapping[str, float]:
        """The latest output by label; empty before the first."""

    def push(self, value: NDArray[Any], time_s: float) -> list[GestureEvent]:
        """Processes the next frame; times must increase. Returns the events that it decided."""

    def finish(self) -> list[GestureEvent]:
        """Ends the ongoing event and returns it; then resets the stream."""

    def decode_with(self, spec: DecoderSpec) -> None:
        """Sets the decoder's parameters from the next frame on; drops an ongoing event."""


@dataclass
class Summary:
    """Summary of a session."""

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
        """As plain values. `latency_...`: from a frame's arrival to the output; `load`: relative to one core."""
        p50, p95 = np.percentile(self.latencies_ms, (50, 95)).tolist() if self.latencies_ms else (None, None)
        return {
            **{name: value for name, value in vars(self).items() if name != "latencies_ms"},
            "latency_p50_ms": p50,
            "latency_p95_ms": p95,
        }

    @property
    def line(self) -> str:
        """A human-readable line."""
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
    """Yields the events of a source as soon as they are known; fills `summary` meanwhile.

    `seconds`: time limit; `watch` is called with every processed frame and its events. Reopening a source ends an
    ongoing event.
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
