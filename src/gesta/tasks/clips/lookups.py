"""Lookups among training clips: nearest neighbor and nearest class mean, of pixels and of skeletons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gesta.clips.sampling import to_network
from gesta.clips.transform import Transform
from gesta.models.nearest import Lookup
from gesta.schema import GestaError
from gesta.tasks.clips.data import ClipSet
from gesta.tasks.clips.facts import transform_for
from gesta.tasks.clips.network import fresh
from gesta.tasks.clips.recipe import ClipRecipe, SkeletonSettings
from gesta.tasks.clips.recipe_model import ModelSettings
from gesta.training.data import TrainingData

KEPT = 4000
"""Maximum number of training clips to compare with, spread over all of them."""
NEIGHBOR, MEAN = "nearest neighbor", "nearest class mean"
SKELETONS = " of skeletons"
Fold = tuple[Sequence[int], Sequence[int]]
"""Indices of training clips: (training, held out)."""


@dataclass(frozen=True)
class Examples:
    """Training clips to compare with; `name`: by what; `recipe` and `transform`: those of a bundle with them.

    `train`: at most KEPT training clips; `asked`: the validation part, possibly empty.
    """

    name: str
    recipe: ClipRecipe
    train: ClipSet
    asked: ClipSet

    @property
    def transform(self) -> Transform:
        return self.train.transform

    @cached_property
    def series(self) -> tuple[Tensor, Tensor]:
        """Series of the training clips, [M, P, w], and classes [M]."""
        return series_of(self.train)

    @cached_property
    def asked_series(self) -> tuple[Tensor, Tensor]:
        """Series and classes of the validation part."""
        return series_of(self.asked)

    def answers(self, folds: Sequence[Fold], *, means: bool) -> NDArray[np.float32]:
        """Returns probabilities [n, N] of the validation part, or with `folds` of the clips that each holds out."""
        if not folds:
            return self._answers(self.network(means=means), self.asked_series[0])
        series, targets = self.series
        found = [
            self._answers(self._network(series[list(rest)], targets[list(rest)], means), series[list(out)])
            for rest, out in folds
        ]
        return np.concatenate(found)

    def network(self, *, means: bool) -> Lookup:
        """Returns the lookup among all the training clips."""
        return self._network(*self.series, means)

    def bundle_recipe(self, network: Lookup) -> ClipRecipe:
        """Returns the recipe that builds that lookup."""
        return self.recipe.model_copy(update={"model": ModelSettings(name="nearest", examples=len(network.examples))})

    def _network(self, series: Tensor, targets: Tensor, means: bool) -> Lookup:
        network = empty(self.transform, len(self.train.labels))
        network.keep(series, targets, means=means)
        return network

    @staticmethod
    def _answers(network: Lookup, series: Tensor) -> NDArray[np.float32]:
        with torch.inference_mode():
            parts = [network.answer(part).softmax(-1) for part in series.split(16)]
        return torch.cat(parts).numpy()


def examples_of(recipe: ClipRecipe, data: TrainingData[ClipSet]) -> list[Examples]:
    """Returns examples by the network's input and, with pixels, also by skeletons if every clip has a readable one."""
    train, asked = plain(data.train), plain(data.val)
    train = replace(train, samples=train.samples[:: -(-len(train) // KEPT)])
    if train.transform.skeleton is not None:
        whole = train.transform.model_copy(
            update={"sampling": "whole", "chunk": Transform.model_fields["chunk"].default}
        )
        return [Examples("", recipe, seen_by(whole, train), seen_by(whole, asked))]
    found = [Examples("", recipe, train, asked)]
    if all(s.skeleton is not None for s in (*train.samples, *asked.samples)):
        try:
            found.append(_of_skeletons(recipe, train, asked))
            _ = found[-1].series, found[-1].asked_series
        except GestaError:
            del found[1:]
    return found


def _of_skeletons(recipe: ClipRecipe, train: ClipSet, asked: ClipSet) -> Examples:
    recipe = of_skeletons(recipe)
    transform = transform_for(recipe, train.samples)
    return Examples(SKELETONS, recipe, seen_by(transform, train), seen_by(transform, asked))


def of_skeletons(recipe: ClipRecipe) -> ClipRecipe:
    """Returns the recipe of a lookup among the skeletons beside the pixels."""
    given = {"streams": ("skeleton",), "channels": (), "body": "frame", "skeleton": SkeletonSettings()}
    seen = recipe.input.model_copy(update=given)
    return recipe.model_copy(update={"input": seen, "model": ModelSettings(name="nearest")})


def plain(clips: ClipSet) -> ClipSet:
    """Returns the same clips as recorded."""
    return seen_by(clips.transform, clips)


def seen_by(transform: Transform, clips: ClipSet) -> ClipSet:
    """Returns the same clips, as recorded, through another transform."""
    return ClipSet(clips.samples, clips.labels, transform, clips.store)


def series_of(clips: ClipSet) -> tuple[Tensor, Tensor]:
    """Returns (features of each clip [n, P, w], its class [n])."""
    network, labels = empty(clips.transform), list(clips.labels)
    rows = [network.series(*batch_of(clips, index))[0] for index in range(len(clips))]
    targets = torch.tensor([labels.index(str(s.label)) for s in clips.samples], dtype=torch.int64)
    return torch.stack(rows) if rows else network.examples[:0], targets


def batch_of(clips: ClipSet, index: int) -> tuple[Tensor, Tensor]:
    """Returns one clip as a batch: the network's input, and its length."""
    clip, lengths = to_network([clips[index].pixels], clips.transform.chunk)
    return torch.from_numpy(clip), torch.from_numpy(lengths)


def empty(transform: Transform, classes: int = 1) -> Lookup:
    """Returns a lookup without examples, for clips of a transform."""
    network = fresh({"name": "nearest"}, transform, classes).eval()
    assert isinstance(network, Lookup)
    return network
