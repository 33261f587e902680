"""Training vectors of videos on stored features: with captions, with classes, or by reconstruction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gesta.models.video2vec import VideoVectors
from gesta.schema import GestaError
from gesta.tasks.base import Parts
from gesta.tasks.text.batches import Batch, padded
from gesta.tasks.text.caption_data import sources
from gesta.tasks.text.caption_fit import CaptionSet, captioned, features_of, known_words, with_halvings
from gesta.tasks.text.fit import TextData, bundled, learned
from gesta.tasks.text.glosses import GlossLearner, gloss_batch, known_glosses
from gesta.tasks.text.manifest import KnownTokens, VectorManifest
from gesta.tasks.text.recipe import VectorRecipe
from gesta.training.checkpoints import seed_everything
from gesta.training.figure import FIGURE, draw_history
from gesta.training.run import Fitted, Run, clear
from gesta.words import counted


class VectorSet(CaptionSet):
    """Videos, each with a caption and its class: source, lengths, text, text_lengths, same [B, B], class [B], and the
    glosses of CaptionSet."""

    classes: Sequence[int]

    def rows(self, index: int) -> NDArray[np.int64]:
        """Return random videos, not ones of similar length: only videos that share a batch are told apart."""
        order = np.random.default_rng([self.seed, self.epoch if self.shuffle else 0]).permutation(len(self.videos))
        return order[index * self.batch : (index + 1) * self.batch]

    def collate(self, items: Sequence[int]) -> Batch:
        (index,) = items
        rows = self.rows(index)
        texts = [self.drawn(row) for row in rows]
        same = [[np.array_equal(one, other) for other in texts] for one in texts]
        return {
            **sources([self.videos[row] for row in rows]),
            "text": padded(texts, self.end)[0],
            "text_lengths": np.array([len(text) for text in texts], np.int64),
            "same": np.array(same),
            "class": np.array([self.classes[row] for row in rows], np.int64),
            **gloss_batch([self.glosses[row] for row in rows]),
        }


class VectorLearner(GlossLearner):
    """A loss per video."""

    encoder = "video.encoder"

    def nats(self, network: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        assert isinstance(network, VideoVectors)
        losses = network.losses(dict(batch))
        return losses, torch.ones_like(losses)


def fit(parts: Parts, recipe: VectorRecipe, run: Run) -> Fitted:
    """Train the model; write the bundle to run.out/bundle and a plot of the history.

    Raises GestaError if classes are to be learned and there are fewer than two.
    """
    clear(run)
    seed_everything(run.seed)
    train, labels = parts.of("train"), sorted({s.label for s in parts.of("train") if s.label is not None})
    if recipe.objective == "classes" and len(labels) < 2:
        raise GestaError(
            f"{parts.listing.root}: the training part has {counted(len(labels), 'class', 'classes')}; at least two "
            "are needed."
        )
    val = [s for s in parts.of("val") if recipe.objective != "classes" or s.label in labels]
    videos, use = features_of(train)
    recipe, picked = with_halvings(recipe, use)
    vocabulary = known_words(train, recipe.input.minimum_count)
    network = VideoVectors(
        objective=recipe.objective,
        features=use.width,
        tokens=len(vocabulary),
        classes=len(labels),
        **recipe.model.model_dump(),
    )
    network.fit_statistics(torch.from_numpy(np.concatenate(videos)))
    glosses, sets = known_glosses(train), []
    for samples, seed in ((train, run.seed), (val, None)):
        features = videos if samples is train else features_of(samples)[0] if samples else []
        made = captioned(samples, features, vocabulary, glosses, recipe.training.batch, seed, VectorSet)
        made.classes = [labels.index(s.label) if s.label in labels else 0 for s in samples]
        sets.append(made)
    learner = partial(VectorLearner, network, recipe.training, glosses=len(glosses))
    data = TextData(sets[0], sets[1], run.seed)
    best, history = learned(network, recipe, run, data, learner, videos=[s.identity for s in train])
    draw_history(history, run.out / FIGURE, recipe.title, ("loss",))
    known = KnownTokens.of(vocabulary) if recipe.objective == "captions" else None
    fields = {"features": use, "known": known}
    return replace(bundled(parts, recipe, run, VectorManifest, network, best, history, fields), picked=picked)
