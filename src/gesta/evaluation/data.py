"""The data to evaluate a bundle on, split as in its training, without the samples it was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gesta.bundle.manifest import Manifest
from gesta.schema import GestaError, usable
from gesta.tasks.base import Examples, Parts, Task

SPLITS = ("test", "dev", "val", "train", "all")


def parts_for(
    task: Task,
    manifest: Manifest,
    data: Path,
    layout: str | None = None,
    protocol: str = "subject",
    seed: int | None = None,
    validation: bool = False,
) -> Parts:
    """The samples in a folder, read and split as in the bundle's training.

    `seed`: of the split; by default that of the training. `validation`: hold out a validation part, although the
    training may have had none. Raises GestaError.
    """
    origin, recipe = manifest.provenance, manifest.recipe
    listing = usable(task.read(data, layout, origin.layout))
    if validation:
        recipe = {**recipe, "training": {**recipe.get("training", {}), "validation": True}}
    return task.split(listing, origin.seed if seed is None else seed, recipe, protocol)


def chosen(parts: Parts, split: str) -> list[Any]:
    """The samples of one split. Raises GestaError (usage) for an unknown split, GestaError for one without samples."""
    if split not in SPLITS:
        raise GestaError(f"unknown split {split!r}; choose from {', '.join(SPLITS)}.", usage=True)
    found = parts.of(split)
    if not found:
        there = ", ".join(sorted({s.split for s in parts.listing.samples if s.split is not None})) or "none"
        raise GestaError(f"the data have no samples in the split {split!r} (there are: {there}). Try --split all.")
    return found


def unseen(task: Task, manifest: Manifest, samples: Sequence[Any], split: str) -> tuple[list[Any], list[str]]:
    """The samples of "test" that the model was not trained on, by their content, and a note if some were removed.

    Raises GestaError if none is left. Bundles made before gesta 0.2 lack this information, so everything is kept.
    """
    trained = set(manifest.provenance.samples)
    if split != "test" or not trained:
        return list(samples), []
    identities = task.identities(samples)
    kept = [s for s, identity in zip(samples, identities, strict=True) if identity not in trained]
    met = len(samples) - len(kept)
    if not met:
        return kept, []
    if not kept:
        raise GestaError(
            f"all {met} {task.unit} of the split {split!r} were trained on, so they say nothing about new ones. "
            "Use data that were not used in training, or look at --split train."
        )
    return kept, [f"{met} of {len(samples)} {task.unit} were used in training; they are skipped."]


def examples_for(
    task: Task,
    manifest: Manifest,
    data: Path,
    limits: tuple[int, int],
    layout: str | None = None,
    protocol: str = "subject",
    seed: int | None = None,
) -> tuple[Examples, Examples | None]:
    """Preprocessed samples to compare networks on, from the validation split (else training), and for calibration.

    `limits`: how many of each; 0: none. Raises GestaError if there is no training sample.
    """
    parts = parts_for(task, manifest, data, layout, protocol, seed)
    training = parts.of("train")
    if not training:
        raise GestaError(f"{data}: contains no labeled training {task.unit}. See `gesta data inspect {data}`.")
    validation = parts.of("val")
    held_out = bool(validation) and "val" in manifest.provenance.clips  # otherwise they were trained on, too
    shown = task.examples(manifest, validation or training, limits[0], "validation" if held_out else "training")
    if not shown.inputs:
        raise GestaError(f"{data}: none of the {task.unit} for the comparison could be read. Give other --data.")
    return shown, task.examples(manifest, training, limits[1], "training") if limits[1] else None
