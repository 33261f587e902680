"""Decodes probabilities over time into events: one per gesture, two for two in a row. Causal; needs no torch.

    decoder = Decoder(DecoderSpec(), labels)
    for times_s, probabilities in chunks:          # [K], [K, N]
        for event in decoder.step(times_s, probabilities): ...
    for event in decoder.finish(): ...

Feeding a recording chunk by chunk gives the same events as decoding it at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field, model_validator

from gesta.decoder import Decoder, Floats, GestureEvent
from gesta.metrics_events import Event, Matches, edit_error, match


class DecoderSpec(BaseModel):
    """The decoder's parameters, as stored in a bundle's manifest. The active probability is 1 - P(`none`)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    none: str = Field(
        "none", description="label of no gesture; without such a label, active is the largest probability"
    )
    smoothing_s: float = Field(0.1, ge=0, le=10, description="time constant of the exponential mean; 0: none")
    on: float = Field(0.6, gt=0, le=1, description="an event opens when active reaches this")
    off: float = Field(0.4, gt=0, le=1, description="an event lasts as long as active is not below this")
    least_s: float = Field(0.25, ge=0, le=60, description="a shorter event is dropped")
    rearm_s: float = Field(
        0.1, ge=0, le=60, description="how long `none` must last before an event ends and the next can start"
    )
    decide_s: float | None = Field(
        None, ge=0, le=60, description="decide the label this long after the start; null: at the end"
    )

    @model_validator(mode="after")
    def _ordered(self) -> DecoderSpec:
        if self.off > self.on:
            raise ValueError(f"off ({self.off:g}) must not be above on ({self.on:g})")
        return self

    @property
    def line(self) -> str:
        """A human-readable description."""
        return (
            f"an event opens at {self.on:g}, ends below {self.off:g} for {self.rearm_s:g} s and lasts "
            f"{self.least_s:g} s or more; probabilities are smoothed over {self.smoothing_s:g} s"
        )

    def at(self, threshold: float | None) -> DecoderSpec:
        """A copy whose events open at another probability; unchanged if None."""
        if threshold is None:
            return self
        return self.model_copy(update={"on": threshold, "off": min(self.off, threshold)})


def as_measured(event: GestureEvent) -> Event:
    """Converts an event for `gesta.metrics_events`."""
    return Event(event.label, event.start_s, event.end_s, event.decided_s)


def decode(
    spec: DecoderSpec, labels: Sequence[str], times_s: ArrayLike, probabilities: ArrayLike, half_s: float = 0.0
) -> list[GestureEvent]:
    """The events of one whole recording: times [T], probabilities [T, N]. Raises ValueError as `Decoder` does."""
    decoder = Decoder(spec, labels, half_s)
    return decoder.step(times_s, probabilities) + decoder.finish()


@dataclass(frozen=True)
class Scored:
    """One recording of the validation split: times [T], probabilities [T, N], and its true events in seconds."""

    times_s: Floats
    probabilities: Floats
    truth: list[Event]


CHOICES: Mapping[str, tuple[float | None, ...]] = {
    "smoothing_s": (0.0, 0.05, 0.1, 0.2, 0.35),
    "on": (0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    "off": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7),
    "least_s": (0.1, 0.2, 0.3, 0.45, 0.6),
    "rearm_s": (0.0, 0.1, 0.2, 0.4),
}
"""Values that `choose` tries."""
ROUNDS = 5

Quality = Callable[[Sequence[Sequence[Event]], Sequence[Sequence[Event]]], float]


def choose(
    labels: Sequence[str],
    recordings: Sequence[Scored],
    *,
    start: DecoderSpec | None = None,
    choices: Mapping[str, Sequence[float | None]] = CHOICES,
    quality: Quality | None = None,
) -> tuple[DecoderSpec, float]:
    """Returns the parameters with the best quality on recordings of the validation split, and that quality.

    Coordinate search from `start`: sets one parameter at a time to its best value in `choices` until none changes.
    Others stay as they are. `quality(truth, predicted)` rates all recordings' events, larger is better; by default
    `event_quality`. Raises ValueError if no recording has a true event.
    """
    if not any(recording.truth for recording in recordings):
        raise ValueError("the decoder's parameters cannot be chosen: no recording of the validation part has an event")
    best = start or DecoderSpec()
    value = _quality(best, labels, recordings, quality or event_quality)
    for _ in range(ROUNDS):
        before = best
        for name, values in choices.items():
            for spec in _variants(best, name, values):
                found = _quality(spec, labels, recordings, quality or event_quality)
                if found > value:
                    best, value = spec, found
        if best == before:
            break
    return best, value


def event_quality(truth: Sequence[Sequence[Event]], predicted: Sequence[Sequence[Event]]) -> float:
    """Correct events / (true events + false positives), minus half the edit error. 1 if everything is correct."""
    matches: list[Matches] = [match(t, p) for t, p in zip(truth, predicted, strict=True)]
    right, false = sum(len(one.right) for one in matches), sum(len(one.false) for one in matches)
    return right / (sum(map(len, truth)) + false) - edit_error(truth, predicted) / 2


def _quality(spec: DecoderSpec, labels: Sequence[str], recordings: Sequence[Scored], quality: Quality) -> float:
    found = [decode(spec, labels, one.times_s, one.probabilities) for one in recordings]
    return quality([one.truth for one in recordings], [[as_measured(event) for event in events] for events in found])


def _variants(spec: DecoderSpec, name: str, values: Sequence[float | None]) -> list[DecoderSpec]:
    """The specification with each value of one parameter; lowers `off` if `on` falls below it."""
    variants = []
    for value in values:
        numbers = {**spec.model_dump(), name: value}
        if name == "on":
            numbers["off"] = min(numbers["off"], numbers["on"])
        if numbers["off"] <= numbers["on"]:
            variants.append(DecoderSpec(**numbers))
    return variants
