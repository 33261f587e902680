"""Shared code of the classification tasks: probabilities, metrics, evaluation files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gesta import metrics as measure
from gesta.schema import GestaError, Prediction, Sample, grouped
from gesta.tasks.base import Evaluation, Quality

ACCURACY = Quality("val_accuracy", "accuracy", True, "%")
KEPT = ("accuracy", "accuracy_interval", "top5", "n", "people")
"""Evaluation metrics that can be stored in the bundle."""


class Classifies:
    """Attributes and methods shared by all classification tasks."""

    quality = ACCURACY
    kept = KEPT

    def labeled(self, samples: Sequence[Any], manifest: Any) -> list[Any]:
        return labeled(samples, manifest)

    def evaluate(self, predictor: Any, samples: Sequence[Any], outputs: NDArray[Any], seed: int) -> Evaluation:
        return evaluation(samples, outputs, predictor.manifest, seed)

    def differences(self, one: Evaluation, other: Evaluation) -> dict[str, float]:
        """Returns how much two models' answers to the same samples differ."""
        return differences(one, other)

    def hits(self, result: Evaluation) -> dict[str, int]:
        """Returns sample -> whether it was classified correctly."""
        return hits(result)


class Labeled(Protocol):
    """Manifest of a model with classes."""

    @property
    def name(self) -> str: ...

    @property
    def labels(self) -> tuple[str, ...]: ...


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Returns probabilities along the last axis. Raises GestaError for NaN or infinite logits (damaged network)."""
    if not np.isfinite(logits).all():
        raise GestaError("The network returns values that are not numbers (NaN). Get the bundle again, or train again.")
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    powers = np.exp(shifted)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def probabilities(logits: NDArray[np.float32], manifest: Labeled) -> NDArray[np.float64]:
    """Softmax of an engine's output, [B, N]. Raises GestaError if the manifest has a different number of labels."""
    if logits.shape[-1] != len(manifest.labels):
        raise GestaError(
            f"The model {manifest.name!r} lists {len(manifest.labels)} labels, and its network returns "
            f"{logits.shape[-1]} numbers. The bundle is damaged; get it again from its author."
        )
    return softmax(logits)


def prediction(
    labels: Sequence[str], values: NDArray[np.floating], source: str = "", time_s: float | None = None
) -> Prediction:
    """Returns probabilities [N], in the order of the labels, as a Prediction."""
    named = {label: float(p) for label, p in zip(labels, values, strict=True)}
    return Prediction(labels[int(np.argmax(values))], named, time_s, source)


def labeled(samples: Sequence[Sample], manifest: Labeled) -> list[Sample]:
    """Returns the samples with a label. Raises GestaError if there are none, or the model does not know a label."""
    found = [s for s in samples if s.label is not None]
    check_labels(found, len(samples), manifest.labels)
    return found


def check_labels(labeled: Sequence[Sample], given: int, labels: Sequence[str]) -> None:
    """Raises GestaError if there is nothing to evaluate, or the model does not know a label."""
    if not labeled:
        raise GestaError(
            f"nothing to measure: none of the {given} samples has a label. Choose another split or data folder."
        )
    unknown = Counter(s.label for s in labeled if s.label not in labels)
    if unknown:
        listed = ", ".join(f"{label} ({count})" for label, count in sorted(unknown.items(), key=str)[:20])
        more = f" and {len(unknown) - 20} more" if len(unknown) > 20 else ""
        raise GestaError(
            f"the data have {len(unknown)} labels that the bundle does not know: {listed}{more}. "
            f"It knows: {', '.join(labels)}. Rename or remove those clips, or train on them: "
            "gesta train DATA --from BUNDLE."
        )


def evaluation(
    samples: Sequence[Sample], probabilities: NDArray[np.float64], manifest: Labeled, seed: int
) -> Evaluation:
    """Evaluates probabilities [n, N] of labeled samples."""
    truth = np.array([manifest.labels.index(s.label or "") for s in samples], np.int64)
    found = measured(truth, probabilities, [s.subject for s in samples], manifest.labels, seed)
    return Evaluation(found, tuple(samples), probabilities, truth, manifest)


def predicted(result: Evaluation) -> NDArray[np.int64]:
    """Returns the predicted class of each sample, [n]."""
    return np.asarray(result.outputs.argmax(axis=1), np.int64)


def differences(one: Evaluation, other: Evaluation) -> dict[str, float]:
    """Returns how much two evaluations of the same samples differ."""
    return {
        "top_class_agreement": float((predicted(one) == predicted(other)).mean()),
        "largest_difference": float(np.abs(one.outputs - other.outputs).max()),
    }


def hits(result: Evaluation) -> dict[str, int]:
    """Returns sample -> whether it was classified correctly."""
    right = predicted(result) == result.truth
    return {sample.id: int(hit) for sample, hit in zip(result.samples, right, strict=True)}


def measured(
    truth: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    subjects: Sequence[str | None],
    labels: Sequence[str],
    seed: int = 0,
) -> dict[str, Any]:
    """Computes the values of `metrics.json` from truth [n] and probabilities [n, N], as plain JSON values.

    `accuracy_interval` (95 %) is the wider of two intervals: Wilson's, and a bootstrap over people if at least two are
    known. The bootstrap is too narrow with few people; Wilson's is with similar clips.
    """
    predicted = probabilities.argmax(axis=1)
    hits = predicted == truth
    wilson = measure.wilson(int(hits.sum()), len(truth))
    known = None not in subjects and len(set(subjects)) > 1
    people = measure.bootstrap_by_person(hits, list(subjects), np.random.default_rng(seed)) if known else None
    low, high = (min(wilson[0], people[0]), max(wilson[1], people[1])) if people else wilson
    table = measure.confusion(truth, predicted, len(labels))
    scores = {label: asdict(score) for label, score in zip(labels, measure.per_class(table), strict=True)}
    present = [score["recall"] for score in scores.values() if score["n"]]
    return {
        "accuracy": measure.accuracy(truth, predicted),
        "accuracy_interval": [low, high],
        "interval_wilson": list(wilson),
        "interval_by_person": list(people) if people else None,
        "mean_class_accuracy": float(np.mean(present)),
        "top5": measure.top_k(probabilities, truth, 5),
        "n": len(truth),
        "people": len({s for s in subjects if s is not None}) or None,
        "labels": list(labels),
        "per_class": scores,
        "per_person": _per_person(hits, subjects),
        "confusion": table.tolist(),
    }


def _per_person(hits: NDArray[np.bool_], subjects: Sequence[str | None]) -> dict[str, dict[str, float]]:
    known = ((subject, bool(hit)) for hit, subject in zip(hits, subjects, strict=True) if subject is not None)
    return {person: {"n": len(got), "accuracy": sum(got) / len(got)} for person, got in sorted(grouped(known).items())}


def most_confident_mistakes(result: Evaluation, count: int) -> list[int]:
    """Returns the rows of wrong predictions, the most confident first."""
    wrong = np.flatnonzero(predicted(result) != result.truth)
    sureness = result.outputs[wrong].max(axis=1)
    return [int(i) for i in wrong[np.argsort(-sureness, kind="stable")][:count]]


Strips = Callable[[Sample], tuple[list[tuple[str, str]], float | None]]
"""Sample -> (its pictures, each (caption, data URI); its length in seconds, if known)."""
