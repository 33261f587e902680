"""Metrics of continuous recognition: events in time and a label per frame. Numpy only; plain values in, numbers out.

An event is `(label, start, end)`, in frames or seconds. A set is a list of recordings, each a list of events.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gesta.metrics import Span, accuracy, jaccard_spans, levenshtein

OVERLAPS = (0.1, 0.25, 0.5)
LONGEST = 2.0
"""SHREC 2022: a result longer than this multiple of the true gesture never matches it."""
COVERED = 0.5
"""SHREC 2022: the fraction of the true gesture that a correct result must cover."""


class Event(NamedTuple):
    """One gesture in time. `decided`: when it was recognized (SHREC's last frame used); None if unknown."""

    label: Hashable
    start: float
    end: float
    decided: float | None = None


@dataclass(frozen=True)
class Matches:
    """Matches of one recording by SHREC 2022's rule. `right`: (true event, result) indices; `false`: result indices.

    A result in neither is a second, partial detection of a gesture that had not been found before it.
    """

    right: list[tuple[int, int]]
    false: list[int]


@dataclass(frozen=True)
class ClassRates:
    """Counts for one class: true events, correct and false results, and the correct results' `decided` - `start`."""

    true: int
    right: int
    false: int
    delays: tuple[float, ...] = ()


@dataclass(frozen=True)
class ShrecRates:
    """The rates of SHREC 2022: for every class in the truth, and averaged over classes."""

    by_class: Mapping[Hashable, ClassRates]

    @property
    def detection_rate(self) -> float:
        return float(np.mean([c.right / c.true for c in self.by_class.values()]))

    @property
    def false_positive_rate(self) -> float:
        return float(np.mean([c.false / c.true for c in self.by_class.values()]))

    @property
    def jaccard_index(self) -> float:
        return float(np.mean([c.right / (c.true + c.false) for c in self.by_class.values()]))

    @property
    def delay(self) -> float | None:
        """None if no correct result has a decision time."""
        means = [np.mean(c.delays) for c in self.by_class.values() if c.delays]
        return float(np.mean(means)) if means else None


def frame_accuracy(truth: Sequence[ArrayLike], predicted: Sequence[ArrayLike]) -> float:
    """Fraction of correct frames over all recordings, each labels [T]. Raises ValueError for different lengths."""
    _same_number(truth, predicted)
    for number, (a, b) in enumerate(zip(truth, predicted, strict=True)):
        if np.shape(a) != np.shape(b):
            raise ValueError(f"recording {number}: {np.shape(a)} true labels, but {np.shape(b)} predicted ones")
    return accuracy(np.concatenate([np.asarray(t) for t in truth]), np.concatenate([np.asarray(p) for p in predicted]))


def runs(labels: ArrayLike, none: int | None = None) -> list[Span]:
    """Labels per frame [T] -> (label, first frame, last frame) of each run of one label other than `none`."""
    values = np.asarray(labels)
    if len(values) == 0:
        return []
    firsts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    lasts = np.concatenate([firsts[1:], [len(values)]]) - 1
    spans = [(int(values[first]), int(first), int(last)) for first, last in zip(firsts, lasts, strict=True)]
    return [span for span in spans if span[0] != none]


def mean_jaccard(truth: Sequence[Sequence[Span]], predicted: Sequence[Sequence[Span]], frames: Sequence[int]) -> float:
    """Mean over recordings of the frame-wise Jaccard index (ChaLearn 2014, track 3).

    `frames`: how many each recording has; spans are (class, first frame, last frame), both inclusive.
    """
    _same_number(truth, predicted)
    return float(np.mean([jaccard_spans(t, p, n) for t, p, n in zip(truth, predicted, frames, strict=True)]))


def f1_at_overlaps(
    truth: Sequence[Sequence[Event]], predicted: Sequence[Sequence[Event]], overlaps: Sequence[float] = OVERLAPS
) -> dict[float, float]:
    """Segmental F1 at each overlap (Lea et al. 2017, "Temporal Convolutional Networks for Action Segmentation").

    A result is correct if its intersection over union with the best true event of its label reaches the overlap and
    no earlier result matched that event. Counted over all recordings. 1 if both are empty.
    """
    _same_number(truth, predicted)
    events = sum(map(len, truth)) + sum(map(len, predicted))
    if events == 0:
        return dict.fromkeys(overlaps, 1.0)
    pairs = list(zip(truth, predicted, strict=True))
    return {k: 2 * sum(_right_at_overlap(t, p, k) for t, p in pairs) / events for k in overlaps}


def match(truth: Sequence[Event], predicted: Sequence[Event]) -> Matches:
    """Classifies the results of one recording as correct or false by the rule of SHREC 2022 (Emporio et al. 2022).

    Results are processed in order; each true event is found at most once. A result is correct if it has the same label,
    is at most twice as long, and covers at least half of the true event. One that overlaps an event of its label not
    yet found and is at most twice as long is neither correct nor false; every other one is false.
    """
    free = set(range(len(truth)))
    right, false = [], []
    for number, result in enumerate(predicted):
        near = [i for i in sorted(free) if _may_be(truth[i], result)]
        found = next((i for i in near if _overlap(truth[i], result) >= COVERED * _length(truth[i])), None)
        if found is not None:
            free.remove(found)
            right.append((found, number))
        elif not any(_overlap(truth[i], result) > 0 for i in near):
            false.append(number)
    return Matches(right, false)


def shrec_rates(truth: Sequence[Sequence[Event]], predicted: Sequence[Sequence[Event]]) -> ShrecRates:
    """Detection rate, false positives per true event, Jaccard index and delay as SHREC 2022 counts them.

    Jaccard index = right / (true + false), by class, then averaged; likewise the delay. Results whose label no true
    event has are ignored. Raises ValueError if there are no true events.
    """
    _same_number(truth, predicted)
    true = Counter(event.label for events in truth for event in events)
    if not true:
        raise ValueError("there is no true event")
    right: dict[Hashable, list[Event]] = {label: [] for label in true}
    false: Counter[Hashable] = Counter()
    for expected, results in zip(truth, predicted, strict=True):
        found = match(expected, results)
        false.update(results[number].label for number in found.false)
        for index, number in found.right:
            right[expected[index].label].append(results[number])
    return ShrecRates(
        {
            label: ClassRates(n, len(right[label]), false[label], tuple(_waits(right[label])))
            for label, n in true.items()
        }
    )


def detection_rate(truth: Sequence[Sequence[Event]], predicted: Sequence[Sequence[Event]]) -> float:
    """Fraction of all true events that were found, by the rule of `match`. 1 if there are none."""
    events = sum(map(len, truth))
    return sum(len(match(t, p).right) for t, p in zip(truth, predicted, strict=True)) / events if events else 1.0


def false_alarms_per_minute(
    truth: Sequence[Sequence[Event]], predicted: Sequence[Sequence[Event]], seconds: float
) -> float:
    """False results, by the rule of `match`, per minute; `seconds` is the total length of the recordings."""
    if not seconds > 0:
        raise ValueError(f"the recordings' length must be positive, not {seconds} s")
    return 60 * sum(len(match(t, p).false) for t, p in zip(truth, predicted, strict=True)) / seconds


def edit_error(truth: Sequence[Sequence[Event]], predicted: Sequence[Sequence[Event]]) -> float:
    """Edit distance of the label sequences, summed over recordings, per true event. Raises ValueError without any."""
    _same_number(truth, predicted)
    events = sum(map(len, truth))
    if events == 0:
        raise ValueError("there is no true event")
    changes = [levenshtein([e.label for e in t], [e.label for e in p]) for t, p in zip(truth, predicted, strict=True)]
    return sum(changes) / events


def delays(truth: Sequence[Sequence[Event]], predicted: Sequence[Sequence[Event]], *, since: str) -> list[float]:
    """For every correct result, `decided` minus the `start` or `end` (`since`) of the matched true event."""
    values = []
    for expected, results in zip(truth, predicted, strict=True):
        for true, number in match(expected, results).right:
            decided = results[number].decided
            if decided is not None:
                values.append(float(decided - getattr(expected[true], since)))
    return values


def percentiles(values: ArrayLike, shares: Sequence[float] = (50, 95)) -> tuple[float, ...] | None:
    """p50 and p95 (or others) of values, linearly interpolated. None for no values."""
    numbers = np.asarray(values, np.float64)
    return tuple(float(v) for v in np.percentile(numbers, shares)) if len(numbers) else None


def _right_at_overlap(truth: Sequence[Event], predicted: Sequence[Event], least: float) -> int:
    taken: set[int] = set()
    for result in predicted:
        shares = [_iou(true, result) if true.label == result.label else 0.0 for true in truth]
        best = int(np.argmax(shares)) if shares else -1
        if best >= 0 and shares[best] >= least and best not in taken:
            taken.add(best)
    return len(taken)


def _waits(results: Sequence[Event]) -> list[float]:
    return [result.decided - result.start for result in results if result.decided is not None]


def _may_be(true: Event, result: Event) -> bool:
    return true.label == result.label and _length(result) <= LONGEST * _length(true)


def _length(event: Event) -> float:
    return event.end - event.start


def _overlap(a: Event, b: Event) -> float:
    """Duration of the overlap; not positive if they do not touch or one is reversed."""
    return min(a.end, b.end) - max(a.start, b.start)


def _iou(a: Event, b: Event) -> float:
    both = max(_overlap(a, b), 0.0)
    either = _length(a) + _length(b) - both
    return both / either if either > 0 else 0.0


def _same_number(truth: Sequence[Any], predicted: Sequence[Any]) -> None:
    if len(truth) != len(predicted) or len(truth) == 0:
        raise ValueError(f"expected as many recordings on both sides, at least one, got {len(truth)}, {len(predicted)}")
