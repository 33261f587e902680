"""Training language models: truncated backpropagation through time with carried state, or sentence by sentence."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from gesta.bundle.manifest import Manifest
from gesta.models.language import LanguageNet
from gesta.schema import GestaError
from gesta.tasks.base import Parts
from gesta.tasks.text.batches import Sentences, Stream
from gesta.tasks.text.corpus import Corpus, corpus_of
from gesta.tasks.text.manifest import NGRAM, KnownTokens, LanguageManifest
from gesta.tasks.text.ngram import KneserNey
from gesta.tasks.text.recipe import LanguageRecipe, TextTrainingSettings
from gesta.tasks.text.scoring import mixed_nats, text_hash, token_nats
from gesta.tasks.text.vectors import read_vectors
from gesta.tasks.text.vocabulary import Vocabulary
from gesta.training.checkpoints import full_disk_explained, seed_everything
from gesta.training.data import TrainingData
from gesta.training.figure import FIGURE, draw_history
from gesta.training.learner import Learner, Row
from gesta.training.optim import optimizer_for
from gesta.training.run import Fitted, Run, clear
from gesta.training.save import provenance_of, write_bundle
from gesta.training.stage import Stage, run_stage

Examples = Stream | Sentences
WARM_UP = 100
"""Updates until the learning rate reaches its full value."""


class TextData(TrainingData[Any]):
    """Batches in the set's own order: carrying the state requires it, and sentence sets shuffle themselves."""

    def __init__(self, train: Any, val: Any, seed: int) -> None:
        super().__init__(train, val, 1, seed)

    def train_dataloader(self) -> DataLoader[Any]:
        return self._loader(self.train, shuffle=False)


class TokenLearner(Learner):
    """A loss per token, and a running mean of the weights; subclasses implement `nats`.

    `network` is evaluated and saved. With `averaging` it is the running mean of `trained`, which learns; otherwise both
    are the same.
    """

    def __init__(self, network: nn.Module, settings: TextTrainingSettings, steps: int) -> None:
        super().__init__(network, settings, steps=steps)
        self.trained = copy.deepcopy(network) if settings.averaging else network

    def nats(self, network: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the loss of every target [T, B], and the mask of those that count [T, B]."""
        raise NotImplementedError

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        return self._mean("train", *self.nats(self.trained, batch))

    def validate(self, batch: Mapping[str, Tensor]) -> Tensor:
        return self._mean("val", *self.nats(self.network, batch))

    def _mean(self, part: str, nats: Tensor, mask: Tensor) -> Tensor:
        count = int(mask.sum())
        loss = (nats * mask).sum() / count
        self.count(part, count, loss)
        return loss

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:  # noqa: ARG002
        return {name: torch.as_tensor(value) for name, value in batch.items()}

    @torch.no_grad()
    def on_train_batch_end(self, *_: Any) -> None:
        if self.trained is self.network:
            return
        old = min(self.settings.averaging, (1 + self.global_step) / (10 + self.global_step))  # early weights count less
        for mean, weight in zip(self.network.parameters(), self.trained.parameters(), strict=True):
            mean.lerp_(weight, 1 - old)
        for statistics, newest in zip(self.network.buffers(), self.trained.buffers(), strict=True):
            statistics.copy_(newest)

    def epoch_row(self) -> Row:
        row = super().epoch_row()
        for part in ("train", "val"):
            if f"{part}_loss" in row:
                row |= rates(row[f"{part}_loss"], f"{part}_")
        return row

    def words(self, row: Row) -> str:
        told = f"train {row['train_loss']:.4f} nats"
        return f"{told}  val {row['val_loss']:.4f}" if "val_loss" in row else told

    def learned(self) -> Iterable[nn.Parameter]:
        """Return the parameters that are trained."""
        return self.trained.parameters()

    def configure_optimizers(self) -> Any:
        optimizer = optimizer_for(self.learned(), self.settings)
        if self.settings.schedule == "constant":
            return optimizer
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(cosine, steps=self.steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def cosine(step: int, steps: int) -> float:
    """Return the factor of the learning rate: linear warm-up, then half a cosine down to 0.

    The warm-up takes WARM_UP updates, or a tenth of all updates if that is fewer.
    """
    rise = max(1, min(WARM_UP, steps // 10))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * min(1, (step - rise) / max(1, steps - rise))))


class LanguageLearner(TokenLearner):
    """Predicts the next token of a running text or of sentences; the state is carried until a batch sets `first`."""

    def __init__(self, network: LanguageNet, settings: TextTrainingSettings, steps: int) -> None:
        super().__init__(network, settings, steps)
        self._state: Any = None

    def nats(self, network: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        assert isinstance(network, LanguageNet)
        if batch["first"] or self._state is None:
            self._state = network.start(batch["inputs"].shape[1])
        features, state = network(batch["inputs"], self._state)
        self._state = tuple(part.detach() for part in state)  # gradients go back to the start of the batch
        return network.nats(features, batch["targets"]), batch["mask"]


class Scored:
    """A trained network as `gesta.tasks.text.scoring` takes it, in eval mode."""

    def __init__(self, network: LanguageNet) -> None:
        self.network = network.eval()

    def start(self, batch: int) -> Any:
        return self.network.start(batch)

    @torch.no_grad()
    def steps(self, tokens: NDArray[np.int64], state: Any) -> tuple[NDArray[np.float32], Any]:
        features, state = self.network(torch.from_numpy(tokens), state)
        return self.network.log_probabilities(features).numpy(), state


def rates(nats: float, prefix: str = "") -> dict[str, float]:
    """Return a mean loss in nats as the reported values: nats, bits, perplexity."""
    return {
        f"{prefix}loss": nats,
        f"{prefix}bits": nats / math.log(2),
        f"{prefix}perplexity": math.exp(min(nats, 700.0)),
    }


def build(recipe: LanguageRecipe, vocabulary: Vocabulary) -> LanguageNet:
    """Build the recipe's untrained network. Raises GestaError if its cutoffs do not fit the vocabulary."""
    if recipe.model.cutoffs and not 0 < max(recipe.model.cutoffs) < len(vocabulary):
        raise GestaError(
            f"model.cutoffs {list(recipe.model.cutoffs)}: must be smaller than the vocabulary of {len(vocabulary)}."
        )
    network = LanguageNet(tokens=len(vocabulary), **recipe.model.network)
    if recipe.input.vectors is not None:
        start_from(network, vocabulary, Path(recipe.input.vectors))
    return network


@torch.no_grad()
def start_from(network: LanguageNet, vocabulary: Vocabulary, path: Path) -> int:
    """Initialize the embedding from a file of vectors, rescaled to the embedding's scale.

    Words without a vector keep their initial one. Returns how many words had a vector. Raises GestaError for a
    different width, if no word has a vector, and as `read_vectors` does.
    """
    vectors = read_vectors(path, set(vocabulary.tokens))
    width = network.embedding.embedding_dim
    if vectors.width != width:
        raise GestaError(
            f"{path}: its vectors have {vectors.width} numbers, the recipe's embedding {width}. Set "
            f"model.embedding={vectors.width}, or give other vectors."
        )
    rows, there = vectors.rows(vocabulary.tokens)
    scale = network.embedding.weight.std() / max(float(rows[there].std()), 1e-12)
    network.embedding.weight[torch.from_numpy(there)] = torch.from_numpy(rows[there]) * scale
    return int(there.sum())


def fit_language(corpus: Corpus, recipe: LanguageRecipe, run: Run) -> tuple[LanguageNet, Row, list[Row]]:
    """Train on the corpus's training part.

    Returns (the network at its best epoch on `val`, or at the last one; that epoch's row; all rows). Dev and test parts
    are not used. Writes checkpoints and logs to run.out. Raises GestaError as `run_stage` does.
    """
    seed_everything(run.seed)
    network = build(recipe, corpus.vocabulary)
    known = hashlib.sha256("\n".join(corpus.vocabulary.tokens).encode()).hexdigest()
    tokens = [known, corpus.tokens("train"), corpus.tokens("val")]
    data = TextData(*_sets(corpus, recipe.training, run.seed), run.seed)
    learner = partial(LanguageLearner, network, recipe.training)
    return network, *learned(network, recipe, run, data, learner, text=corpus.source, tokens=tokens)


def learned(
    network: nn.Module, recipe: Any, run: Run, data: TextData, learner: Callable[[int], TokenLearner], **identity: Any
) -> tuple[Row, list[Row]]:
    """Train a network; return the row of its best epoch and all rows.

    The network gets the weights of that epoch: the best one by `val_loss`, or the last. `identity`: what identifies a
    run besides recipe and seed. Writes checkpoints and logs to run.out. Raises GestaError as run_stage does.
    """
    known = {"recipe": recipe.model_dump(mode="json"), "seed": run.seed, **identity}
    settings = recipe.training
    stage = Stage("training", 1, recipe.name, settings.epochs, settings, run, known, ("val_loss",))
    with full_disk_explained(run.out):
        run.out.mkdir(parents=True, exist_ok=True)
        history, best, _ = run_stage(stage, network, data, learner)
    return best, history


def fit(parts: Parts, recipe: LanguageRecipe, run: Run) -> Fitted:
    """Train, score an n-gram alone and with the network, and write the bundle to run.out/bundle and a plot."""
    clear(run)
    corpus = corpus_of(parts.listing, recipe.input)
    network, best, history = fit_language(corpus, recipe, run)
    ngram = corpus.ngram(recipe.input.ngram, in_model=recipe.model.ngram_share > 0)
    second = "bits" if recipe.input.unit == "character" else "perplexity"
    draw_history(history, run.out / FIGURE, recipe.title, ("loss", second))
    fields = {
        "known": KnownTokens.of(corpus.vocabulary),
        "metrics": _beside(corpus, ngram, network, recipe),
        "others": {NGRAM: ngram.arrays()} if recipe.model.ngram_share else None,
    }
    return bundled(parts, recipe, run, LanguageManifest, network, best, history, fields)


def _beside(corpus: Corpus, ngram: KneserNey, network: LanguageNet, recipe: LanguageRecipe) -> dict[str, Any]:
    """Return the losses on each scored part to compare with: of the n-gram alone, and together with the network.

    They say which texts they are of. A model with an n-gram measures both itself, on any text.
    """
    found: dict[str, Any] = {"ngram_order": ngram.order}
    for part, texts in corpus.scored.items():
        found[f"ngram_{part}_loss"] = ngram.nats(texts)
        if not recipe.model.ngram_share:
            nats = token_nats(Scored(network), texts, ngram.start, recipe.training.carry)
            found[f"mixed_{part}_loss"] = float(mixed_nats(nats, ngram, texts).mean())
            found[f"{part}_text"] = text_hash(texts)
    return found


def bundled(
    parts: Parts,
    recipe: Any,
    run: Run,
    schema: type[Manifest],
    network: nn.Module,
    best: Row,
    history: list[Row],
    fields: Mapping[str, Any],
) -> Fitted:
    """Write a trained network to run.out/bundle.

    `fields`: manifest fields, whose `metrics` are added to the losses, and `others` of write_bundle.
    """
    seconds = sum(row["seconds"] for row in history)
    metrics: dict[str, Any] = {k: v for k, v in best.items() if k.startswith(("val_", "train_"))}
    metrics |= {"best_epoch": int(best["epoch"]), "epochs": len(history), **fields.get("metrics", {})}
    samples = parts.listing.samples
    origin = provenance_of(
        samples,
        run,
        layout=parts.listing.layout,
        data="\n".join(sorted(p.identity for p in samples if p.split == "train")).encode(),
        identities=lambda used: [p.identity for p in used],
        seconds=seconds,
    )
    bundle = write_bundle(run.out / "bundle", schema, network, recipe, origin, **{**fields, "metrics": metrics})
    return Fitted(bundle.path, metrics, history, seconds, recipe, network=network)


def _sets(corpus: Corpus, settings: TextTrainingSettings, seed: int) -> tuple[Examples, Examples]:
    train, val = corpus.parts["train"], corpus.parts["val"]
    if settings.carry:
        streams = Stream(train, settings.batch, settings.steps, shift=True, seed=seed)
        return streams, Stream(val, settings.batch, settings.steps)
    end = corpus.vocabulary.end
    if end is None:
        raise GestaError(
            "training.carry=false is for sentences of words; a text of characters has no <end>. Set "
            "training.carry=true."
        )
    sentences = Sentences(train, settings.batch, end, steps=settings.steps, shuffle=True, seed=seed)
    return sentences, Sentences(val, settings.batch, end)
