"""What a trained network has to beat: guessing, the nearest training clip, the nearest class mean.

They are measured where the network is: on the validation part, or, where there is none, on training clips that are held
out in turn, by person where there are several. What is best is delivered, so that a training on few clips is never
worse than a lookup among them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gesta.clips.sampling import to_network
from gesta.clips.transform import Transform
from gesta.models.nearest import NearestNet, width_of
from gesta.schema import Sample
from gesta.tasks.clips.data import ClipSet
from gesta.tasks.clips.recipe import ModelSettings
from gesta.training.data import TrainingData

FEW = 10
"""Below this many training clips a class the network, too, is measured on held-out training clips where it must be."""
FOLDS = 3
KEPT = 4000
"""Training clips that are compared at most, spread over all of them."""


@dataclass(frozen=True)
class Baselines:
    """Accuracies on `clips` clips: of guessing, of the nearest neighbor, of the nearest class mean; `where` measured.

    NaN where nothing could be held out.
    """

    chance: float
    nearest_neighbor: float
    nearest_class_mean: float
    clips: int
    where: str

    @property
    def better(self) -> str:
        """The better lookup; the nearest neighbor where nothing could be measured."""
        return "nearest class mean" if self.nearest_class_mean > self.nearest_neighbor else "nearest neighbor"

    def delivers(self, network: float | None) -> str:
        """What is delivered beside a network of that accuracy; None: it was not measured on the same clips."""
        if not self.clips:
            return self.better
        best = max(self.nearest_neighbor, self.nearest_class_mean)
        return "network" if network is None or network >= best else self.better

    def document(self, network: float | None, delivered: str) -> dict[str, Any]:
        """For a bundle's metrics; `network`: the trained one's accuracy on the same clips, if it is known."""
        return {
            "chance": round(self.chance, 4),
            "nearest_neighbor": _or_none(self.nearest_neighbor),
            "nearest_class_mean": _or_none(self.nearest_class_mean),
            "network": _or_none(network),
            "clips": self.clips,
            "where": self.where,
            "delivered": delivered,
        }


@dataclass(frozen=True)
class Lookup:
    """The training clips as `series` [n, D] of classes `targets` [n], and what was `measured` by them."""

    measured: Baselines
    series: Tensor
    targets: Tensor
    classes: int
    transform: Transform

    def network(self) -> tuple[NearestNet, ModelSettings]:
        """The better of the two as a network, and the settings that build it."""
        means = self.measured.better == "nearest class mean"
        network = _kept(self.series, self.targets, self.classes, self.transform, means)
        return network, ModelSettings(name="nearest", examples=len(network.examples))


def look_up(data: TrainingData[ClipSet]) -> Lookup:
    """Compares the training clips with the validation part, or with each other where there is none."""
    train, val, classes = _plain(_spread(data.train)), _plain(data.val), len(data.train.labels)
    series, targets = _series(train)
    if len(val):
        asked, truth = _series(val)
        parts, where = [(series, targets, asked, truth)], "the validation part"
    else:
        pairs = held_out(train.samples)
        parts = [(series[rest], targets[rest], series[out], targets[out]) for rest, out in pairs]
        where = "training clips held out in turn"
    neighbor, mean = (_accuracy(parts, classes, train.transform, means) for means in (False, True))
    measured = Baselines(1 / classes, neighbor, mean, sum(len(part[3]) for part in parts), where)
    return Lookup(measured, series, targets, classes, train.transform)


def in_folds(data: TrainingData[ClipSet], accuracy: Callable[[int, TrainingData[ClipSet]], float]) -> float:
    """Mean accuracy on training clips, each held out once: `accuracy(fold, data of its training and validation)`."""
    found, clips = 0.0, data.train
    for fold, (rest, index) in enumerate(held_out(clips.samples, FOLDS)):
        train, val = (replace(clips, samples=[clips.samples[i] for i in part]) for part in (rest, index))
        part = TrainingData(train, _plain(val), data.batch, data.seed)
        found += accuracy(fold, part) * len(index)
    return found / len(clips)


def held_out(samples: Sequence[Sample], folds: int | None = None) -> list[tuple[list[int], list[int]]]:
    """[(the rest, what is held out)] as indices: a person, or the n-th clip of each class, in at most `folds` groups.

    Empty where no class has two clips.
    """
    people = sorted({s.subject for s in samples if s.subject is not None})
    if len(people) > 1 and all(s.subject is not None for s in samples):
        group = np.array([people.index(str(s.subject)) for s in samples])
    else:
        group = _number_in_class([str(s.label) for s in samples])
    group = group % folds if folds is not None else group
    if group.max() == 0:
        return []
    return [(_where(group != g), _where(group == g)) for g in np.unique(group)]


def _where(mask: NDArray[np.bool_]) -> list[int]:
    return [int(i) for i in np.flatnonzero(mask)]


def _number_in_class(labels: Sequence[str]) -> NDArray[np.int64]:
    seen: dict[str, int] = {}
    numbers = []
    for label in labels:
        numbers.append(seen.get(label, 0))
        seen[label] = numbers[-1] + 1
    return np.array(numbers)


def _plain(clips: ClipSet) -> ClipSet:
    """The same clips as they were recorded."""
    return ClipSet(clips.samples, clips.labels, clips.transform, clips.store)


def _spread(clips: ClipSet) -> ClipSet:
    step = -(-len(clips) // KEPT)
    return replace(clips, samples=clips.samples[::step])


def _series(clips: ClipSet) -> tuple[Tensor, Tensor]:
    """(numbers of each clip [n, D], its class [n])."""
    network, rows = _empty(clips.transform), []
    for index in range(len(clips)):
        clip, lengths = to_network([clips[index].pixels], clips.transform.chunk)
        with torch.inference_mode():
            rows.append(network.series(torch.from_numpy(clip), torch.from_numpy(lengths))[0])
    labels = list(clips.labels)
    return torch.stack(rows).clone(), torch.tensor([labels.index(str(s.label)) for s in clips.samples])


def _empty(transform: Transform, classes: int = 1) -> NearestNet:
    width = width_of(len(transform.streams), len(transform.planes))
    return NearestNet(classes=classes, examples=1, width=width, chunk=transform.chunk).eval()


def _kept(series: Tensor, targets: Tensor, classes: int, transform: Transform, means: bool) -> NearestNet:
    network = _empty(transform, classes)
    network.keep(series, targets, means=means)
    return network


def _accuracy(parts: Sequence[tuple[Tensor, ...]], classes: int, transform: Transform, means: bool) -> float:
    """Of (training series, their classes, series asked, their classes) the share that is right; NaN of none."""
    right = []
    for series, targets, asked, truth in parts:
        network = _kept(series, targets, classes, transform, means)
        right += (network.answer(asked).argmax(1) == truth).tolist()
    return float(np.mean(right)) if right else float("nan")


def _or_none(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else round(value, 4)
