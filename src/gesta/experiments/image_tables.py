"""The effect of pruning on three well-known image networks, on images in CIFAR's layout, trained by Adam and by SGD.

Each network is trained with either optimizer on the same images, with the same budget and seeds. A tenth of each
class's training images selects the epoch; the official test images are only reported. Mullick 2018, tables 4.4 and 4.5.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gesta.compression.magnitudes import Magnitudes, draw, magnitudes
from gesta.compression.prune import masked, masks_for
from gesta.compression.weights import count
from gesta.experiments.image_catalog import IMAGE_SCALES, Reported
from gesta.experiments.parallel import Job, key_of
from gesta.experiments.table import Experiment, Line, Plan, Results, Wanted, mean, spread
from gesta.progress import bar
from gesta.sources import cifar
from gesta.tasks.catalog import load_recipe
from gesta.tasks.images.recipe import ImageRecipe
from gesta.training.run import Run

TRIAL = "gesta.experiments.image_tables:run_image_trial"
OPTIMIZERS = {"sgd": "SGD", "adam": "Adam"}
VALIDATION = 0.1
"""Share of each class's training images used to select the epoch."""


class ImageTable(Experiment):
    """`data` of its plans: a folder in CIFAR's layout."""

    scales = IMAGE_SCALES
    headings = (
        "network",
        "SGD reported, %",
        "SGD measured, %",
        "Adam pruned reported, %",
        "Adam measured, %",
        "Adam pruned measured, %",
        "weights below 2**-20 by SGD, Adam, %",
    )

    def data(self, wanted: Wanted) -> tuple[Path, str]:
        if wanted.data is not None:
            return wanted.data, f"Data: {wanted.data}."
        from gesta.synthetic.catalog import IMAGE_GENERATORS
        from gesta.synthetic.cifar import GENERATOR_VERSION

        kind = self.table.data
        folder = wanted.out / f"data-{kind}-{wanted.scale}"
        with bar("Generating images") as tick:
            IMAGE_GENERATORS[kind](folder, images=self.scale_of(wanted).images, seed=0, progress=tick)
        return folder, f"Generated {kind}, scale {wanted.scale}, generator version {GENERATOR_VERSION}:"

    def plan(self, data: Path, note: str, wanted: Wanted) -> Plan:
        table, scale = self.table, self.scale_of(wanted)
        train, test = cifar.read(data, table.data)
        content, folder = fingerprint(train, test), wanted.out / "rows"
        lines = []
        for pair in table.pairs:
            for optimizer in OPTIMIZERS:
                recipe = load_recipe(f"{pair.recipe}-{optimizer}", (*scale.overrides, *wanted.sets))
                label = f"{pair.label} by {optimizer}"
                for seed in range(self.seeds_of(wanted)):
                    key = key_of(recipe.model_dump(mode="json"), seed, table.data, content)
                    arguments = {
                        "data": data,
                        "kind": table.data,
                        "recipe": recipe,
                        "folder": folder / f"training-{key}",
                        "seed": seed,
                        "device": wanted.device,
                    }
                    job = Job(f"{label}, seed {seed}", TRIAL, arguments, key, folder / f"{key}.json")
                    lines.append(Line(label, job, pair.cost))
        counts = f"{len(train)} training images ({VALIDATION:.0%} of them to choose the epoch), {len(test)} test images"
        return Plan((tuple(lines),), f"{note} {counts}.", scale.minutes, wanted.workers)

    def rows(self, results: Results) -> list[dict[str, Any]]:
        rows = []
        for pair in self.table.pairs:
            sgd, adam = (line(getattr(pair, o), results.get(f"{pair.label} by {o}", ())) for o in OPTIMIZERS)
            rows.append({"label": pair.label, "sgd": sgd, "adam": {**adam, "reported_reduction": pair.reduction}})
        return rows

    def cells(self, row: Mapping[str, Any]) -> list[str]:
        """Returns a network's row: reported and measured values, SGD then Adam."""
        sgd, adam = row["sgd"], row["adam"]
        reduction = f" (-{np.mean(adam['reduction']):.2f} %)" if adam["reduction"] else ""
        return [
            row["label"],
            f"{sgd['reported_millions']:.2f} M, {sgd['reported_accuracy']:.2f}",
            _measured(sgd, sgd["accuracy"], [sgd["parameters"]] if sgd["parameters"] else []),
            f"{adam['reported_millions']:.2f} M, {adam['reported_accuracy']:.2f} (-{adam['reported_reduction']:g} %)",
            spread(adam["accuracy"]),
            _measured(adam, adam["pruned_accuracy"], adam["kept"]) + reduction,
            f"{spread(sgd['below_threshold'])}, {spread(adam['below_threshold'])}",
        ]

    def told(self, result: Mapping[str, Any]) -> str:
        if "diverged" in result:
            return "diverged"
        return f"{100 * result['accuracy']:.2f} %, pruned {100 * result['pruned_accuracy']:.2f} %"

    def draw(self, plan: Plan, results: Results, folder: Path) -> dict[str, Path]:  # noqa: ARG002
        files = {}
        for pair in self.table.pairs if self.table.figure else ():
            path = folder / f"{pair.label.lower().replace(' ', '-')}.png"
            first = {name: _first(results.get(f"{pair.label} by {o}", ())) for o, name in OPTIMIZERS.items()}
            drawn = {name: one for name, one in first.items() if one is not None}
            if drawn:
                draw(drawn, path, f"{pair.label}, {self.table.title}")
                files[f"figure {pair.label}"] = path
        return files


def fingerprint(train: cifar.Images, test: cifar.Images) -> str:
    """Returns a hash that identifies a set of images."""
    content = hashlib.sha256()
    for part in (train, test):
        content.update(np.ascontiguousarray(part.pixels).data)
        content.update(np.ascontiguousarray(part.labels).data)
    return content.hexdigest()


def run_image_trial(data: Path, kind: str, recipe: ImageRecipe, folder: Path, seed: int, device: str) -> dict[str, Any]:
    """Trains, measures on the test images, prunes below 2**-20, measures again, and removes the folder.

    Returns accuracy, pruned_accuracy, parameters, kept (parameters that are nonzero after pruning), magnitudes,
    history, seconds; if training diverged, only `diverged`, the reason.
    """
    from gesta.tasks.images.fit import fit, recognize, weights_of, with_weights
    from gesta.training.learner import LossNotFinite

    started = time.monotonic()
    whole, test = cifar.read(data, kind)
    train, val = cifar.hold_out(whole, VALIDATION, seed=0)
    try:
        fitted = fit(train, val, recipe, Run(folder, seed, device=device, progress=False))
    except LossNotFinite as error:
        return {"diverged": str(error), "seed": seed, "seconds": time.monotonic() - started}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    weights = weights_of(fitted.network)
    pruned = masked(weights, masks_for(weights))
    right = recognize(fitted.network, test.pixels) == test.labels
    right_pruned = recognize(with_weights(fitted.network, pruned), test.pixels) == test.labels
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
        "seconds": time.monotonic() - started,
    }


def line(reported: Reported, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns reported and measured values (%, by seed) of one network and optimizer; diverged seeds are separate."""
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
        "minutes": mean(r["seconds"] / 60 for r in results),
    }


def _first(results: Sequence[Mapping[str, Any]]) -> Magnitudes | None:
    """Returns the weight magnitudes of the first seed that did not diverge."""
    good = (result["magnitudes"] for result in results if "diverged" not in result)
    return next(map(Magnitudes.from_document, good), None)


def _measured(one: Mapping[str, Any], accuracy: Sequence[float], parameters: Sequence[int]) -> str:
    lost = f"diverged: seed {', '.join(map(str, one['diverged']))}" if one["diverged"] else ""
    if not accuracy:
        return lost or "-"
    return f"{np.mean(parameters) / 1e6:.2f} M, {spread(accuracy)}" + (f" ({lost})" if lost else "")
