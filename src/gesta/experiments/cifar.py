"""What pruning does to networks that others know: three of them on images in the layout of CIFAR, by Adam and by SGD.

Each network is trained with either optimiser on the same images, with the same budget and seeds. A tenth of each
class's training images chooses the epoch, the official test images are only reported. Mullick 2018, tables 4.4 and 4.5.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gesta.experiments import tables
from gesta.experiments.image_catalog import IMAGE_SCALES, IMAGE_TABLES, ImageTable, Pair, Reported
from gesta.experiments.parallel import Job, Progress, key_of, run_jobs, write_json, write_text
from gesta.experiments.tables import cost, spread
from gesta.recipes import RecipeError
from gesta.schema import GestaError
from gesta.sources import cifar
from gesta.tasks.catalog import load_recipe
from gesta.tasks.images.recipe import ImageRecipe

if TYPE_CHECKING:
    from gesta.compression.magnitudes import Magnitudes

OPTIMIZERS = ("sgd", "adam")
VALIDATION = 0.1
"""Share of each class's training images that chooses the epoch."""


@dataclass(frozen=True)
class ImagePlan:
    """What is going to be run, and what it costs. `jobs`: (network, optimiser, job). `note` says on what data."""

    name: str
    table: ImageTable
    jobs: tuple[tuple[Pair, str, Job], ...]
    note: str
    minutes: float
    to_train: int

    @property
    def cost(self) -> str:
        """One line for people, before anything is trained."""
        return cost((job for _, _, job in self.jobs), self.to_train, self.minutes)


def plan_images(
    name: str,
    data: Path,
    out: Path,
    *,
    scale: str,
    seeds: int,
    note: str,
    workers: int = 2,
    sets: Sequence[str] = (),
    device: str = "auto",
) -> ImagePlan:
    """The trainings that a table needs on the images in `data`. Raises GestaError."""
    table, size = IMAGE_TABLES[name], IMAGE_SCALES[scale]
    train, test = cifar.read(data, table.data)
    content = fingerprint(train, test)
    jobs = []
    for pair in table.pairs:
        for optimizer in OPTIMIZERS:
            try:
                recipe = load_recipe(f"{pair.recipe}-{optimizer}", (*size.overrides, *sets))
            except RecipeError as error:
                raise GestaError(str(error), usage=True) from error
            for seed in range(seeds):
                title = f"{pair.label} by {optimizer}, seed {seed}"
                jobs.append(
                    (pair, optimizer, _job(title, data, table.data, recipe, content, out / "rows", seed, device))
                )
    todo = [pair for pair, _, job in jobs if job.finished() is None]
    minutes = sum(pair.cost for pair in todo) * size.minutes / min(workers, max(len(todo), 1))
    counts = f"{len(train)} training images ({VALIDATION:.0%} of them to choose the epoch), {len(test)} test images"
    return ImagePlan(name, table, tuple(jobs), f"{note} {counts}.", minutes, len(todo))


def fingerprint(train: cifar.Images, test: cifar.Images) -> str:
    """What makes a set of images the same set."""
    content = hashlib.sha256()
    for part in (train, test):
        content.update(np.ascontiguousarray(part.pixels).data)
        content.update(np.ascontiguousarray(part.labels).data)
    return content.hexdigest()


def _job(
    title: str, data: Path, kind: str, recipe: ImageRecipe, content: str, folder: Path, seed: int, device: str
) -> Job:
    key = key_of(recipe.model_dump(mode="json"), seed, kind, content)
    where = folder / f"training-{key}"
    arguments = {"data": data, "kind": kind, "recipe": recipe, "folder": where, "seed": seed, "device": device}
    return Job(title, "gesta.experiments.cifar:run_image_trial", arguments, key, folder / f"{key}.json")


def run_image_trial(data: Path, kind: str, recipe: ImageRecipe, folder: Path, seed: int, device: str) -> dict[str, Any]:
    """Trains, measures on the test images, prunes below 2**-20 and measures again; the folder is removed at the end.

    Returns accuracy, pruned_accuracy, parameters, kept (those not zero after pruning), magnitudes, history, seconds;
    where training diverged only `diverged`, what happened.
    """
    from gesta.compression.magnitudes import magnitudes
    from gesta.compression.prune import masked, masks_for
    from gesta.compression.weights import count
    from gesta.tasks.images.fit import fit_images, recognise, weights_of, with_weights
    from gesta.training.learner import LossNotFinite

    begun = time.monotonic()
    whole, test = cifar.read(data, kind)
    train, val = cifar.hold_out(whole, VALIDATION, seed=0)
    try:
        fitted = fit_images(train, val, recipe, folder, seed=seed, device=device, progress=False)
    except LossNotFinite as error:
        return {"diverged": str(error), "seed": seed, "seconds": time.monotonic() - begun}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    weights = weights_of(fitted.network)
    pruned = masked(weights, masks_for(weights))
    right = recognise(fitted.network, test.pixels) == test.labels
    right_pruned = recognise(with_weights(fitted.network, pruned), test.pixels) == test.labels
    return {
        "accuracy": float(right.mean()),
        "pruned_accuracy": float(right_pruned.mean()),
        "parameters": count(weights)[0],
        "kept": count(pruned)[1],
        "magnitudes": magnitudes(weights).document(),
        "n": len(test),
        "seed": seed,
        "recipe": recipe.model_dump(mode="json"),
        "validation": fitted.metrics,
        "history": fitted.history,
        "seconds": time.monotonic() - begun,
    }


def run_images(
    planned: ImagePlan,
    out: Path,
    *,
    workers: int = 2,
    progress: Progress | None = None,
    told: Callable[[Job, dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Trains what is missing and writes result.json, table.md and, for a figure, a picture a network, in `out`/name.

    Returns the document: name, title, source, note, rows (label, sgd, adam, each reported and measured), files.
    """
    results = run_jobs([job for _, _, job in planned.jobs], workers=workers, progress=progress, told=told)
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for (pair, optimizer, _), result in zip(planned.jobs, results, strict=True):
        found.setdefault((pair.label, optimizer), []).append(result)
    folder = out / planned.name.replace("/", "-")
    files = {"result": folder / "result.json", "table": folder / "table.md"}
    if planned.table.figure:
        for pair in planned.table.pairs:
            drawn = {o.upper() if o == "sgd" else "Adam": _first(found[pair.label, o]) for o in OPTIMIZERS}
            files[f"figure {pair.label}"] = _draw(drawn, folder, f"{pair.label}, {planned.table.title}")
    document: dict[str, Any] = {
        "name": planned.name,
        "title": planned.table.title,
        "source": planned.table.source,
        "note": planned.note,
        "rows": [
            {
                "label": pair.label,
                "sgd": line(pair.sgd, found[pair.label, "sgd"]),
                "adam": {**line(pair.adam, found[pair.label, "adam"]), "reported_reduction": pair.reduction},
            }
            for pair in planned.table.pairs
        ],
        "seconds": sum(result["seconds"] for result in results),
        "files": {name: str(path) for name, path in files.items()},
    }
    write_text(files["table"], markdown(document))
    write_json(files["result"], document)
    return document


def line(reported: Reported, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One network by one optimiser: reported, and measured in % as lists by seed; diverged seeds are named apart."""
    good = [r for r in results if "diverged" not in r]
    return {
        "reported_millions": reported.millions,
        "reported_accuracy": reported.accuracy,
        "accuracy": [100 * r["accuracy"] for r in good],
        "pruned_accuracy": [100 * r["pruned_accuracy"] for r in good],
        "parameters": good[0]["parameters"] if good else None,
        "kept": [r["kept"] for r in good],
        "reduction": [100 * (1 - r["kept"] / r["parameters"]) for r in good],
        "below_threshold": [100 * r["magnitudes"]["share_below"] for r in good],
        "diverged": [r["seed"] for r in results if "diverged" in r],
        "minutes": float(np.mean([r["seconds"] for r in results])) / 60 if results else None,
    }


def _first(results: Sequence[Mapping[str, Any]]) -> Magnitudes | None:
    """The weights of the first seed that did not diverge."""
    from gesta.compression.magnitudes import Magnitudes

    for result in results:
        if "diverged" not in result:
            kept = {k: v for k, v in result["magnitudes"].items() if k in Magnitudes.__dataclass_fields__}
            return Magnitudes(**{**kept, "counts": tuple(kept["counts"])})
    return None


def _draw(found: Mapping[str, Magnitudes | None], folder: Path, title: str) -> Path:
    from gesta.compression.magnitudes import draw

    path = folder / f"{title.split(',')[0].lower().replace(' ', '-')}.png"
    drawn = {name: one for name, one in found.items() if one is not None}
    if drawn:
        draw(drawn, path, title)
    return path


def cells(row: Mapping[str, Any]) -> list[str]:
    """A network's line: reported beside measured, SGD then Adam."""
    sgd, adam = row["sgd"], row["adam"]
    shown = [row["label"]]
    shown.append(f"{sgd['reported_millions']:.2f} M, {sgd['reported_accuracy']:.2f}")
    shown.append(_measured(sgd, sgd["accuracy"], [sgd["parameters"]] if sgd["parameters"] else []))
    shown.append(
        f"{adam['reported_millions']:.2f} M, {adam['reported_accuracy']:.2f} (-{adam['reported_reduction']:g} %)"
    )
    shown.append(spread(adam["accuracy"]))
    reduction = f" (-{np.mean(adam['reduction']):.2f} %)" if adam["reduction"] else ""
    shown.append(_measured(adam, adam["pruned_accuracy"], adam["kept"]) + reduction)
    shown.append(f"{spread(sgd['below_threshold'])}, {spread(adam['below_threshold'])}")
    return shown


def _measured(one: Mapping[str, Any], accuracy: Sequence[float], parameters: Sequence[int]) -> str:
    lost = f"diverged: seed {', '.join(map(str, one['diverged']))}" if one["diverged"] else ""
    if not accuracy:
        return lost or "-"
    return f"{np.mean(parameters) / 1e6:.2f} M, {spread(accuracy)}" + (f" ({lost})" if lost else "")


HEADINGS = (
    "network",
    "SGD reported, %",
    "SGD measured, %",
    "Adam pruned reported, %",
    "Adam measured, %",
    "Adam pruned measured, %",
    "weights below 2**-20 by SGD, Adam, %",
)


def markdown(document: Mapping[str, Any]) -> str:
    """The document as a markdown table, reported beside measured."""
    return tables.markdown(document, HEADINGS, map(cells, document["rows"]))
