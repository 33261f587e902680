"""Evaluates a bundle of any task on labeled samples: predictions, metrics and warnings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from gesta.bundle import io
from gesta.bundle.io import Bundle
from gesta.engines.base import Placement
from gesta.evaluation.data import chosen, parts_for, unseen
from gesta.evaluation.people import people_warnings
from gesta.progress import bars
from gesta.schema import GestaError
from gesta.tasks import catalog
from gesta.tasks.base import Evaluation
from gesta.words import counted


def evaluate_data(
    model: Any,
    data: Path,
    at: Placement = Placement(),
    *,
    split: str = "test",
    layout: str | None = None,
    protocol: str = "subject",
    seed: int | None = None,
    progress: bool = True,
    **options: Any,
) -> Evaluation:
    """Evaluates a bundle or a loaded model on one split of a data folder, split as in its training.

    Omits samples that the model was trained on from "test" and "all", and reports them.
    Raises GestaError as `evaluate` does.
    """
    task, manifest = catalog.find(model.manifest.kind), model.manifest
    seed = manifest.provenance.seed if seed is None else seed
    parts = parts_for(task, manifest, data, layout, protocol, seed)
    samples, met = unseen(task, manifest, chosen(parts, split), split)
    notes = [] if split == "all" else list(parts.notes)
    notes += [*met, *(task.warnings(parts.listing, manifest) if layout is None else ())]
    predictor = task.load(model, at, **options) if isinstance(model, Bundle) else model
    layout = parts.listing.layout
    result = measure(task, predictor, samples, layout=layout, notes=notes, seed=seed, progress=progress)
    metrics = {"bundle": str(getattr(model, "path", manifest.name)), **result.metrics}
    return replace(result, metrics=metrics, facts={**result.facts, "data": data.absolute()})


def evaluate(
    bundle_path: Path | str,
    samples: Sequence[Any],
    at: Placement = Placement(),
    *,
    layout: str | None = None,
    notes: Sequence[str] = (),
    seed: int = 0,
    progress: bool = True,
    **options: Any,
) -> Evaluation:
    """Predicts every labeled sample (the caller has chosen the split) and computes metrics.

    `layout` is the data's, to recognize people by fingerprint (default: the layout the bundle was trained on). `seed`:
    of the bootstrap interval over people. `notes` on the split are passed on to metrics and report. `options`: those of
    the task's `load`. Unreadable samples are listed and skipped. Raises GestaError if there is nothing to evaluate or
    the samples do not fit the model.
    """
    task, bundle = catalog.of_bundle(bundle_path)
    predictor = task.load(bundle, at, **options)
    result = measure(task, predictor, samples, layout=layout, notes=notes, seed=seed, progress=progress)
    return replace(result, metrics={"bundle": str(bundle_path), **result.metrics})


def measure(
    task: Any,
    predictor: Any,
    samples: Sequence[Any],
    *,
    layout: str | None = None,
    notes: Sequence[str] = (),
    seed: int = 0,
    progress: bool = True,
) -> Evaluation:
    """Like `evaluate`, for a loaded model. Raises GestaError as `evaluate` does."""
    manifest = predictor.manifest
    known = task.labeled(samples, manifest)
    warnings: list[str] = []
    if getattr(task, "of_people", True):  # text is not recorded of people
        warnings = people_warnings(known, manifest.provenance, layout or manifest.provenance.layout)
    if len(known) < len(samples):
        warnings.append(f"Not counted: {counted(len(samples) - len(known), 'recording')} without a label.")
    with bars(progress) as bar:
        used, outputs, skipped = task.outputs(predictor, known, bar)
    if not used:
        raise GestaError(f"none of the {len(known)} {task.unit} could be read. The first: {skipped[0]}")
    result = task.evaluate(predictor, used, outputs, seed)
    common = {
        "engine": predictor.engine.name,
        "skipped": [asdict(problem) for problem in skipped],
        "notes": [*notes, *result.metrics.pop("notes", ())],
        "warnings": warnings,
    }
    return replace(result, metrics=result.metrics | common)


def record(bundle_path: Path | str, result: Evaluation, split: str, kept: Sequence[str]) -> None:
    """Writes the main metrics to the bundle's manifest and card, as `<split>_accuracy` and so on.

    Raises GestaError for a zip, which is never modified.
    """
    bundle = catalog.read_bundle(bundle_path)
    found = {f"{split}_{name}": result.metrics[name] for name in kept if result.metrics.get(name) is not None}
    io.update(bundle, metrics={**bundle.manifest.metrics, **found})
