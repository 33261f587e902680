"""Learning to classify sequences of stored features: the same stage as for clips, on features that lie in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from gesta.bundle.io import Bundle, load_weights
from gesta.bundle.manifest import SequenceManifest
from gesta.features.store import INDEX, Entry, FeatureFolder
from gesta.metrics import accuracy
from gesta.models.catalog import build_sequence
from gesta.models.sequence import SequenceNet
from gesta.recipes.schema import TrainingSettings
from gesta.recipes.sequences import SequenceModelSettings, SequenceRecipe
from gesta.schema import GestaError, Resource, Sample
from gesta.sources.split import assign_splits
from gesta.training.checkpoints import full_disk_explained, seed_everything, write_whole
from gesta.training.data import Batch, ClipData
from gesta.training.figure import draw_history
from gesta.training.sequence_save import backbone_for, sequence_provenance, write_sequence_bundle
from gesta.training.stage import Machine, Stage, run_stage
from gesta.training.task import ClassifyTask
from gesta.training.transfer import freeze, take_over

WEIGHTS, METRICS, FIGURE = "classifier.safetensors", "metrics.json", "history.png"
EVALUATED = 256
"""Sequences that are recognised at a time."""


@dataclass
class FeatureSet(Dataset):
    """Sequences [T, D] with their classes, as the batches that clips give: clip float32 [B, T, D]."""

    sequences: Sequence[NDArray[np.float32]]
    targets: Sequence[int]
    epoch: int = 0

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, index: int) -> int:
        return index

    def collate(self, items: Sequence[int]) -> Batch:
        chosen = [torch.from_numpy(self.sequences[index]) for index in items]
        return {
            "clip": torch.nn.utils.rnn.pad_sequence(chosen, batch_first=True),  # B T D
            "lengths": torch.tensor([len(sequence) for sequence in chosen]),
            "target": torch.tensor([self.targets[index] for index in items]),
            "start": torch.zeros(len(items), dtype=torch.int64),
        }


class SequenceTask(ClassifyTask):
    """One answer a sequence, at its own length."""

    def forward(self, clip: Tensor, lengths: Tensor) -> Tensor:
        return self.network(clip, lengths).unsqueeze(1)  # B 1 N


@dataclass(frozen=True)
class SequenceFit:
    """A classifier at its best epoch, what it reached, and a row for each epoch."""

    network: SequenceNet
    labels: tuple[str, ...]
    metrics: dict[str, Any]
    history: list[dict[str, float]]
    notes: tuple[str, ...]
    bundle: Path | None = None


def samples_of(folder: FeatureFolder, *, unlabelled: bool = False) -> list[Sample]:
    """The labelled videos (or all) of a feature folder, in order; a sample's file is the shard with its features."""
    return [_sample(folder, entry) for entry in folder.entries if unlabelled or entry.label is not None]


def divided(folder: FeatureFolder, seed: int) -> tuple[list[Sample], list[str]]:
    """`samples_of`, with the splits that the videos get when all of them are divided, and notes on what was done.

    A video without features is divided, too: so the parts are those that other commands make of the data.
    """
    everything, notes = assign_splits([_sample(folder, entry) for entry in folder.listed], seed=seed)
    usable = {entry.id for entry in folder.entries}
    return [sample for sample in everything if sample.id in usable and sample.label is not None], notes


def _sample(folder: FeatureFolder, entry: Entry) -> Sample:
    place = Resource(folder.folder / (entry.shard or INDEX))
    return Sample(entry.id, entry.recording, place, label=entry.label, subject=entry.subject, split=entry.split)


def fit_sequences(
    features: Path,
    recipe: SequenceRecipe,
    out: Path,
    *,
    seed: int = 0,
    resume: bool = False,
    device: str = "auto",
    progress: bool = True,
    samples: Sequence[Sample] | None = None,
    begin: Callable[[SequenceNet], nn.Module | None] | None = None,
    backbone: str | None = None,
    start: Bundle[SequenceManifest] | None = None,
    save: bool = False,
) -> SequenceFit:
    """Trains the recipe's classifier on a feature folder; the epoch that is best on the validation part is kept.

    `samples`: those of `samples_of` with splits of the caller's; else people are divided. `begin` is called on the
    network, to give it other weights, and returns a part that is to stay as it is, or None. `start`: a
    classifier of the same features to begin with; its network counts, not the recipe's, and so do its statistics.
    Leaves the weights, the metrics and the figure of accuracy and loss in `out`; with `save` also out/bundle, which
    holds the backbone unless it is too large: `backbone` as of `gesta features --weights`, None: from where that
    command took it. Raises GestaError where the features are not those of the recipe or of `start` or are maps, where
    there is nothing to learn, and as `run_stage` does.
    """
    folder = FeatureFolder(features, recipe.features.model_dump())
    if not folder.recipe.pooled:
        raise GestaError(f"{features}: holds maps, and the classifiers take vectors. Make them without --maps.")
    ready, missing = backbone_for(folder, backbone) if save else (None, None)
    notes: list[str] = []
    if samples is None:
        samples, notes = divided(folder, seed)
    parts = {part: [s for s in samples if s.split == part and s.label is not None] for part in ("train", "val", "test")}
    labels = tuple(sorted({str(s.label) for s in parts["train"]}))
    if len(labels) < 2:
        raise GestaError(f"{features}: the training part has {len(labels)} classes; two are needed to learn.")
    known = {name: _set(folder, part, labels) for name, part in parts.items()}
    settings = recipe.training
    assert isinstance(settings.epochs, int) and isinstance(settings.batch, int)
    seed_everything(seed)
    width = known["train"].sequences[0].shape[1]
    if start is None:
        network = build_sequence(features=width, classes=len(labels), **recipe.model.model_dump())
        network.fit_statistics(torch.from_numpy(np.concatenate(known["train"].sequences)))
    else:
        recipe = recipe.model_copy(
            update={"model": SequenceModelSettings.model_validate(start.manifest.recipe["model"])}
        )
        network = _begun(start, folder)
        notes.append(f"from {start.path}, {take_over(network, start.manifest.labels, labels, seed)}")
    frozen = _frozen(network, settings, start is not None) if begin is None else begin(network)
    identity = {"recipe": recipe.model_dump(mode="json"), "seed": seed, "features": folder.recipe.key}
    if start is not None:
        identity["bundle to begin with"] = start.manifest.provenance.model_dump(mode="json")
    stage = Stage(
        "training", 1, recipe.name, settings.epochs, settings, "last", out, seed, identity, resume, progress=progress
    )
    data = ClipData(known["train"], known["val"], settings.batch, seed)

    def task(steps: int) -> SequenceTask:
        return SequenceTask(network, settings, steps=steps, over="last", frozen=frozen)

    with full_disk_explained(out):
        out.mkdir(parents=True, exist_ok=True)
        history, best, _ = run_stage(stage, network, data, Machine(device), task_for=task)
    metrics = {k: v for k, v in best.items() if k.startswith(("val_", "train_"))}
    metrics |= {"best_epoch": int(best["epoch"]), "epochs": len(history)}
    metrics |= {f"{name}_clips": len(part) for name, part in known.items()}
    if len(known["test"]):
        metrics |= measure(network, known["test"])
    if missing is not None:
        notes.append(missing)
    fitted = SequenceFit(network, labels, metrics, history, tuple(notes), out / "bundle" if save else None)
    _save(fitted, recipe, folder, out)
    if fitted.bundle is not None:
        seconds = sum(row["seconds"] for row in history)
        write_sequence_bundle(
            fitted.bundle,
            network,
            labels=labels,
            recipe=recipe,
            features=folder,
            width=width,
            provenance=sequence_provenance(folder, samples, seed=seed, notes=notes, seconds=seconds, device=device),
            metrics=metrics,
            backbone=ready,
            notes=() if missing is None else (missing,),
        )
    return fitted


def _begun(start: Bundle[SequenceManifest], folder: FeatureFolder) -> SequenceNet:
    """The classifier to begin with. Raises GestaError where the features are others than it was trained on."""
    manifest, held = start.manifest, folder.recipe
    used = manifest.backbone
    facts: dict[str, object] = {"backbone": used.name, "weights": used.weights, "stage": used.stage}
    facts |= {"size": used.size, "window": used.window}
    wrong = [
        f"{name} {getattr(held, name)!s:.12} in the folder, {value!s:.12} in the bundle"
        for name, value in facts.items()
        if getattr(held, name) != value
    ]
    if wrong:
        raise GestaError(
            f"{folder.folder}: other features than {start.path} was trained on: {'; '.join(wrong)}. Make them with the "
            "same gesta features, or begin with another bundle."
        )
    network = build_sequence(features=used.features, classes=len(manifest.labels), **manifest.recipe["model"])
    network.load_state_dict({name: torch.from_numpy(array) for name, array in load_weights(start, "head").items()})
    return network


def _frozen(network: SequenceNet, settings: TrainingSettings, begun: bool) -> nn.Module | None:
    if settings.freeze is None:
        return None
    if not begun:
        raise GestaError("training.freeze is for a network that has learned: gesta train --from BUNDLE.", usage=True)
    return freeze(network, settings.freeze)


def _set(folder: FeatureFolder, samples: Sequence[Sample], labels: Sequence[str]) -> FeatureSet:
    """Samples of unknown classes are left out: nothing could be right about them."""
    chosen = [sample for sample in samples if sample.label in labels]
    return FeatureSet([folder.load(s.id) for s in chosen], [labels.index(str(s.label)) for s in chosen])


def probabilities(network: SequenceNet, known: FeatureSet) -> NDArray[np.float32]:
    """[n, N], in the order of the sequences."""
    device = next(network.parameters()).device
    network.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(known), EVALUATED):
            batch = known.collate(range(start, min(start + EVALUATED, len(known))))
            logits = network(batch["clip"].to(device), batch["lengths"].to(device))
            parts.append(logits.softmax(1).cpu().numpy())
    return np.concatenate(parts)


def measure(network: SequenceNet, known: FeatureSet) -> dict[str, float]:
    """Accuracy and mean cross entropy on the test part."""
    found, truth = probabilities(network, known), np.asarray(known.targets)
    given = np.clip(found[np.arange(len(truth)), truth], 1e-30, None)
    return {"test_accuracy": float(accuracy(truth, found.argmax(1))), "test_loss": float(-np.log(given).mean())}


def _save(fitted: SequenceFit, recipe: SequenceRecipe, folder: FeatureFolder, out: Path) -> None:
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in fitted.network.state_dict().items()}
    write_whole(out / WEIGHTS, safetensors.torch.save(tensors))
    document = {
        "labels": fitted.labels,
        "recipe": recipe.model_dump(mode="json"),
        "features": vars(folder.recipe),
        "metrics": fitted.metrics,
        "history": fitted.history,
        "notes": fitted.notes,
    }
    write_whole(out / METRICS, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())
    draw_history(fitted.history, out / FIGURE, recipe.title)
