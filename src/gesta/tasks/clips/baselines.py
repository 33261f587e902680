"""What a trained network has to beat, and the choice between them.

Guessing, the nearest training clip and the nearest class mean, of pixels and of skeletons where there are some, are
measured where the network is: on the validation part, or, where there is none, on training clips that are held out, by
person where there are several. With few clips per class a metric-trained embedding is measured beside it,
and the vote of each with the nearest neighbor. The best of all is delivered, so that a training is never worse than a
lookup.
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
"""Below this many training clips per class embeddings and votes are candidates, and measured on held-out clips."""
FOLDS = 3
NETWORK, EMBEDDING, VOTE = "network", "embedding", " with nearest neighbor"
FITS = 0.8
"""One clip a class: a network that does not recognize this share of its own, augmented training clips has no say."""
PREFERRED: tuple[str, ...] = get_args(Candidate)

Answers = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Comparison:
    """Accuracies by candidate on `clips` clips, `where` they come from; empty where nothing could be held out.

    `settled`: what is delivered whatever was measured: where nothing was, or not all that it is about.
    """

    classes: int
    accuracies: Mapping[str, float]
    clips: int
    where: str
    settled: str | None = None

    @property
    def delivered(self) -> str:
        """What was settled, else the best candidate."""
        if self.settled is not None:
            return self.settled
        best = max(self.accuracies.values())
        ties = [name for name, accuracy in self.accuracies.items() if accuracy == best]
        return min(ties, key=PREFERRED.index)

    @property
    def document(self) -> dict[str, Any]:
        """For a bundle's metrics."""
        shown = {name.replace(" ", "_"): round(float(value), 4) for name, value in self.accuracies.items()}
        head = {"chance": round(1 / self.classes, 4), "nearest_neighbor": None, "nearest_class_mean": None}
        tail = {"clips": self.clips, "where": self.where, "delivered": self.delivered}
        return {**head, NETWORK: None, **shown, **tail}


def comparison(
    answers: Mapping[str, Answers], asked: Sequence[Sample], labels: Sequence[str], **told: Any
) -> Comparison:
    """Of probabilities by candidate for the samples `asked`."""
    truth = np.array([list(labels).index(str(s.label)) for s in asked])
    accuracies = {name: float((found.argmax(1) == truth).mean()) for name, found in answers.items() if len(truth)}
    return Comparison(len(labels), accuracies, len(truth), **told)


def all_right(answers: Answers, asked: Sequence[Sample], labels: Sequence[str]) -> bool:
    """Whether the likeliest class is the true one for every sample."""
    return comparison({NETWORK: answers}, asked, labels, where="").accuracies.get(NETWORK) == 1.0


def lookups(examples: Sequence[Examples], folds: Sequence[Fold]) -> dict[str, Answers]:
    """Probabilities by lookup, on the validation part or on what the folds hold out."""
    return {name + seen.name: seen.answers(folds, means=name == MEAN) for seen in examples for name in (NEIGHBOR, MEAN)}


def voted(answers: Mapping[str, Answers]) -> dict[str, Answers]:
    """The votes of what has learned with the nearest neighbor."""
    return {
        name + VOTE: SHARE * answers[name] + (1 - SHARE) * answers[NEIGHBOR]
        for name in (NETWORK, EMBEDDING)
        if name in answers
    }


def unmeasured(examples: Sequence[Examples], fits: float) -> str:
    """What is delivered where nothing can be held out; `fits`: share of its training clips that the network knows.

    Skeletons, where there are some beside pixels: with one clip a class they were far ahead (docs/results.md).
    """
    if any(seen.name == SKELETONS for seen in examples):
        return NEIGHBOR + SKELETONS
    return NETWORK + VOTE if fits >= FITS else NEIGHBOR


def answers_of(network: nn.Module, clips: ClipSet) -> Answers:
    """Probabilities [n, N] of clips as they come out of the set."""
    network.eval()
    with torch.inference_mode():
        rows = [network(*batch_of(clips, index)).float().softmax(-1)[0].numpy() for index in range(len(clips))]
    return np.stack(rows)


def accuracy_of(network: nn.Module, clips: ClipSet) -> float:
    """Share of the clips that the network recognizes."""
    return comparison({NETWORK: answers_of(network, clips)}, clips.samples, clips.labels, where="").accuracies[NETWORK]


def held_out(samples: Sequence[Sample], folds: int) -> list[Fold]:
    """[(the rest, what is held out)] as indices: by person, or every n-th clip of each class, in at most `folds`.

    A clip is held out at most once, and only where the rest has its class: by person, if that leaves half of them.
    Empty where no class has two clips.
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
