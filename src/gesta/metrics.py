"""Metrics of how well a model predicts. Numpy only; arrays in, numbers out.

`truth` and `predicted` are class indices [n]; `probabilities` is [n, N]; `correct` is bool [n]; `subjects` names the
person of each clip. Intervals are (low, high), 95 % by default.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Interval = tuple[float, float]
Span = tuple[int, int, int]
"""(class, first frame, last frame), both frames inclusive."""


@dataclass(frozen=True)
class ClassScore:
    """Scores of one class. `n` clips belong to it, `predicted` were assigned to it; a ratio without clips is 0."""

    n: int
    predicted: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Difference:
    """Mean of a minus mean of b on the same clips, with a confidence interval."""

    mean: float
    low: float
    high: float


def accuracy(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Fraction of equal entries. Raises ValueError for no entries or different lengths."""
    return float(np.mean(_hits(truth, predicted)))


def top_k(probabilities: ArrayLike, truth: ArrayLike, k: int) -> float:
    """Fraction of rows of [n, N] whose true class is among the k largest; ties go to the lower index."""
    scores, true = np.asarray(probabilities, np.float64), np.asarray(truth, np.int64)
    if scores.ndim != 2 or len(scores) != len(true) or len(true) == 0:
        raise ValueError(f"expected probabilities [n, N] and truth [n], got {scores.shape} and {true.shape}")
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return float(np.mean((order == true[:, None]).any(axis=1)))


def confusion(truth: ArrayLike, predicted: ArrayLike, n_classes: int) -> NDArray[np.int64]:
    """[N, N] counts: row = true class, column = predicted class."""
    _hits(truth, predicted)
    table = np.zeros((n_classes, n_classes), np.int64)
    np.add.at(table, (np.asarray(truth, np.int64), np.asarray(predicted, np.int64)), 1)
    return table


def per_class(table: NDArray[np.int64]) -> list[ClassScore]:
    """Precision, recall and F1 of every class from a confusion table [N, N]."""
    scores = []
    for index in range(len(table)):
        hit, n, called = int(table[index, index]), int(table[index].sum()), int(table[:, index].sum())
        precision, recall = hit / called if called else 0.0, hit / n if n else 0.0
        scores.append(ClassScore(n, called, precision, recall, 2 * hit / (n + called) if n + called else 0.0))
    return scores


def wilson(correct: int, n: int, confidence: float = 0.95) -> Interval:
    """Wilson score interval of a proportion of n independent trials (Wilson 1927). n = 0 gives (0, 1)."""
    if not 0 <= correct <= n:
        raise ValueError(f"{correct} of {n} is not a share")
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share, spread = correct / n, z * z / n
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / n + spread / (4 * n))
    return (0.0 if correct == 0 else middle - half), (1.0 if correct == n else middle + half)


def bootstrap_by_person(
    values: ArrayLike,
    subjects: Sequence[Hashable],
    rng: np.random.Generator,
    *,
    draws: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Percentile bootstrap interval of the mean of `values` [n], resampling whole people with replacement.

    Clips of one person are correlated; resampling people, not clips, accounts for it. Raises ValueError for fewer than
    two people.
    """
    value = np.asarray(values, np.float64)
    if len(value) != len(subjects):
        raise ValueError(f"{len(value)} values but {len(subjects)} subjects")
    _, person = np.unique(np.asarray([repr(s) for s in subjects]), return_inverse=True)
    sums, counts = np.bincount(person, weights=value), np.bincount(person)
    if len(sums) < 2:
        raise ValueError("an interval over people needs at least two people")
    drawn = rng.integers(len(sums), size=(draws, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return float(low), float(high)


def paired_difference(
    correct_a: ArrayLike,
    correct_b: ArrayLike,
    subjects: Sequence[Hashable],
    rng: np.random.Generator,
    *,
    draws: int = 2000,
    confidence: float = 0.95,
) -> Difference:
    """Accuracy of a minus accuracy of b on the same clips, with an interval clustered by person.

    Raises ValueError for different lengths or fewer than two people.
    """
    a, b = np.asarray(correct_a, np.float64), np.asarray(correct_b, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"a pair needs the same clips on both sides, got {a.shape} and {b.shape}")
    low, high = bootstrap_by_person(a - b, subjects, rng, draws=draws, confidence=confidence)
    return Difference(float(np.mean(a - b)), low, high)


def jaccard_spans(truth: Sequence[Span], predicted: Sequence[Span], n_frames: int) -> float:
    """Frame-wise Jaccard index of one recording, averaged over its classes (ChaLearn 2014, track 3).

    For each class in the truth: frames in both / frames in either. A class predicted but not true counts as 0. Spans
    are clipped to the recording's n_frames. 1 if both are empty.
    """
    classes = sorted({c for c, _, _ in truth} | {c for c, _, _ in predicted})
    if not classes:
        return 1.0
    shares = []
    for index in classes:
        a, b = _frames(truth, index, n_frames), _frames(predicted, index, n_frames)
        union = int((a | b).sum())
        shares.append(int((a & b).sum()) / union if union else 0.0)
    return float(np.mean(shares))


def recognized_in_stream(
    truth: Sequence[tuple[int, float, float]], times_s: ArrayLike, probabilities: ArrayLike
) -> NDArray[np.bool_]:
    """Whether predictions [K, N], made at times_s [K], recognized each gesture (class, start_s, end_s): bool [n].

    A gesture is recognized if its class has the largest mean probability over the predictions made in the second
    half of its span, because a prediction near the start still reflects what came before. If there is no prediction
    in that half, the first one after it decides; a gesture after the last prediction is missed.
    """
    times, scores = np.asarray(times_s, np.float64), np.asarray(probabilities, np.float64)
    got = np.zeros(len(truth), np.bool_)
    for index, (label, start, end) in enumerate(truth):
        chosen = np.flatnonzero((times > (start + end) / 2) & (times <= end))
        if len(chosen) == 0:
            chosen = np.flatnonzero(times > end)[:1]
        if len(chosen):
            got[index] = int(np.argmax(scores[chosen].mean(axis=0))) == label
    return got


def joint_errors(truth_mm: ArrayLike, predicted_mm: ArrayLike) -> NDArray[np.float64]:
    """[n, J] distances in mm between joints [n, J, 3] in camera coordinates (x, y, z in mm).

    Their mean is the mean error, the means of the columns the per-joint errors (Kazakos, section 4.4.2).
    Raises ValueError for different or invalid shapes, or empty arrays.
    """
    a, b = np.asarray(truth_mm, np.float64), np.asarray(predicted_mm, np.float64)
    if a.shape != b.shape or a.ndim != 3 or a.shape[-1] != 3 or a.size == 0:
        raise ValueError(f"expected two arrays [n, J, 3] of the same shape, got {a.shape} and {b.shape}")
    return np.asarray(np.sqrt(np.square(a - b).sum(axis=-1)))


def success_rate(errors_mm: ArrayLike, thresholds_mm: ArrayLike) -> NDArray[np.float64]:
    """Fraction of frames whose largest joint error is below each threshold: errors [n, J] -> fractions [K].

    The curve of Kazakos, figures 4.7 to 4.9. Raises ValueError for invalid shapes or no frames.
    """
    largest = np.sort(_largest(errors_mm))
    return np.searchsorted(largest, np.asarray(thresholds_mm, np.float64), side="left") / len(largest)


def success_area(errors_mm: ArrayLike, limit_mm: float) -> float:
    """Area under the success-rate curve from 0 to `limit_mm`, divided by `limit_mm`: 1 if all errors are 0.

    Exact, independent of thresholds. Raises ValueError for invalid shapes or a limit of 0 or less.
    """
    if not limit_mm > 0:
        raise ValueError(f"the limit of the curve must be positive, not {limit_mm}")
    return float(np.mean(np.clip(1 - _largest(errors_mm) / limit_mm, 0, 1)))


def levenshtein(a: Sequence[Hashable], b: Sequence[Hashable]) -> int:
    """Minimum number of insertions, deletions and substitutions that turn a into b (Levenshtein 1966)."""
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, start=1):
        before, row[0] = row[0], i
        for j, right in enumerate(b, start=1):
            replaced = before + (left != right)
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, replaced)
    return row[-1]


def _hits(truth: ArrayLike, predicted: ArrayLike) -> NDArray[np.bool_]:
    a, b = np.asarray(truth), np.asarray(predicted)
    if a.shape != b.shape or a.ndim != 1 or len(a) == 0:
        raise ValueError(f"expected two lists of the same length, at least one long, got {a.shape} and {b.shape}")
    return np.asarray(a == b, np.bool_)


def _largest(errors_mm: ArrayLike) -> NDArray[np.float64]:
    errors = np.asarray(errors_mm, np.float64)
    if errors.ndim != 2 or errors.size == 0:
        raise ValueError(f"expected errors [n, J], at least one, got the shape {errors.shape}")
    return np.asarray(errors.max(axis=1), np.float64)


def _frames(spans: Sequence[Span], index: int, n_frames: int) -> NDArray[np.bool_]:
    active = np.zeros(n_frames, np.bool_)
    for label, first, last in spans:
        if label == index:
            active[max(first, 0) : last + 1] = True
    return active
