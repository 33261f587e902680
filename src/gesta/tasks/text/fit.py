"""Training a language model: truncated back-propagation through time with carried state, or sentence by sentence."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from gesta.models.language import LanguageNet
from gesta.schema import GestaError
from gesta.tasks.text.batches import Sentences, Stream, Text
from gesta.tasks.text.corpus import Corpus
from gesta.tasks.text.recipe import LanguageRecipe, TextTrainingSettings
from gesta.tasks.text.vocabulary import Vocabulary
from gesta.training.callbacks import Show
from gesta.training.checkpoints import full_disk_explained, save_network, seed_everything, write_whole
from gesta.training.data import ClipData
from gesta.training.figure import draw_history
from gesta.training.optim import optimizer_for, schedule_for
from gesta.training.stage import Machine, Stage, run_stage
from gesta.training.task import LossNotFinite

WEIGHTS, METRICS, FIGURE = "language.safetensors", "metrics.json", "history.png"
MEASURED_STEPS = 512
MEASURED_SENTENCES = 64
Examples = Stream | Sentences


class TextData(ClipData):
    """Batches in the order of the set: a carried state wants its text in order, and sentences are shuffled there."""

    def __init__(self, train: Any, val: Any, seed: int) -> None:
        super().__init__(train, val, 1, seed)

    def train_dataloader(self) -> DataLoader[Any]:
        return self._loader(self.train, shuffle=False)


class AveragedTask(pl.LightningModule):
    """A loss a token, and a running mean of the weights; a subclass gives `losses`.

    `network` is what is measured and kept. With `averaging` it is the mean of `trained`, which learns; else the same.
    """

    def __init__(self, network: nn.Module, settings: TextTrainingSettings, steps: int) -> None:
        super().__init__()
        self.network, self.settings, self.steps = network, settings, steps
        self.trained = copy.deepcopy(network) if settings.averaging else network
        self.sums: dict[str, Tensor] = {}

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:  # noqa: ARG002
        return {name: torch.as_tensor(value) for name, value in batch.items()}

    def losses(self, network: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Nats of every target [T, B], and which count [T, B]."""
        raise NotImplementedError

    def training_step(self, batch: Mapping[str, Tensor], batch_idx: int) -> Tensor:
        loss = self._count("train", *self.losses(self.trained, batch))
        if not torch.isfinite(loss):
            raise LossNotFinite(
                f"The loss became {loss.item()} in epoch {self.current_epoch + 1}, batch {batch_idx + 1}, so training "
                "stopped. Lower training.learning_rate."
            )
        return loss

    def validation_step(self, batch: Mapping[str, Tensor], batch_idx: int) -> None:  # noqa: ARG002
        self._count("val", *self.losses(self.network, batch))

    def _count(self, part: str, nats: Tensor, mask: Tensor) -> Tensor:
        total, count = (nats * mask).sum(), mask.sum()
        sums = torch.stack([total.detach(), count])
        self.sums[part] = self.sums[part] + sums if part in self.sums else sums
        return total / count

    @torch.no_grad()
    def on_train_batch_end(self, *_: Any) -> None:
        if self.trained is self.network:
            return
        old = min(self.settings.averaging, (1 + self.global_step) / (10 + self.global_step))  # the start counts less
        for mean, weight in zip(self.network.parameters(), self.trained.parameters(), strict=True):
            mean.lerp_(weight, 1 - old)

    def epoch_row(self) -> dict[str, float]:
        row: dict[str, float] = {}
        for part, sums in sorted(self.sums.items()):
            total, count = sums.tolist()
            row |= rates(total / count, f"{part}_")
        self.sums = {}
        return row

    def configure_optimizers(self) -> Any:
        optimizer = optimizer_for(self.trained.parameters(), self.settings)  # type: ignore[arg-type]
        schedule = schedule_for(optimizer, self.settings, self.steps)  # type: ignore[arg-type]
        if schedule is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class LanguageTask(AveragedTask):
    """The next token of a text, or of sentences; the state is carried until a batch says `first`."""

    def __init__(self, network: LanguageNet, settings: TextTrainingSettings, steps: int) -> None:
        super().__init__(network, settings, steps)
        self._state: Any = None

    def losses(self, network: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        assert isinstance(network, LanguageNet)
        if batch["first"] or self._state is None:
            self._state = network.start(batch["inputs"].shape[1])
        features, state = network(batch["inputs"], self._state)
        self._state = tuple(part.detach() for part in state)  # gradients go back to the start of the batch
        return network.nats(features, batch["targets"]), batch["mask"]


class ShowNats(Show):
    """The loss in nats, and the perplexity."""

    def running(self, pl_module: Any) -> str:
        total, count = pl_module.sums["train"].tolist()
        return f"{total / count:.3f} nats"

    def finished(self, row: Any) -> str:
        text = f"train {row['train_loss']:.4f} nats"
        if "val_loss" in row:
            text += f"  val {row['val_loss']:.4f} nats  perplexity {row['val_perplexity']:.2f}"
        return f"{text}  {row['seconds']:.0f} s"


@dataclass(frozen=True)
class LanguageFit:
    """A language model at its best epoch, what it reached, and a row for each epoch."""

    network: LanguageNet
    vocabulary: Vocabulary
    metrics: dict[str, Any]
    history: list[dict[str, float]]


def rates(nats: float, prefix: str = "") -> dict[str, float]:
    """A mean loss in nats as what is reported: nats, bits, perplexity."""
    return {
        f"{prefix}loss": nats,
        f"{prefix}bits": nats / math.log(2),
        f"{prefix}perplexity": math.exp(min(nats, 700.0)),
    }


def build(recipe: LanguageRecipe, vocabulary: Vocabulary) -> LanguageNet:
    """The recipe's untrained network. Raises GestaError where its cutoffs do not fit the vocabulary."""
    settings = recipe.model.model_dump()
    if recipe.model.cutoffs and not 0 < max(recipe.model.cutoffs) < len(vocabulary):
        raise GestaError(
            f"model.cutoffs {list(recipe.model.cutoffs)}: must be smaller than the vocabulary of {len(vocabulary)}."
        )
    return LanguageNet(tokens=len(vocabulary), **settings)


def fit_language(
    corpus: Corpus,
    recipe: LanguageRecipe,
    out: Path,
    *,
    seed: int = 0,
    resume: bool = False,
    device: str = "auto",
    progress: bool = True,
) -> LanguageFit:
    """Trains on the corpus's training part; the epoch that is best on `val` is kept, without one the last.

    Leaves weights, metrics with the vocabulary, history and a figure in `out`. Dev and test parts are not touched:
    `measure` scores them. Raises GestaError as `run_stage` does.
    """
    settings = recipe.training
    seed_everything(seed)
    network = build(recipe, corpus.vocabulary)
    identity = {"recipe": recipe.model_dump(mode="json"), "seed": seed, "text": corpus.source}
    identity["tokens"] = [len(corpus.vocabulary), corpus.tokens("train"), corpus.tokens("val")]
    stage = Stage(
        "training",
        1,
        recipe.name,
        settings.epochs,
        settings,  # type: ignore[arg-type]
        "last",
        out,
        seed,
        identity,
        resume,
        progress,
        show=ShowNats,
    )
    with full_disk_explained(out):
        out.mkdir(parents=True, exist_ok=True)
        history, best, _ = run_stage(
            stage,
            network,
            TextData(*_sets(corpus, settings, seed), seed),
            Machine(device),
            task_for=lambda steps: LanguageTask(network, settings, steps),
        )
    metrics = {k: v for k, v in best.items() if k.startswith(("val_", "train_"))}
    metrics |= {"best_epoch": int(best["epoch"]), "epochs": len(history)}
    metrics |= {"parameters": sum(p.numel() for p in network.parameters()), "tokens": len(corpus.vocabulary)}
    metrics |= {"seconds": sum(row["seconds"] for row in history)}
    fitted = LanguageFit(network, corpus.vocabulary, metrics, history)
    _save(fitted, recipe, out)
    return fitted


def _sets(corpus: Corpus, settings: TextTrainingSettings, seed: int) -> tuple[Examples, Examples]:
    train, val = corpus.parts["train"], corpus.parts["val"]
    if settings.carry:
        streams = Stream(train, settings.batch, settings.steps, shift=True, seed=seed)
        return streams, Stream(val, settings.batch, settings.steps)
    end = corpus.vocabulary.end
    if end is None:
        raise GestaError("training.carry=false is for sentences of words: a text of characters has no <end>.")
    sentences = Sentences(train, settings.batch, end, steps=settings.steps, shuffle=True, seed=seed)
    return sentences, Sentences(val, settings.batch, end)


@torch.inference_mode()
def measure(network: LanguageNet, texts: Sequence[Text], *, end: int | None, carry: bool) -> dict[str, float]:
    """Nats, bits and perplexity a token over texts.

    `carry`: as one running text, whose first token is given; else each from a state of zeros behind `<end>`, whose
    number is `end`. Raises GestaError where there is nothing to measure.
    """
    sets = Stream(texts, 1, MEASURED_STEPS) if carry or end is None else Sentences(texts, MEASURED_SENTENCES, end)
    if len(sets) < 1:
        raise GestaError("There is no text to measure on: this part is empty.")
    device = network.embedding.weight.device
    network.eval()
    total = count = 0.0
    state = network.start(1)
    for index in range(len(sets)):
        held = sets.collate([index])
        batch = {name: torch.as_tensor(value, device=device) for name, value in held.items()}
        state = network.start(batch["inputs"].shape[1]) if held["first"] else state
        features, state = network(batch["inputs"], state)
        total += float((network.nats(features, batch["targets"]) * batch["mask"]).sum())
        count += float(batch["mask"].sum())
    return rates(total / count)


def _save(fitted: LanguageFit, recipe: LanguageRecipe, out: Path) -> None:
    save_network(out / WEIGHTS, fitted.network)
    document = {
        "recipe": recipe.model_dump(mode="json"),
        "unit": fitted.vocabulary.unit,
        "tokens": fitted.vocabulary.tokens,
        "metrics": fitted.metrics,
        "history": fitted.history,
    }
    write_whole(out / METRICS, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())
    second = "bits" if fitted.vocabulary.unit == "character" else "perplexity"
    draw_history(fitted.history, out / FIGURE, recipe.title, ("loss", second))


class TorchSteps:
    """A network, one token at a time, for `gesta.tasks.text.predict`."""

    def __init__(self, network: LanguageNet) -> None:
        self.network = network.eval()

    def start(self, batch: int) -> tuple[Tensor, Tensor]:
        return self.network.start(batch)

    @torch.inference_mode()
    def step(self, tokens: Text, state: tuple[Tensor, Tensor]) -> tuple[np.ndarray, tuple[Tensor, Tensor]]:
        """Token numbers [B] -> log probabilities of the next [B, V], the new state."""
        logs, h, c = self.network.step(torch.from_numpy(tokens), *state)
        return logs.numpy(), (h, c)
