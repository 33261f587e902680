"""Decodes probabilities over time into events: one per gesture, two for two in a row. Causal; needs only numpy.

Every export with preprocessing includes a verbatim copy of this file, so it imports nothing from gesta. Its parameters
are documented where they are defined: `gesta.decoding.DecoderSpec`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class Numbers(Protocol):
    """The parameters of a decoder."""

    @property
    def none(self) -> str: ...
    @property
    def smoothing_s(self) -> float: ...
    @property
    def on(self) -> float: ...
    @property
    def off(self) -> float: ...
    @property
    def least_s(self) -> float: ...
    @property
    def rearm_s(self) -> float: ...
    @property
    def decide_s(self) -> float | None: ...


@dataclass(frozen=True)
class GestureEvent:
    """One gesture found in a stream; times in seconds of the stream.

    `confidence`: mean probability of the label during the event; `decided_s`: when the label was decided.
    """

    label: str
    start_s: float
    end_s: float
    confidence: float
    decided_s: float

    @property
    def line(self) -> str:
        """A human-readable line."""
        when = f"{self.start_s:9.2f} - {self.end_s:.2f} s"
        return f"{when}  {self.label}  {self.confidence:.2f}  (decided at {self.decided_s:.2f} s)"


class Decoder:
    """Smoothing, then two thresholds on the active probability, and a vote on the label over the event.

    An event lasts from when the active probability rose to `off`, before reaching `on`, to when it was last at `off`.
    A different label that leads at `on` or above for `least_s` starts a new event, even without `none` in between.
    Raises ValueError if there is no label besides `none`. `half_s`: half the duration that a probability refers to, as
    for chunks, whose probabilities refer to the middle; the times passed to `step` are the ends of the chunks.
    """

    def __init__(self, spec: Numbers, labels: Sequence[str], half_s: float = 0.0) -> None:
        self.spec, self.half_s = spec, half_s
        self._names = [label for label in labels if label != spec.none]
        self._columns = [i for i, label in enumerate(labels) if label != spec.none]
        self._none = labels.index(spec.none) if spec.none in labels else None
        if not self._names:
            raise ValueError(f"labels {list(labels)} contain no gesture")
        self.reset()

    def reset(self) -> None:
        """Returns to the state before the first step."""
        self._time_s = -np.inf
        self._smooth = _Smoother(self.spec.smoothing_s)
        self._segment = _Segmenter(self.spec, self._names)

    @property
    def current(self) -> str | None:
        """The label of the ongoing event, once decided; otherwise None."""
        return self._segment.current

    def step(self, times_s: ArrayLike, probabilities: ArrayLike) -> list[GestureEvent]:
        """Returns the events that ended by the last of `times_s` [K], from probabilities [K, N] at those times.

        Raises ValueError for wrong shapes, times that do not increase, or values outside [0, 1].
        """
        times, values = self._checked(np.asarray(times_s, np.float64) - self.half_s, probabilities)
        smooth = self._smooth(times, values)
        return [self._whole(e) for e in self._segment.run(times, smooth[:, self._columns], self._active(smooth))]

    def finish(self) -> list[GestureEvent]:
        """Ends the ongoing event at the last time and returns it; then resets the decoder."""
        last = [self._whole(event) for event in self._segment.finish()]
        self.reset()
        return last

    def _whole(self, event: GestureEvent) -> GestureEvent:
        """Extends an event between chunk middles to the start of its first chunk and the end of its last one."""
        half_s = self.half_s
        return GestureEvent(
            event.label, event.start_s - half_s, event.end_s + half_s, event.confidence, event.decided_s + half_s
        )

    def _active(self, smooth: Floats) -> Floats:
        return smooth[:, self._columns].max(axis=1) if self._none is None else 1 - smooth[:, self._none]

    def _checked(self, times_s: ArrayLike, probabilities: ArrayLike) -> tuple[Floats, Floats]:
        times, values = np.asarray(times_s, np.float64), np.asarray(probabilities, np.float64)
        wanted = len(self._columns) + (self._none is not None)
        if times.ndim != 1 or values.shape != (len(times), wanted):
            raise ValueError(f"expected times [K] and probabilities [K, {wanted}], got {times.shape}, {values.shape}")
        if not (np.diff(times, prepend=self._time_s) > 0).all() or not np.isfinite(times).all():
            raise ValueError("times must be finite and increase from step to step")
        if not ((values >= -1e-6) & (values <= 1 + 1e-6)).all():
            raise ValueError("probabilities must lie in [0, 1]; take the softmax of a network's outputs first")
        self._time_s = float(times[-1]) if len(times) else self._time_s
        return times, values


class _Smoother:
    """Exponential moving average over time: reaches 63 % of a step after `constant_s` seconds."""

    def __init__(self, constant_s: float) -> None:
        self._constant_s = constant_s
        self._time_s = 0.0
        self._mean: Floats | None = None

    def __call__(self, times_s: Floats, values: Floats) -> Floats:
        """[K], [K, N] -> [K, N]."""
        if self._constant_s == 0 or len(values) == 0:
            return values
        out = np.empty_like(values)
        mean = values[0] if self._mean is None else self._mean
        before_s = float(times_s[0]) if self._mean is None else self._time_s
        for row, time_s in enumerate(times_s.tolist()):
            share = math.exp((before_s - time_s) / self._constant_s)
            out[row] = mean = share * mean + (1 - share) * values[row]
            before_s = time_s
        self._mean, self._time_s = mean, float(times_s[-1])
        return out


class _Run:
    """Consecutive steps: first and last time, and the summed probabilities of the gestures [G]."""

    def __init__(self, start_s: float, values: Floats) -> None:
        self.start_s = self.last_s = start_s
        self.sums, self.steps = values.copy(), 1

    def add(self, time_s: float, values: Floats) -> None:
        self.last_s = time_s
        self.sums += values
        self.steps += 1


class _Segmenter:
    """The two thresholds and the vote, one step at a time."""

    def __init__(self, spec: Numbers, names: list[str]) -> None:
        self._spec, self._names = spec, names
        self._run: _Run | None = None  # since the active probability rose to `off`
        self._opened = False  # whether it reached `on`
        self._leader: tuple[int, _Run] | None = None  # the gesture leading at `on` or above, and since when
        self._settled: int | None = None  # the gesture that led at `on` for `least_s`
        self._fixed: tuple[int, float] | None = None  # label, and when it was decided
        self._last_s = 0.0

    @property
    def current(self) -> str | None:
        return self._names[self._fixed[0]] if self._fixed is not None else None

    def run(self, times_s: Floats, gestures: Floats, active: Floats) -> Iterator[GestureEvent]:
        """Events that end within the steps: times [K], probabilities of the gestures [K, G], active [K]."""
        leaders = gestures.argmax(axis=1).tolist()
        for row, (time_s, level) in enumerate(zip(times_s.tolist(), active.tolist(), strict=True)):
            self._last_s = time_s
            if level < self._spec.off:
                yield from self._quiet(time_s)
            else:
                yield from self._loud(time_s, gestures[row], leaders[row], level >= self._spec.on)

    def finish(self) -> Iterator[GestureEvent]:
        yield from self._close(self._last_s)

    def _quiet(self, time_s: float) -> Iterator[GestureEvent]:
        """Below `off`: drops an event that has not opened; ends an open one once this has lasted long enough."""
        self._leader = None
        if self._run is not None and (not self._opened or time_s - self._run.last_s >= self._spec.rearm_s):
            yield from self._close(time_s)

    def _loud(self, time_s: float, values: Floats, leader: int, at_on: bool) -> Iterator[GestureEvent]:
        if self._run is None:
            self._run = _Run(time_s, values)
        else:
            self._run.add(time_s, values)
        self._opened = self._opened or at_on
        self._follow(time_s, values, leader, values[leader] >= self._spec.on)
        yield from self._split(time_s)
        self._fix(time_s)

    def _follow(self, time_s: float, values: Floats, leader: int, sure: bool) -> None:
        """Tracks since when one gesture has been leading at `on` or above."""
        if not sure:
            self._leader = None
        elif self._leader is not None and self._leader[0] == leader:
            self._leader[1].add(time_s, values)
        else:
            self._leader = leader, _Run(time_s, values)

    def _split(self, time_s: float) -> Iterator[GestureEvent]:
        """Splits off an event if one gesture has led for `least_s` and then another one has."""
        if self._run is None or self._leader is None or time_s - self._leader[1].start_s < self._spec.least_s:
            return
        leader, later = self._leader
        settled, self._settled = self._settled, leader
        earlier, steps = self._run.sums - later.sums, self._run.steps - later.steps
        label = self._fixed[0] if self._fixed is not None else int(earlier.argmax())
        if settled is None or leader in (settled, label):
            return
        decided_s = self._fixed[1] if self._fixed is not None else time_s
        yield self._event(label, self._run.start_s, later.start_s, earlier[label] / steps, decided_s)
        self._run, self._leader, self._fixed = later, None, None

    def _fix(self, time_s: float) -> None:
        wait_s = self._spec.decide_s
        if wait_s is None or not self._opened or self._fixed is not None or self._run is None:
            return
        if time_s - self._run.start_s >= max(wait_s, self._spec.least_s):
            self._fixed = int(self._run.sums.argmax()), time_s

    def _close(self, time_s: float) -> Iterator[GestureEvent]:
        run = self._run
        if run is not None and self._opened and run.last_s - run.start_s >= self._spec.least_s:
            label, decided_s = self._fixed or (int(run.sums.argmax()), time_s)
            yield self._event(label, run.start_s, run.last_s, run.sums[label] / run.steps, decided_s)
        self._run, self._leader, self._settled, self._fixed, self._opened = None, None, None, None, False

    def _event(self, label: int, start_s: float, end_s: float, confidence: float, decided_s: float) -> GestureEvent:
        return GestureEvent(self._names[label], start_s, end_s, float(confidence), decided_s)
