"""Parity of an exported classifier with PyTorch: top classes and probabilities on the same inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta import metrics
from gesta.bundle.manifest import Artifact, Measured, Parity
from gesta.tasks.base import Agreement, Examples

LARGEST = {"fp32": 1e-4, "fp16": 5e-2, "bf16": 5e-2, "int8": 1.0}
"""Largest permitted difference of a probability, by precision."""
AGREEMENT = {"fp32": 1.0, "fp16": 1.0, "bf16": 1.0, "int8": 0.99}
"""Required fraction of clips with the same top class, by precision."""
TIE = 1e-6
"""Classes whose probabilities differ by at most this are tied for the top: below float32 precision."""

Rows = Sequence[NDArray[Any]]
"""Per clip, its probabilities [K, N]: one row, or one per step of a stream; the last row is the answer."""


def compared(one: Rows, other: Rows) -> Parity:
    """Returns the largest difference of the probabilities and the fraction of clips with the same final top class.

    If classes are tied in `one`, any of them counts as the same.
    """
    difference = float(np.max([np.abs(a - b).max() for a, b in zip(one, other, strict=True)]))  # np.max propagates NaN
    same = [bool(a[-1].max() - a[-1][b[-1].argmax()] <= TIE) for a, b in zip(one, other, strict=True)]
    return Parity(clips=len(one), largest_difference=difference, top_class_agreement=float(np.mean(same)))


def passes(parity: Parity, precision: str) -> bool:
    """Returns whether enough top classes agree and all probabilities are within the tolerance of this precision."""
    enough = parity.top_class_agreement >= AGREEMENT[precision]
    return enough and parity.largest_difference <= LARGEST[precision]


def agreement(
    reference: Rows, other: Rows, examples: Examples, artifact: Artifact, labels: Sequence[str], timing: str | None
) -> Agreement:
    """Compares the probabilities of an artifact's networks with PyTorch's, and their accuracy on labeled inputs."""
    parity, precision = compared(reference, other), artifact.precision
    measured = Measured(clips=examples.source, bytes=0, **_accuracies(reference, other, examples, labels))
    words = (
        f"top class equal on {parity.top_class_agreement:.1%} of {parity.clips} {examples.source} clips (at least "
        f"{AGREEMENT[precision]:.0%} passes), probabilities differ by up to {parity.largest_difference:.3g} (at most "
        f"{LARGEST[precision]:g} passes)"
    )
    fields = {"parity": parity, "measured": measured}
    return Agreement(passes(parity, precision), fields, parity.largest_difference, words, timing)


def _accuracies(reference: Rows, other: Rows, examples: Examples, labels: Sequence[str]) -> dict[str, float]:
    """Returns the accuracy of both networks on the inputs whose label the model knows; empty if there are none."""
    rows = [i for i, label in enumerate(examples.truth) if label in labels]
    if not rows:
        return {}
    truth = np.array([labels.index(examples.truth[i]) for i in rows])
    found, expected = (np.array([side[i][-1].argmax() for i in rows]) for side in (other, reference))
    return {"accuracy": metrics.accuracy(truth, found), "accuracy_torch": metrics.accuracy(truth, expected)}
