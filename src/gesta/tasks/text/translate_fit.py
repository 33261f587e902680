"""Training an encoder-decoder on sentence pairs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from gesta.models.translation import TranslationNet
from gesta.tasks.base import Parts
from gesta.tasks.text.fit import TextData, TokenLearner, bundled, learned
from gesta.tasks.text.manifest import KnownTokens, TranslationManifest
from gesta.tasks.text.pairs import PairCorpus, PairSet, corpus_of
from gesta.tasks.text.recipe import TranslationRecipe
from gesta.training.checkpoints import seed_everything
from gesta.training.figure import FIGURE, draw_history
from gesta.training.learner import Row
from gesta.training.run import Fitted, Run, clear


class TranslationLearner(TokenLearner):
    """Predicts the next target word, with label smoothing in training."""

    def nats(self, network: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        logits = network(batch["source"], batch["lengths"], batch["inputs"])  # T B V
        smoothing = self.settings.label_smoothing if self.training else 0.0
        nats = F.cross_entropy(
            logits.flatten(0, 1), batch["targets"].flatten(), reduction="none", label_smoothing=smoothing
        )
        return nats.view_as(batch["targets"]), batch["mask"]


def fit_translation(corpus: PairCorpus, recipe: TranslationRecipe, run: Run) -> tuple[TranslationNet, Row, list[Row]]:
    """Train on the training pairs, as `learned` does."""
    seed_everything(run.seed)
    source, target = len(corpus.source), len(corpus.target)
    network = TranslationNet(source_tokens=source, target_tokens=target, **recipe.model.model_dump())
    end, batch = corpus.target.end, recipe.training.batch
    assert end is not None
    train = PairSet(corpus.parts["train"], batch, end, shuffle=True, seed=run.seed)
    val = PairSet(corpus.parts["val"], batch, end)
    learner = partial(TranslationLearner, network, recipe.training)
    return network, *learned(network, recipe, run, TextData(train, val, run.seed), learner, pairs=corpus.folder)


def fit(parts: Parts, recipe: TranslationRecipe, run: Run) -> Fitted:
    """Train the model; write the bundle to run.out/bundle and a plot of the history."""
    clear(run)
    corpus = corpus_of(parts.listing, recipe.input)
    network, best, history = fit_translation(corpus, recipe, run)
    draw_history(history, run.out / FIGURE, recipe.title, ("loss", "perplexity"))
    fields = {"source": KnownTokens.of(corpus.source), "target": KnownTokens.of(corpus.target)}
    return bundled(parts, recipe, run, TranslationManifest, network, best, history, fields)
