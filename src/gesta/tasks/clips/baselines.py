"""Baselines for a trained network, and the choice between the candidates.

Chance, the nearest training clip and the nearest class mean, of pixels and (if available) of skeletons, are evaluated
on the same clips as the network: the validation part or, without one, held-out training clips, split by person if there
are several. With few clips per class a metric-trained embedding is evaluated too, and the vote of each network with the
nearest neighbor. The best candidate is delivered, so that a training is never worse than a lookup.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gesta.models.nearest_vote import SHARE
from gesta.schema import Sample
from gesta.tasks.clips.data import ClipSet
from gesta.tasks.clips.lookups import MEAN, NEIGHBOR, SKELETONS, Examples, Fold, batch_of
from gesta.tasks.clips.recipe import Candidate

FEW = 10
"""Below this many training clips per class, embeddings and votes are candidates, evaluated on held-out clips."""
FOLDS = 3
NETWORK, EMBEDDING, VOTE = "network", "embedding", " with nearest neighbor"
FITS = 0.8
"""With one clip per class: a network with a lower accuracy on its own, augmented training clips is ignored."""
PREFERRED: tuple[str, ...] = get_args(Candidate)

Answers = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Comparison:
    """Accuracies by candidate on `clips` clips from `where`; empty if nothing could be held out.

    `settled`: candidate to deliver regardless of the accuracies, if they are missing or incomplete.
    """

    classes: int
    accuracies: Mapping[str, float]
    clips: int
    where: str
    settled: str | None = None

    @property
    def delivered(self) -> str:
        """The settled candidate, otherwise the best."""
        if self.settled is not None:
            return self.settled
        best = max(self.accuracies.values())
        ties = [name for name, accuracy in self.accuracies.items() if accuracy == best]
        return min(ties, key=PREFERRED.index)

    @property
    def document(self) -> dict[str, Any]:
        """Plain values for a bundle's metrics."""
        shown = {name.replace(" ", "_"): round(float(value), 4) for name, value in self.accuracies.items()}
        return {
            "chance": round(1 / self.classes, 4),
            "nearest_neighbor": None,
            "nearest_class_mean": None,
            NETWORK: None,
            **shown,
            "clips": self.clips,
            "where": self.where,
            "delivered": self.delivered,
        }


def comparison(
    answers: Mapping[str, Answers], asked: Sequence[Sample], labels: Sequence[str], **told: Any
) -> Comparison:
    """Compares the candidates' probabilities for the samples `asked`."""
    truth = np.array([list(labels).index(str(s.label)) for s in asked])
    accuracies = {name: float((found.argmax(1) == truth).mean()) for name, found in answers.items() if len(truth)}
    return Comparison(len(labels), accuracies, len(truth), **told)


def all_right(answers: Answers, asked: Sequence[Sample], labels: Sequence[str]) -> bool:
    """Returns whether the most probable class is correct for every sample."""
    return comparison({NETWORK: answers}, asked, labels, where="").accuracies.get(NETWORK) == 1.0


def lookups(examples: Sequence[Examples], folds: Sequence[Fold]) -> dict[str, Answers]:
    """Returns lookup probabilities on the validation part, or on the held-out clips of the folds."""
    return {name + seen.name: seen.answers(folds, means=name == MEAN) for seen in examples for name in (NEIGHBOR, MEAN)}


def voted(answers: Mapping[str, Answers]) -> dict[str, Answers]:
    """Returns the votes of trained networks with the nearest neighbor."""
    return {
        name + VOTE: SHARE * answers[name] + (1 - SHARE) * answers[NEIGHBOR]
        for name in (NETWORK, EMBEDDING)
        if name in answers
    }


def unmeasured(examples: Sequence[Examples], fits: float) -> str:
    """Returns what to deliver if nothing can be held out; `fits`: the network's accuracy on its training clips.

    Prefers skeletons if there are any beside pixels: with one clip per class they were far better (docs/results.md).
    """
    if any(seen.name == SKELETONS for seen in examples):
        return NEIGHBOR + SKELETONS
    return NETWORK + VOTE if fits >= FITS else NEIGHBOR


def answers_of(network: nn.Module, clips: ClipSet) -> Answers:
    """Returns probabilities [n, N] of clips as the set returns them."""
    network.eval()
    with torch.inference_mode():
        rows = [network(*batch_of(clips, index)).float().softmax(-1)[0].numpy() for index in range(len(clips))]
    return np.stack(rows)


def accuracy_of(network: nn.Module, clips: ClipSet) -> float:
    """Returns the network's accuracy on the clips."""
    return comparison({NETWORK: answers_of(network, clips)}, clips.samples, clips.labels, where="").accuracies[NETWORK]


def held_out(samples: Sequence[Sample], folds: int) -> list[Fold]:
    """Returns at most `folds` pairs of indices (training, held out): by person, or every n-th clip of each class.

    A clip is held out at most once, and only if its class remains in the training indices; by person, if that holds out
    at least half of the clips. Empty if no class has two clips.
    """
    people = sorted({s.subject for s in samples if s.subject is not None})
    labels = np.array([str(s.label) for s in samples])
    if len(people) > 1 and all(s.subject is not None for s in samples):
        found = _folds(np.array([people.index(str(s.subject)) for s in samples]) % folds, labels)
        if 2 * sum(len(out) for _, out in found) >= len(samples):
            return found
    return _folds(_number_in_class(list(labels)) % folds, labels)


def _folds(group: NDArray[np.int64], labels: NDArray[np.str_]) -> list[Fold]:
    found: list[Fold] = []
    for number in np.unique(group):
        rest = group != number
        out = ~rest & np.isin(labels, labels[rest])
        if out.any():
            found.append((_where(rest), _where(out)))
    return found


def _where(mask: NDArray[np.bool_]) -> list[int]:
    return [int(i) for i in np.flatnonzero(mask)]


def _number_in_class(labels: Sequence[str]) -> NDArray[np.int64]:
    seen: dict[str, int] = {}
    numbers = []
    for label in labels:
        numbers.append(seen.get(label, 0))
        seen[label] = numbers[-1] + 1
    return np.array(numbers)
