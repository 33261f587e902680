"""Comparison of action recognizers on the user's data, each person held out once (gesta reproduce gesta/actions).

Every row is a separate cross-validation (gesta.experiments.crossval) with the same people, folds and seeds; settings
are chosen on people within each training part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gesta.experiments.crossval import Folding, crossval
from gesta.experiments.frame_features import stored_job
from gesta.experiments.parallel import Job, Progress, Told, Workers
from gesta.experiments.people_catalog import LeaveOutRow, LeaveOutTable
from gesta.experiments.table import SEEDS, Experiment, Wanted
from gesta.experiments.trial import trial_job
from gesta.recipes import Recipe, RecipeError
from gesta.schema import GestaError, Listing
from gesta.tasks import catalog
from gesta.tasks.catalog import load_recipe
from gesta.tasks.features.recipe import StoredFeatures
from gesta.words import counted


@dataclass(frozen=True)
class Plan:
    """Cross-validations of the rows, one after another."""

    listing: Listing
    options: list[dict[str, Recipe]]
    note: str
    cost: str
    wanted: Wanted

    def only(self, rows: Sequence[str]) -> Plan:  # noqa: ARG002
        """Raises GestaError (usage): a row of this table is one cross-validation."""
        raise GestaError("--row is not for this table: cross-validate that recipe alone (gesta crossval).", usage=True)


class PeopleTable(Experiment):
    """`data` of its plans: a Listing."""

    scales = dict.fromkeys(("quick", "full"))
    headings = ("line", "correct, by seed", "mean, %", "most frequent error", "chosen inside, by fold", "total minutes")

    def data(self, wanted: Wanted) -> tuple[Listing, str]:
        if wanted.data is None:
            raise GestaError(
                f"{self.name}: needs --data, labeled recordings of several people; each is held out once.", usage=True
            )
        return catalog.find(catalog.DEFAULT).read(wanted.data, wanted.layout), f"Data: {wanted.data}"

    def plan(self, data: Listing, note: str, wanted: Wanted) -> Any:
        seeds = wanted.seeds or SEEDS
        people = len({s.subject for s in data.samples if s.label is not None and s.subject is not None})
        count = trainings(self.table, people, seeds)
        cost = f"{people} people, {counted(count, 'training run')}, including those for choosing"
        told = f"{note}, each of {people} people held out once, seeds 0 to {seeds - 1}."
        return Plan(data, [recipes_of(row, wanted.sets) for row in self.table.rows], told, cost, wanted)

    def run(self, plan: Any, out: Path, progress: Progress | None = None, told: Told | None = None) -> dict[str, Any]:
        folder, wanted = self.folder(out), plan.wanted
        folding, workers = Folding(seeds=wanted.seeds or SEEDS), Workers(wanted.workers, wanted.device, progress, told)
        task, rows = catalog.find(catalog.DEFAULT), []
        for number, (row, recipes) in enumerate(zip(self.table.rows, plan.options, strict=True), 1):
            place, job = folder / f"line-{number}", _job(row, folder)
            found = crossval(task, plan.listing, recipes, place, folding, workers, job)
            rows.append(self.line(row, [found]))
            document = self.write({"note": plan.note, "rows": rows}, out)
        return document

    def line(self, row: LeaveOutRow, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Returns one row from crossval's document."""
        (found,) = results
        accuracies = [seed["accuracy"] for seed in found["per_seed"]]
        chosen = Counter(fold["chosen"] for fold in found["folds"] if "chosen" in fold)
        return {
            "label": row.label,
            "correct": [seed["correct"] for seed in found["per_seed"]],
            "n": found["n"],
            "accuracy": float(np.mean(accuracies)),
            "spread": float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else None,
            "confused": Counter(f"{e['truth']} as {e['predicted']}" for e in found["errors"]).most_common(3),
            "chosen": dict(chosen),
            "minutes": found["seconds"] / 60,
            "recipe": row.recipe,
            "overrides": list(row.overrides),
            "classifier": row.classifier,
        }

    def cells(self, row: Mapping[str, Any]) -> list[str]:
        spread = "" if row["spread"] is None else f" ± {100 * row['spread']:.1f}"
        return [
            row["label"],
            f"{', '.join(map(str, row['correct']))} of {row['n']}",
            f"{100 * row['accuracy']:.1f}{spread}",
            ", ".join(f"{times} x {what}" for what, times in row["confused"]) or "-",
            ", ".join(f"{times} x {what}" for what, times in row["chosen"].items()) or "-",
            f"{row['minutes']:.1f}",
        ]

    def told(self, result: Mapping[str, Any]) -> str:
        return f"{result['accuracy']:.3f}"


def recipes_of(row: LeaveOutRow, sets: Sequence[str] = ()) -> dict[str, Recipe]:
    """Returns the recipes a fold chooses from, by their settings. Raises GestaError (usage) if `sets` do not fit."""
    ways: list[tuple[str, ...]] = [(choice,) for choice in row.choices] or [()]
    try:
        return {" ".join(way): load_recipe(row.recipe, (*row.overrides, *sets, *way)) for way in ways}
    except RecipeError as error:
        raise GestaError(f"{row.label}: {error}", usage=True) from error


def trainings(table: LeaveOutTable, people: int, seeds: int) -> int:
    """Returns the total number of networks to train, including those for choosing settings."""
    inner = sum(2 * len(row.choices) for row in table.rows)
    return people * (seeds * len(table.rows) + inner)


def _job(row: LeaveOutRow, folder: Path) -> Callable[..., Job]:
    """Returns the function that creates a fold's job, for clips or for a classifier of stored features."""
    if row.classifier is None:
        return partial(_named, row.label, trial_job)
    classifier = load_recipe(row.classifier).model_copy(update={"features": StoredFeatures()})
    return partial(_named, row.label, partial(stored_job, classifier=classifier, features=folder / "features"))


def _named(label: str, job: Callable[..., Job], title: str, *given: Any) -> Job:
    return job(f"{label}, {title}", *given)
