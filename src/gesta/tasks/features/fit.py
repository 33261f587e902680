"""Training classifiers on sequences of stored features: the same training stage as for clips, on features in memory."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gesta.bundle.io import Bundle, load_weights
from gesta.metrics import accuracy
from gesta.models.catalog import build_sequence
from gesta.models.feature_classifier import FeatureClassifier
from gesta.recipes.schema import TrainingSettings
from gesta.schema import GestaError, Sample
from gesta.sources.split import without_validation
from gesta.tasks.feature_store import FeatureFolder
from gesta.tasks.features.manifest import FeatureManifest
from gesta.tasks.features.recipe import FeatureClassifierRecipe, SequenceModelSettings
from gesta.tasks.features.save import backbone_for, write_features_bundle
from gesta.training.checkpoints import full_disk_explained, seed_everything
from gesta.training.classify import BEST_BY, Classify
from gesta.training.data import Batch, ByIndex, TrainingData
from gesta.training.figure import FIGURE, draw_history
from gesta.training.run import Fitted, Run, clear
from gesta.training.stage import Stage, run_stage
from gesta.training.transfer import freeze, transfer_weights
from gesta.words import counted

EVALUATED = 256
"""Sequences evaluated per batch."""


@dataclass
class FeatureSet(ByIndex):
    """Sequences [T, D] with their classes, batched in the same format as clips: clip float32 [B, T, D]."""

    sequences: Sequence[NDArray[np.float32]]
    targets: Sequence[int]
    epoch: int = 0

    def __len__(self) -> int:
        return len(self.sequences)

    def collate(self, items: Sequence[int]) -> Batch:
        chosen = [torch.from_numpy(self.sequences[index]) for index in items]
        return {
            "clip": torch.nn.utils.rnn.pad_sequence(chosen, batch_first=True),  # B T D
            "lengths": torch.tensor([len(sequence) for sequence in chosen]),
            "target": torch.tensor([self.targets[index] for index in items]),
            "start": torch.zeros(len(items), dtype=torch.int64),
        }


class ClassifySequences(Classify):
    """One prediction per sequence, using the sequence's own length."""

    def forward(self, clip: Tensor, lengths: Tensor) -> Tensor:
        return self.network(clip, lengths).unsqueeze(1)  # B 1 N


def fit(
    folder: FeatureFolder,
    recipe: FeatureClassifierRecipe,
    run: Run,
    samples: Sequence[Sample],
    *,
    start: Bundle[FeatureManifest] | None = None,
    backbone: str | None = None,
    embed: bool = True,
) -> Fitted:
    """Train the recipe's classifier on a feature folder; keep the epoch best on the validation part, or the last one.

    `samples`: labeled videos that have features, with their splits. `start`: a classifier of the same features to start
    from; its network replaces the recipe's, and its statistics are kept. The bundle is written to run.out/bundle. With
    `embed` it includes the backbone unless that is too large; `backbone` is as in `gesta features --weights`, and None
    uses the source recorded by that command. `facts` of the result: "labels".

    Raises GestaError if the features are maps or do not match the recipe or `start`, if there is nothing to learn, and
    as `run_stage` does.
    """
    if not folder.recipe.pooled:
        raise GestaError(
            f"{folder.folder}: contains feature maps, but the classifiers take vectors. Compute them without --maps."
        )
    if not recipe.training.validation:
        samples = without_validation(samples)
    held = backbone_for(folder, backbone) if embed else (None, None)
    labels, known = _parts(folder, samples)
    seed_everything(run.seed)
    network, recipe, told = _network(recipe, known["train"], labels, folder, start, run.seed)
    run = replace(run, notes=(*run.notes, *told))
    settings, started = recipe.training, time.perf_counter()
    assert isinstance(settings.epochs, int) and isinstance(settings.batch, int)
    frozen = _frozen(network, settings, start is not None)
    identity = _identity(recipe, run, folder, start)
    stage = Stage("training", 1, recipe.name, settings.epochs, settings, run, identity, BEST_BY)
    data = TrainingData(known["train"], known["val"], settings.batch, run.seed)
    with full_disk_explained(run.out):
        run.out.mkdir(parents=True, exist_ok=True)
        clear(run)
        history, best, rank = run_stage(
            stage, network, data, lambda steps: ClassifySequences(network, settings, steps=steps, frozen=frozen)
        )
        metrics = _metrics(best, history, network, known)
        if rank == 0:
            draw_history(history, run.out / FIGURE, recipe.title)
            spent = sum(row["seconds"] for row in history)
            write_features_bundle(run, network, recipe, folder, samples, metrics, held, spent)
    seconds, told = time.perf_counter() - started, [] if held[1] is None else [held[1]]
    facts = {"labels": labels}
    bundle = run.out / "bundle"
    return Fitted(
        bundle, metrics, history, seconds, recipe, folder.skipped, (*run.notes, *told), (), rank, network, facts
    )


def _parts(folder: FeatureFolder, samples: Sequence[Sample]) -> tuple[tuple[str, ...], dict[str, FeatureSet]]:
    """Return (the classes of the training part, the sequences of each part). Raises GestaError."""
    parts = {part: [s for s in samples if s.split == part and s.label is not None] for part in ("train", "val", "test")}
    labels = tuple(sorted({str(s.label) for s in parts["train"]}))
    if len(labels) < 2:
        raise GestaError(
            f"{folder.folder}: the training part has {counted(len(labels), 'class', 'classes')}; at least two are "
            "needed."
        )
    return labels, {name: _set(folder, part, labels) for name, part in parts.items()}


def _network(
    recipe: FeatureClassifierRecipe,
    train: FeatureSet,
    labels: tuple[str, ...],
    folder: FeatureFolder,
    start: Bundle[FeatureManifest] | None,
    seed: int,
) -> tuple[nn.Module, FeatureClassifierRecipe, list[str]]:
    """Return the recipe's untrained network or that of `start`, the recipe updated to match, and notes."""
    if start is None:
        width = train.sequences[0].shape[1]
        name = f"recipe {recipe.name}: {recipe.model.name}"
        try:
            network = build_sequence(features=width, classes=len(labels), **recipe.model.model_dump())
        except ValueError as error:
            raise GestaError(f"{name} cannot be built: {error}", usage=True) from error
        if isinstance(network, FeatureClassifier):
            network.fit_statistics(torch.from_numpy(np.concatenate(train.sequences)))
        return network, recipe, []
    before = SequenceModelSettings.model_validate(start.manifest.recipe["model"])
    settings = before.model_copy(update={"dropout": recipe.model.dropout})  # no weights depend on it
    network = _initialized(start, folder, settings)
    told = f"From {start.path}, {transfer_weights(network, start.manifest.labels, labels, seed)}."
    return network, recipe.model_copy(update={"model": settings}), [told]


def _identity(
    recipe: FeatureClassifierRecipe, run: Run, folder: FeatureFolder, start: Bundle[FeatureManifest] | None
) -> dict[str, Any]:
    identity = {"recipe": recipe.model_dump(mode="json"), "seed": run.seed, "features": folder.recipe.key}
    if start is not None:
        identity["bundle to begin with"] = start.manifest.provenance.model_dump(mode="json")
    return identity


def _metrics(
    best: dict[str, float], history: Sequence[Any], network: nn.Module, known: Mapping[str, FeatureSet]
) -> dict[str, Any]:
    metrics: dict[str, Any] = {k: v for k, v in best.items() if k.startswith(("val_", "train_"))}
    metrics |= {"best_epoch": int(best["epoch"]), "epochs": len(history)}
    metrics |= {f"{name}_clips": len(part) for name, part in known.items()}
    return metrics | (measure(network, known["test"]) if len(known["test"]) else {})


def _initialized(start: Bundle[FeatureManifest], folder: FeatureFolder, settings: SequenceModelSettings) -> nn.Module:
    """Return the classifier to start from, with these settings.

    Raises GestaError if it was trained on different features.
    """
    manifest, held = start.manifest, folder.recipe
    used = manifest.backbone
    wrong = [
        f"{name} {getattr(held, name)!s:.12} in the folder, {value!s:.12} in the bundle"
        for name, value in used.computed.items()
        if getattr(held, name) != value
    ]
    if wrong:
        raise GestaError(
            f"{folder.folder}: other features than {start.path} was trained on: {'; '.join(wrong)}. Compute them "
            "with the same gesta features command, or start from another bundle."
        )
    network = build_sequence(features=used.features, classes=len(manifest.labels), **settings.model_dump())
    network.load_state_dict({name: torch.from_numpy(array) for name, array in load_weights(start, "head").items()})
    return network


def _frozen(network: nn.Module, settings: TrainingSettings, begun: bool) -> nn.Module | None:
    if settings.freeze is None:
        return None
    if not begun:
        raise GestaError("training.freeze needs a trained network: gesta train --from BUNDLE.", usage=True)
    return freeze(network, settings.freeze)


def _set(folder: FeatureFolder, samples: Sequence[Sample], labels: Sequence[str]) -> FeatureSet:
    """Return the samples' features, leaving out samples of unknown classes: no prediction could be right for them."""
    chosen = [sample for sample in samples if sample.label in labels]
    return FeatureSet([folder.load(s.id) for s in chosen], [labels.index(str(s.label)) for s in chosen])


def probabilities(network: nn.Module, known: FeatureSet) -> NDArray[np.float32]:
    """Return probabilities [n, N], in the order of the sequences."""
    device = next(network.parameters()).device
    network.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(known), EVALUATED):
            batch = known.collate(range(start, min(start + EVALUATED, len(known))))
            logits = network(batch["clip"].to(device), batch["lengths"].to(device))
            parts.append(logits.softmax(1).cpu().numpy())
    return np.concatenate(parts)


def measure(network: nn.Module, known: FeatureSet) -> dict[str, float]:
    """Return accuracy and mean cross entropy on the test part."""
    found, truth = probabilities(network, known), np.asarray(known.targets)
    given = np.clip(found[np.arange(len(truth)), truth], 1e-30, None)
    return {"test_accuracy": float(accuracy(truth, found.argmax(1))), "test_loss": float(-np.log(given).mean())}
