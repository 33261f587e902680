"""Whether an exported classifier says what PyTorch says: top classes and probabilities on the same inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta import metrics
from gesta.bundle.manifest import Artifact, Measured, Parity
from gesta.tasks.base import Agreement, Examples

LARGEST = {"fp32": 1e-4, "fp16": 5e-2, "bf16": 5e-2, "int8": 1.0}
"""Largest difference of a probability that passes, by precision."""
AGREEMENT = {"fp32": 1.0, "fp16": 1.0, "bf16": 1.0, "int8": 0.99}
"""Share of clips whose top class must agree, by precision."""
TIE = 1e-6
"""Classes whose probabilities are that close are both the top class: float32 does not tell them apart."""

Rows = Sequence[NDArray[Any]]
"""Of each clip its probabilities [K, N]: one row, or one a step of a stream; the last is the answer."""


def compared(one: Rows, other: Rows) -> Parity:
    """The largest difference of the probabilities and the share of clips with the same top class at their end.

    Where `one` has a tie of classes, either is the same.
    """
    difference = float(np.max([np.abs(a - b).max() for a, b in zip(one, other, strict=True)]))  # keeps a NaN
    same = [bool(a[-1].max() - a[-1][b[-1].argmax()] <= TIE) for a, b in zip(one, other, strict=True)]
    return Parity(clips=len(one), largest_difference=difference, top_class_agreement=float(np.mean(same)))


def passes(parity: Parity, precision: str) -> bool:
    """Whether enough top classes agree and no probability differs too much, for this precision."""
    enough = parity.top_class_agreement >= AGREEMENT[precision]
    return enough and parity.largest_difference <= LARGEST[precision]


def agreement(
    reference: Rows, other: Rows, examples: Examples, artifact: Artifact, labels: Sequence[str], timing: str | None
) -> Agreement:
    """How the probabilities of an artifact's networks agree with PyTorch's, and what both reach on labeled inputs."""
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
    """Of both networks on the inputs whose label the model knows; nothing where there are none."""
    rows = [i for i, label in enumerate(examples.truth) if label in labels]
    if not rows:
        return {}
    truth = np.array([labels.index(examples.truth[i]) for i in rows])
    found, expected = (np.array([side[i][-1].argmax() for i in rows]) for side in (other, reference))
    return {"accuracy": metrics.accuracy(truth, found), "accuracy_torch": metrics.accuracy(truth, expected)}
