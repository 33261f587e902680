"""Recognisers of actions side by side on one's recordings, each person held out once (gesta reproduce gesta/actions).

Every line is a cross validation of its own (gesta.experiments.crossval) with the same people, folds and seeds; what it
chooses, it chooses on people inside each training part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gesta.experiments import tables
from gesta.experiments.crossval import crossval
from gesta.experiments.parallel import Job, Progress, write_json, write_text
from gesta.experiments.stored_trial import stored_job
from gesta.experiments.trial import trial_job
from gesta.recipes import RecipeError
from gesta.schema import GestaError, Sample
from gesta.tasks.catalog import load_recipe
from gesta.tasks.clips.recipe import ClipRecipe
from gesta.tasks.features.recipe import FeatureClassifierRecipe, StoredFeatures


@dataclass(frozen=True)
class LeaveOutRow:
    """A recipe of clips with overrides, and further ones between which each fold chooses. `classifier`: a recipe for
    stored features; then the first is that of the network that makes them."""

    label: str
    recipe: str
    overrides: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    classifier: str | None = None


@dataclass(frozen=True)
class LeaveOutTable:
    title: str
    source: str
    rows: tuple[LeaveOutRow, ...]


ST = "iqbal/st-resnet-small"
RATES = ("input.max_fps=15", "input.max_fps=30")
_SHORT = ("input.window=16", "training.epochs=40")
_GRAY = ("input.channels=[gray]", *_SHORT)
_FRAMES = (*_GRAY, "model.context=1")


def _classified(label: str, classifier: str) -> LeaveOutRow:
    return LeaveOutRow(label, ST, _FRAMES, classifier=classifier)


LEAVE_OUT_TABLES = {
    "gesta/actions": LeaveOutTable(
        "recognisers of actions on --data, one person left out at a time",
        "-",
        (
            LeaveOutRow("frames alone (ST-ResNet-18, context 1)", ST, _FRAMES, RATES),
            LeaveOutRow("ST-ResNet-18, context 2", ST, (*_GRAY, "model.context=2"), RATES),
            LeaveOutRow("ST-ResNet-18, context 3", ST, (*_GRAY, "model.context=3"), RATES),
            _classified("mean of frame features, linear", "iqbal/mean-znorm"),
            _classified("GRU over frame features", "iqbal/gru-znorm"),
            LeaveOutRow("C3D, small", "tutorial/c3d-small", (*_GRAY, "model.width=0.125"), RATES),
            LeaveOutRow(
                "two streams: frames, and flow of five",
                ST,
                ("input.channels=[gray, flow]", *_SHORT, "model.context=1", "model.stack=5"),
                ("model.fusion=score", "model.fusion=feature"),
            ),
            LeaveOutRow("auto (joint 3D-CNN + LSTM)", "auto", (), RATES),
        ),
    ),
}
"""ST-ResNets are a quarter as wide as the document's and begin from scratch. Frame features: those of the first line's
network, trained on the same training part. With 40 epochs and 16 frames, a quarter of their recipes' computing, the
table takes hours and not a day; auto is as it is."""


def recipes_of(row: LeaveOutRow, sets: Sequence[str] = ()) -> dict[str, ClipRecipe]:
    """What a fold chooses between, by what it says. Raises GestaError (usage) for `sets` that do not fit."""
    ways: list[tuple[str, ...]] = [(choice,) for choice in row.choices] or [()]
    try:
        return {" ".join(way): load_recipe(row.recipe, (*row.overrides, *sets, *way)) for way in ways}
    except RecipeError as error:
        raise GestaError(f"{row.label}: {error}", usage=True) from error


def classifier_of(row: LeaveOutRow) -> FeatureClassifierRecipe | None:
    """The recipe for stored features, whatever network made them."""
    if row.classifier is None:
        return None
    return load_recipe(row.classifier).model_copy(update={"features": StoredFeatures()})


def trainings(table: LeaveOutTable, people: int, seeds: int) -> int:
    """How many networks are trained in all, those for choosing included."""
    inner = sum(2 * len(row.choices) for row in table.rows)
    return people * (seeds * len(table.rows) + inner)


def run_leave_out(
    name: str,
    samples: Sequence[Sample],
    out: Path,
    *,
    layout: str,
    note: str,
    seeds: int = 3,
    sets: Sequence[str] = (),
    workers: int = 2,
    device: str = "auto",
    progress: Progress | None = None,
    told: Callable[[str, Job, dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Does what is missing, line by line, and writes result.json and table.md in `out`/name.

    Returns the document: name, title, note, rows (label, correct by seed, n, accuracy and its spread over seeds,
    confused, chosen, minutes of all its trainings), files. Raises GestaError.
    """
    table = LEAVE_OUT_TABLES[name]
    options = [recipes_of(row, sets) for row in table.rows]
    folder = out / name.replace("/", "-")
    files = {"result": folder / "result.json", "table": folder / "table.md"}
    rows = []
    for number, (row, recipes) in enumerate(zip(table.rows, options, strict=True), 1):
        found = crossval(
            samples,
            next(iter(recipes.values())),
            folder / f"line-{number}",
            choices=recipes,
            seeds=seeds,
            layout=layout,
            device=device,
            workers=workers,
            progress=progress,
            told=None if told is None else partial(told, row.label),
            job=_job(row, folder),
        )
        rows.append(line(row, found))
        shown = {key: str(path) for key, path in files.items()}
        document = {"name": name, "title": table.title, "note": note, "rows": rows, "files": shown}
        write_text(files["table"], markdown(document))
        write_json(files["result"], document)
    return document


def _job(row: LeaveOutRow, folder: Path) -> Callable[..., Job]:
    classifier = classifier_of(row)
    if classifier is None:
        return trial_job
    return partial(stored_job, classifier=classifier, features=folder / "features")


def line(row: LeaveOutRow, found: Mapping[str, Any]) -> dict[str, Any]:
    """One line from crossval's document."""
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


HEADINGS = ("line", "right, by seed", "mean, %", "most often wrong", "chosen inside, by fold", "minutes in all")


def cells(row: Mapping[str, Any]) -> list[str]:
    spread = "" if row["spread"] is None else f" ± {100 * row['spread']:.1f}"
    return [
        row["label"],
        f"{', '.join(map(str, row['correct']))} of {row['n']}",
        f"{100 * row['accuracy']:.1f}{spread}",
        ", ".join(f"{times} x {what}" for what, times in row["confused"]) or "-",
        ", ".join(f"{times} x {what}" for what, times in row["chosen"].items()) or "-",
        f"{row['minutes']:.1f}",
    ]


def markdown(document: Mapping[str, Any]) -> str:
    return tables.markdown(document, HEADINGS, map(cells, document["rows"]))
