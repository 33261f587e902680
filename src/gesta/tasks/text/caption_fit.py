"""Training a captioning model on stored features and captions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from gesta.models.captions import CaptionNet
from gesta.schema import GestaError
from gesta.tasks.base import Parts
from gesta.tasks.text.batches import Arranged, Batch, following
from gesta.tasks.text.caption_data import Described, Features, sources
from gesta.tasks.text.fit import TextData, bundled
from gesta.tasks.text.glosses import GlossLearner, gloss_batch, known_glosses
from gesta.tasks.text.manifest import CaptionManifest, FeatureUse, KnownTokens
from gesta.tasks.text.recipe import CaptionRecipe, VectorRecipe
from gesta.tasks.text.translate_fit import TranslationLearner, learned
from gesta.tasks.text.vocabulary import Vocabulary, words
from gesta.training.checkpoints import seed_everything
from gesta.training.figure import FIGURE, draw_history
from gesta.training.run import Fitted, Run, clear

Text = NDArray[np.int64]
FEWEST_STEPS, MOST_HALVINGS = 20, 2
"""Halvings leave this many steps of a usual video; up to twelve glosses of a sentence must fit."""
R = TypeVar("R", CaptionRecipe, VectorRecipe)


class CaptionLearner(GlossLearner, TranslationLearner):
    """Predicts the next word, and the glosses."""


class CaptionSet(Arranged):
    """Batches of videos of similar length, each with one of its captions and with its glosses.

    The caption is drawn by (seed, epoch); without a seed it is the first one. source float32 [S, B, D], lengths [B],
    inputs, targets and mask [T, B], glosses [B, G] and gloss_lengths [B].
    """

    glosses: Sequence[Sequence[int]]

    def __init__(
        self, videos: Sequence[Features], captions: Sequence[Sequence[Text]], batch: int, end: int, seed: int | None
    ) -> None:
        super().__init__([len(video) for video in videos], batch, shuffle=seed is not None, seed=seed or 0)
        self.videos, self.captions, self.end = videos, captions, end

    def drawn(self, row: int) -> Text:
        """Return the caption of a video in this epoch."""
        texts = self.captions[row]
        return (
            texts[0]
            if not self.shuffle
            else texts[int(np.random.default_rng([self.seed, self.epoch, row]).integers(len(texts)))]
        )

    def collate(self, items: Sequence[int]) -> Batch:
        (index,) = items
        rows = self.rows(index)
        return {
            **sources([self.videos[row] for row in rows]),
            **following([self.drawn(row) for row in rows], self.end),
            **gloss_batch([self.glosses[row] for row in rows]),
        }


def known_words(samples: Sequence[Described], minimum_count: int) -> Vocabulary:
    """Return the vocabulary of the training captions."""
    return words((c.split() for s in samples for c in s.captions), minimum_count=minimum_count)


def most_frequent(samples: Sequence[Described]) -> str:
    """Return the most frequent caption; ties are broken alphabetically."""
    counts = Counter(caption for sample in samples for caption in sample.captions)
    return min(counts, key=lambda caption: (-counts[caption], caption))


def features_of(samples: Sequence[Described]) -> tuple[list[Features], FeatureUse]:
    """Return the videos' stored features, and their description. Raises GestaError if not stored or not vectors."""
    folder = samples[0].folder
    if folder is None:
        raise GestaError("Training needs stored features: gesta features DATA --out FEATURES, then train on FEATURES.")
    if not folder.recipe.pooled:
        raise GestaError(
            f"{folder.folder}: contains feature maps, but vectors are needed. Compute the features without --maps."
        )
    videos = [sample.features() for sample in samples]
    widths = {video.shape[1] for video in videos}
    if len(widths) > 1:
        raise GestaError(
            f"{folder.folder}: feature vectors have different lengths: {', '.join(map(str, sorted(widths)))}."
        )
    usual = int(np.median([len(video) for video in videos]))
    return videos, FeatureUse(recipe=folder.recipe, width=widths.pop(), usual=usual)


def with_halvings(recipe: R, use: FeatureUse) -> tuple[R, tuple[str, ...]]:
    """Return the recipe with `model.halvings` as a number, and a note on what was chosen."""
    if recipe.model.halvings != "auto":
        return recipe, ()
    times = max(0, min(MOST_HALVINGS, int(np.log2(use.usual / FEWEST_STEPS))))
    note = f"model.halvings {times}: a video usually has {use.usual} features."
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"halvings": times})}), (note,)


def fit(parts: Parts, recipe: CaptionRecipe, run: Run) -> Fitted:
    """Train the model; write the bundle to run.out/bundle and a plot of the history."""
    clear(run)
    seed_everything(run.seed)
    train, val = parts.of("train"), parts.of("val")
    if not train:
        raise GestaError(f"{parts.listing.root}: no recording in the training part has a caption.")
    videos, use = features_of(train)
    recipe, picked = with_halvings(recipe, use)
    vocabulary = known_words(train, recipe.input.minimum_count)
    network = CaptionNet(features=use.width, target_tokens=len(vocabulary), **recipe.model.model_dump())
    network.fit_statistics(torch.from_numpy(np.concatenate(videos)))
    glosses = known_glosses(train)
    data = TextData(
        captioned(train, videos, vocabulary, glosses, recipe.training.batch, run.seed),
        captioned(val, features_of(val)[0] if val else [], vocabulary, glosses, recipe.training.batch, None),
        run.seed,
    )
    learner = partial(CaptionLearner, network, recipe.training, glosses=len(glosses))
    best, history = learned(network, recipe, run, data, learner, videos=[s.identity for s in train])
    draw_history(history, run.out / FIGURE, recipe.title, ("loss", "perplexity"))
    fields: dict[str, Any] = {"features": use, "target": KnownTokens.of(vocabulary), "frequent": most_frequent(train)}
    return replace(bundled(parts, recipe, run, CaptionManifest, network, best, history, fields), picked=picked)


S = TypeVar("S", bound=CaptionSet)


def captioned(
    samples: Sequence[Described],
    videos: Sequence[Features],
    vocabulary: Vocabulary,
    glosses: Mapping[str, int],
    batch: int,
    seed: int | None,
    kind: type[S] = CaptionSet,  # type: ignore[assignment]
) -> S:
    """Return videos with their captions and glosses as numbers; unknown glosses are left out."""
    assert vocabulary.end is not None
    texts = [[vocabulary.sentence(caption.split()) for caption in sample.captions] for sample in samples]
    made = kind(videos, texts, batch, vocabulary.end, seed)
    made.glosses = [[glosses[gloss] for gloss in sample.glosses if gloss in glosses] for sample in samples]
    return made
