"""Training for any task, from a data folder to a bundle that runs without PyTorch."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gesta import events
from gesta.bundle import io
from gesta.recipes import Recipe, load
from gesta.results import Result
from gesta.schema import GestaError, usable
from gesta.tasks import catalog
from gesta.tasks.base import Parts, Task, has
from gesta.training.run import Fitted, Run

COMPARED = 32
"""Validation samples on which the exported network is compared with PyTorch."""
_OUT = "GESTA_TRAIN_OUT"  # passes the folder chosen by the first process of a run to the others


@dataclass(frozen=True, repr=False)
class Trained(Result):
    """A finished training run.

    `bundle`: path of the bundle. `metrics`: metrics of the best epoch. `history`: one row per epoch.

        run = gesta.train("my_gestures", out="runs/mine", **{"training.epochs": 20})
        print(run.metrics["val_accuracy"])
        for row in run.history:
            print(row["epoch"], row["train_loss"])
    """

    bundle: Path
    metrics: dict[str, Any]
    history: list[dict[str, float]]
    document: dict[str, Any]
    task: str

    def rows(self) -> list[dict[str, Any]]:
        """Returns the history: one row per epoch."""
        return list(self.history)


def train(
    data: Path,
    run: Run,
    *,
    recipe: str | None = None,
    sets: Sequence[str] = (),
    start: Path | None = None,
    layout: str | None = None,
    told: Callable[[Recipe, Parts], None] = lambda _recipe, _parts: None,
    **options: Any,
) -> Trained | None:
    """Trains on a data folder and writes the bundle to run.out/bundle. Returns None in all but the first process.

    `recipe`: a name or YAML file; None: the default of the data's task, or the recipe of `start`. `start`: a bundle to
    start from. `told`: called before training starts. `options`: options of the task's `fit` and of the split
    (protocol, or divide(listing), which replaces the split). Raises GestaError for data, recipes and bundles that do
    not fit together, for a run.out that contains a finished training, and like the task's `fit`.
    """
    task = task_of(data, recipe, layout, start)
    chosen = recipe_of(task, recipe, sets, start)
    protocol, divide = options.pop("protocol", "subject"), options.pop("divide", None)
    listing = usable(task.read(data, layout))
    parts = task.split(listing, run.seed, chosen.model_dump(), protocol) if divide is None else divide(listing)
    if has(task, "resolve"):
        chosen, picked = task.resolve(parts, chosen)  # type: ignore[attr-defined]
        parts = replace(parts, picked=tuple(picked))
    if is_first_process():
        told(chosen, parts)
    with locked(run.out), _told(run, task=task.name, recipe=chosen.name, data=str(data)) as finished:
        fitted = task.fit(parts, chosen, replace(run, notes=parts.notes), start, **options)
        if fitted.rank != 0:
            return None
        agreements = _export(task, fitted, parts)
        finished |= {"bundle": str(fitted.bundle), "metrics": fitted.metrics}
    return _trained(task, fitted, parts, agreements)


@contextmanager
def _told(run: Run, **facts: Any) -> Iterator[dict[str, Any]]:
    """Logs events for the start and end of a training in its folder. Yields a dict to fill for the event "finished"."""
    out, begun = run.out if is_first_process() else None, time.monotonic()
    finished: dict[str, Any] = {}
    events.tell(out, "resumed" if run.resume else "started", seed=run.seed, pid=os.getpid(), **facts)
    try:
        yield finished
    except (KeyboardInterrupt, SystemExit) as error:
        events.tell(out, "stopped", why=type(error).__name__)
        raise
    except Exception as error:
        events.tell(out, "failed", why=str(error) or type(error).__name__)
        raise
    events.tell(out, "finished", seconds=round(time.monotonic() - begun, 3), **finished)


def _trained(task: Task, fitted: Fitted, parts: Parts, agreements: Sequence[Any]) -> Trained:
    skipped = [*parts.listing.problems, *fitted.skipped]
    document = {
        "bundle": str(fitted.bundle),
        "task": task.name,
        "recipe": fitted.recipe.model_dump(mode="json"),
        "picked": list(parts.picked),
        "notes": list(dict.fromkeys([*parts.notes, *fitted.notes])),
        "metrics": fitted.metrics,
        **fitted.facts,
        "parity": max(agreements, key=lambda one: one.difference).document,
        "seconds": round(fitted.seconds, 1),
        "skipped": [{"path": p.path, "kind": p.kind, "reason": p.reason} for p in skipped],
    }
    return Trained(fitted.bundle, fitted.metrics, fitted.history, document, task.name)


def _export(task: Task, fitted: Fitted, parts: Parts) -> list[Any]:
    """Adds OpenVINO networks to the bundle, compared with PyTorch on validation samples, or else training samples."""
    from gesta.exporting.run import add

    bundle = catalog.read_bundle(fitted.bundle)
    broken = {problem.path for problem in fitted.skipped}
    for part in ("val", "train"):
        whole = [s for s in parts.of(part) if not broken.intersection(map(str, s.files))]
        if whole:
            return add(fitted.bundle, task.examples(bundle.manifest, whole, COMPARED, "validation"), needed=False)
    return add(fitted.bundle, needed=False)


def task_of(data: Path, recipe: str | None, layout: str | None, start: Path | None = None) -> Task:
    """Returns the task to train: that of the recipe, else of the bundle to start from, else of the data.

    Raises GestaError (usage) if the data are for another task.
    """
    found = catalog.of_data(data, layout)
    if recipe is not None:
        wanted = catalog.of_recipe(recipe)
    else:
        wanted = found if start is None else catalog.of_bundle(start)[0]
    if not wanted.recognizes(data, layout) and wanted.name == found.name:
        raise GestaError(f"{data}: contains no data for {wanted.title}.", usage=True)
    shared = wanted.name != catalog.DEFAULT and wanted.recognizes(data, layout)
    shared |= wanted.name in getattr(found, "also_trains", ())
    if found.name not in (wanted.name, catalog.DEFAULT) and not shared:
        raise GestaError(
            f"{data}: contains data for {found.title}, but {recipe or start} is for {wanted.title}. "
            f"Use a recipe that fits, e.g. --recipe {found.default_recipe}; `gesta recipes` lists them.",
            usage=True,
        )
    return wanted


def recipe_of(task: Task, recipe: str | None, sets: Sequence[str], start: Path | None = None) -> Any:
    """Returns the recipe with changes applied, taking settings from the bundle to start from. Raises RecipeError."""
    if start is None:
        return load(recipe or task.default_recipe, task.recipe, sets)
    if not has(task, "recipe_from"):
        raise GestaError(f"--from: {task.title} cannot start from a bundle yet. Leave it out.", usage=True)
    named = None if recipe is None else load(recipe, task.recipe)
    return task.recipe_from(start, named, sets)  # type: ignore[attr-defined]


RANKS = ("RANK", "SLURM_PROCID", "NODE_RANK", "LOCAL_RANK")
"""Environment variables with process numbers set by torchrun, SLURM and Lightning; all are 0 in the first process."""


def is_first_process() -> bool:
    """Returns whether this is the first process of a run, which writes files and events."""
    return all(os.environ.get(name, "0") == "0" for name in RANKS)


def new_folder(data: Path, recipe: str) -> Path:
    """Returns the first unused path runs/<data>-<recipe>-<number>; it is the same in every process of a run."""
    if _OUT in os.environ and not is_first_process():
        return Path(os.environ[_OUT])
    stem = re.sub(r"[^\w.-]+", "-", f"{data.resolve().name}-{Path(recipe).stem}")
    number = 1
    while (folder := Path("runs") / f"{stem}-{number}").exists():
        number += 1
    os.environ[_OUT] = str(folder)
    return folder


def refuse_finished(out: Path, resume: bool, overwrite: bool) -> None:
    """Raises GestaError (usage) if the folder contains a finished training, unless resuming or overwriting."""
    if (out / "bundle" / io.MANIFEST).exists() and not (resume or overwrite) and is_first_process():
        raise GestaError(
            f"{out}: contains a finished training run. Choose another --out, replace it with --overwrite, or "
            "continue it with --resume.",
            usage=True,
        )


@contextmanager
def locked(out: Path, what: str = "training") -> Iterator[None]:
    """Locks a folder against concurrent work of the same kind. Raises GestaError if it is already locked."""
    from filelock import FileLock, Timeout

    if not is_first_process():
        yield
        return
    name = hashlib.sha256(str(out.resolve()).encode()).hexdigest()[:16]
    try:
        with FileLock(Path(tempfile.gettempdir()) / f"gesta-{name}.lock", blocking=False):
            yield
    except Timeout as error:
        raise GestaError(f"{out}: another {what} is running in this folder. Choose another --out.") from error
