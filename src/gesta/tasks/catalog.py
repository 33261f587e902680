"""Finds tasks by name, and the task of a bundle, a recipe or a data folder."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from gesta import recipes
from gesta.bundle import io
from gesta.bundle.io import Bundle
from gesta.bundle.manifest import FORMAT_VERSION, Manifest
from gesta.recipes import Recipe
from gesta.schema import GestaError
from gesta.tasks.base import Task
from gesta.words import did_you_mean

BUILT_IN = {
    "clips": "gesta.tasks.clips.task:TASK",
    "features": "gesta.tasks.features.task:TASK",
    "hands": "gesta.tasks.hands.task:TASK",
    "images": "gesta.tasks.images.task:TASK",
    "spotting": "gesta.tasks.spotting.task:TASK",
    "text": "gesta.tasks.text.task:TASK",
    "translation": "gesta.tasks.text.translate_task:TASK",
    "captions": "gesta.tasks.text.caption_task:TASK",
    "video2vec": "gesta.tasks.text.vector_task:TASK",
}
"""Task name -> import path of its object."""
DEFAULT = "clips"
"""Task of recipes that name none, and of data that no other task recognizes."""
GROUP = "gesta.tasks"
"""Entry point group of further tasks: `name = "package.module:TASK"`."""
FORMER = {"classifier": "clips", "sequence": "features", "pose": "hands"}
"""Task names in older bundles and recipes -> current names."""


@cache
def _places() -> dict[str, str]:
    found = {point.name: point.value for point in entry_points(group=GROUP)}
    return {**found, **BUILT_IN}


def names() -> tuple[str, ...]:
    """Returns the names of all tasks, those of other packages last."""
    return (*BUILT_IN, *(name for name in _places() if name not in BUILT_IN))


def find(name: str) -> Task:
    """Returns the task of that current or former name. Raises GestaError (usage), listing all, if it is unknown."""
    name, places = FORMER.get(name, name), _places()
    if name not in places:
        raise GestaError(
            f"unknown task {name!r}; choose from {', '.join(names())}.{did_you_mean(name, names())}", usage=True
        )
    module, _, attribute = places[name].partition(":")
    try:
        task: Task = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # third-party code may raise anything
        raise GestaError(
            f"the task {name!r} is registered as {places[name]}, which cannot be imported: "
            f"{type(error).__name__}, {error}."
        ) from error
    return task


def every() -> list[Task]:
    """Returns all tasks."""
    return [find(name) for name in names()]


def of_bundle(path: Path | str) -> tuple[Task, Bundle[Any]]:
    """Returns (task, bundle). Raises GestaError if it is no bundle, invalid, or of an unknown or newer task."""
    document = io.manifest_document(path)
    kind, version = document.get("kind"), document.get("format_version")
    if not isinstance(kind, str) or FORMER.get(kind, kind) not in _places():
        if isinstance(version, int) and version > FORMAT_VERSION:
            io.refuse_newer(io.located(path), document, Manifest)
        raise GestaError(
            f"{path}: is a bundle of the task {kind!r}, which is not installed; installed are {', '.join(names())}. "
            "Install the package that provides this task, or get the bundle again."
        )
    task = find(kind)
    return task, io.read(path, task.manifest)


def read_bundle(path: Path | str) -> Bundle[Any]:
    """Returns the bundle at a path, of any task. Raises GestaError as `of_bundle` does."""
    return of_bundle(path)[1]


def of_recipe(name_or_path: str | Path) -> Task:
    """Returns the task of a recipe. Raises RecipeError if there is no such recipe."""
    return find(recipes.kind_of(recipes.document_of(name_or_path)))


def load_recipe(name_or_path: str | Path, sets: Sequence[str] = ()) -> Recipe:
    """Loads a recipe of any task, with changes as in `--set`. Raises RecipeError."""
    return recipes.load(name_or_path, of_recipe(name_or_path).recipe, sets)


def of_data(data: Path, layout: str | None = None) -> Task:
    """Returns the task of the training data in a folder: the first that recognizes it, otherwise clips."""
    return next((task for task in every() if task.name != DEFAULT and task.recognizes(data, layout)), find(DEFAULT))
