"""Training and using an encoder-decoder: pairs, batches, the fit, translations, BLEU, sentence vectors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from gesta.models.translation import Memory, TranslationNet
from gesta.schema import GestaError
from gesta.tasks.text.batches import Arranged, Batch, following, padded
from gesta.tasks.text.beam import Hypothesis, beam_search
from gesta.tasks.text.data import Pairs, read_pairs
from gesta.tasks.text.fit import AveragedTask, ShowNats, TextData
from gesta.tasks.text.recipe import BeamSettings, PairInputSettings, TranslationRecipe
from gesta.tasks.text.vocabulary import Vocabulary, words
from gesta.training.checkpoints import full_disk_explained, save_network, seed_everything, write_whole
from gesta.training.figure import draw_history
from gesta.training.stage import Machine, Stage, run_stage

WEIGHTS, METRICS, FIGURE = "translation.safetensors", "metrics.json", "history.png"
TOGETHER = 64
"""Sentences that are translated at a time."""
Text = NDArray[np.int64]


@dataclass(frozen=True)
class PairCorpus:
    """`parts`: train, val and those that are scored -> (source, target) numbers of every pair, each with `<end>`."""

    source: Vocabulary
    target: Vocabulary
    parts: Mapping[str, Sequence[tuple[Text, Text]]]
    references: Mapping[str, list[str]]
    """The target sentences as they are, for BLEU."""
    folder: str


def read_pair_corpus(folder: Path, settings: PairInputSettings, seed: int = 0) -> PairCorpus:
    """Reads sentence pairs and holds some of the training pairs out. Raises GestaError as read_pairs does."""
    read = dict(read_pairs(folder, settings.source, settings.target))
    train = read.pop("train")
    count = round(len(train) * settings.validation)
    order = np.random.default_rng(seed).permutation(len(train))
    if count == len(train) or (settings.validation and not count):
        raise GestaError(f"{folder}: {len(train)} training pairs are too few to hold {settings.validation:.0%} out.")
    held = {"train": _chosen(train, np.sort(order[count:])), "val": _chosen(train, np.sort(order[:count])), **read}
    source = words(held["train"].source, minimum_count=settings.source_minimum_count)
    target = words(held["train"].target, minimum_count=settings.target_minimum_count)
    parts = {
        part: [(source.sentence(s), target.sentence(t)) for s, t in zip(pairs.source, pairs.target, strict=True)]
        for part, pairs in held.items()
    }
    # An empty line has nothing to learn from, and is scored like any other.
    parts["train"] = [pair for pair in parts["train"] if min(map(len, pair)) > 1]
    references = {part: [" ".join(t) for t in pairs.target] for part, pairs in held.items()}
    return PairCorpus(source, target, parts, references, str(folder))


def _chosen(pairs: Pairs, rows: NDArray[np.int64]) -> Pairs:
    return Pairs([pairs.source[i] for i in rows], [pairs.target[i] for i in rows])


class PairSet(Arranged):
    """Batches of pairs of similar target length: source [S, B], lengths [B], inputs, targets and mask [T, B]."""

    def __init__(
        self, pairs: Sequence[tuple[Text, Text]], batch: int, end: int, *, shuffle: bool = False, seed: int = 0
    ) -> None:
        super().__init__([len(target) for _, target in pairs], batch, shuffle=shuffle, seed=seed)
        self.pairs, self.end = pairs, end

    def collate(self, items: Sequence[int]) -> Batch:
        (index,) = items
        chosen = [self.pairs[i] for i in self.rows(index)]
        source, _ = padded([source for source, _ in chosen], self.end)
        lengths = np.array([len(source) for source, _ in chosen])
        return {"source": source, "lengths": lengths, **following([target for _, target in chosen], self.end)}


class TranslationTask(AveragedTask):
    """The next word of the target; in training with label smoothing."""

    def losses(self, network: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        logits = network(batch["source"], batch["lengths"], batch["inputs"])  # T B V
        smoothing = self.settings.label_smoothing if self.training else 0.0
        nats = F.cross_entropy(
            logits.flatten(0, 1), batch["targets"].flatten(), reduction="none", label_smoothing=smoothing
        )
        return nats.view_as(batch["targets"]), batch["mask"]


@dataclass(frozen=True)
class TranslationFit:
    """A translator at its best epoch, what it reached, and a row for each epoch."""

    network: TranslationNet
    source: Vocabulary
    target: Vocabulary
    metrics: dict[str, Any]
    history: list[dict[str, float]]


def build(recipe: TranslationRecipe, source: Vocabulary, target: Vocabulary) -> TranslationNet:
    return TranslationNet(source_tokens=len(source), target_tokens=len(target), **recipe.model.model_dump())


def fit_translation(
    corpus: PairCorpus,
    recipe: TranslationRecipe,
    out: Path,
    *,
    seed: int = 0,
    resume: bool = False,
    device: str = "auto",
    progress: bool = True,
) -> TranslationFit:
    """Trains on the training pairs; the epoch with the lowest loss on `val` is kept, without one the last.

    Leaves weights, metrics with both vocabularies, history and a figure in `out`. Raises GestaError as run_stage does.
    """
    settings = recipe.training
    seed_everything(seed)
    network = build(recipe, corpus.source, corpus.target)
    identity = {"recipe": recipe.model_dump(mode="json"), "seed": seed, "pairs": corpus.folder}
    end = corpus.target.end
    assert end is not None
    train = PairSet(corpus.parts["train"], settings.batch, end, shuffle=True, seed=seed)
    val = PairSet(corpus.parts["val"], settings.batch, end)
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

    def task(steps: int) -> TranslationTask:
        return TranslationTask(network, settings, steps)

    with full_disk_explained(out):
        out.mkdir(parents=True, exist_ok=True)
        history, best, _ = run_stage(stage, network, TextData(train, val, seed), Machine(device), task_for=task)
    metrics = {k: v for k, v in best.items() if k.startswith(("val_", "train_"))}
    metrics |= {"best_epoch": int(best["epoch"]), "epochs": len(history)}
    metrics |= {"parameters": sum(p.numel() for p in network.parameters())}
    metrics |= {"seconds": sum(row["seconds"] for row in history)}
    fitted = TranslationFit(network, corpus.source, corpus.target, metrics, history)
    _save(fitted, recipe, out)
    return fitted


def _save(fitted: TranslationFit, recipe: TranslationRecipe, out: Path) -> None:
    save_network(out / WEIGHTS, fitted.network)
    document = {
        "recipe": recipe.model_dump(mode="json"),
        "source": fitted.source.tokens,
        "target": fitted.target.tokens,
        "metrics": fitted.metrics,
        "history": fitted.history,
    }
    write_whole(out / METRICS, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())
    draw_history(fitted.history, out / FIGURE, recipe.title, ("loss", "perplexity"))


@torch.inference_mode()
def translate(
    network: TranslationNet, target: Vocabulary, sources: Sequence[Text], settings: BeamSettings
) -> list[list[Hypothesis]]:
    """Beam search for every source sentence (numbers with `<end>`): hypotheses, the best first."""
    network.eval()
    order = np.argsort([len(source) for source in sources], kind="stable")
    found: list[list[Hypothesis]] = [[] for _ in sources]
    for i in range(0, len(order), TOGETHER):
        rows = order[i : i + TOGETHER]
        for row, hypotheses in zip(rows, _search(network, target, [sources[r] for r in rows], settings), strict=True):
            found[row] = hypotheses
    return found


def _search(
    network: TranslationNet, target: Vocabulary, sources: Sequence[Text], settings: BeamSettings
) -> list[list[Hypothesis]]:
    assert target.end is not None
    memory = _encoded(network, sources)

    def step(tokens: Text, state: tuple[Memory, Tensor, Tensor]) -> tuple[NDArray, Any]:
        held, h, c = state
        features, (h, c) = network.decode(torch.from_numpy(tokens).unsqueeze(0), held, h, c)
        return network.logits(features[0]).log_softmax(-1).numpy(), (held, h, c)

    def select(state: tuple[Memory, Tensor, Tensor], rows: Text) -> Any:
        index = torch.from_numpy(rows)
        held, h, c = state
        return Memory(held.outputs[:, index], held.mask[:, index], held.vector[index]), h[:, index], c[:, index]

    return beam_search(
        step,
        select,
        (memory, *network.start(memory)),
        sentences=len(sources),
        end=target.end,
        never=target.unknown,
        **settings.model_dump(),
    )


def _encoded(network: TranslationNet, sources: Sequence[Text]) -> Memory:
    tokens, mask = padded(sources, 0)
    return network.encode(torch.from_numpy(tokens), torch.from_numpy(mask.sum(0).astype(np.int64)))


@torch.inference_mode()
def sentence_vectors(network: TranslationNet, sources: Sequence[Text]) -> NDArray[np.float32]:
    """The encoder's last states, [n, 2H]: a vector for each sentence or paragraph (numbers with `<end>`)."""
    network.eval()
    return np.concatenate([_encoded(network, [source]).vector.numpy() for source in sources])


def nearest_sentences(vectors: NDArray[np.float32], wanted: NDArray[np.float32], count: int) -> list[tuple[int, float]]:
    """Indices of the `count` vectors [n, D] whose angle with `wanted` [D] is smallest, with its cosine."""
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(wanted)
    cosine = vectors @ wanted / np.where(lengths > 0, lengths, 1)
    return [(int(i), float(cosine[i])) for i in np.argsort(-cosine, kind="stable")[:count]]


def spoken(target: Vocabulary, found: Sequence[list[Hypothesis]]) -> list[str]:
    """The best hypothesis of each sentence in words."""
    return [" ".join(target.decode(hypotheses[0].tokens)) if hypotheses else "" for hypotheses in found]


def bleu(translations: Sequence[str], references: Sequence[str]) -> float:
    """Corpus BLEU by sacrebleu on the tokens as they are (`--tokenize none`), in percent.

    Raises GestaError for different counts, and where sacrebleu is not installed.
    """
    if len(translations) != len(references):
        raise GestaError(f"{len(translations)} translations for {len(references)} references: one each is needed.")
    try:
        import sacrebleu
    except ImportError as error:
        raise GestaError("BLEU needs sacrebleu: pip install 'gesta[text]'.") from error
    return float(sacrebleu.corpus_bleu(list(translations), [list(references)], tokenize="none").score)
