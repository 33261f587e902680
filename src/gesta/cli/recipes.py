"""`gesta recipes`: list the recipes, or print one in full."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gesta.cli.common import JsonFlag, emit
from gesta.schema import GestaError


def recipes(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Recipe to print in full.", show_default=False)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Also list recipes that only reproduce a paper.")] = False,
    json: JsonFlag = False,
) -> None:
    """List the training recipes, or print one in full.

    A recipe is a YAML file with all settings of a training run. To write your own, print one, change it, and give it
    to gesta train --recipe FILE.

    Examples:
      gesta recipes
      gesta recipes auto > mine.yaml
    """
    from gesta.recipes import RecipeError, read_text
    from gesta.tasks.catalog import load_recipe

    if name is None:
        listed = [entry for entry in _entries() if every or not entry["reproduces"]]
        emit({"recipes": listed}, None if json else _lines(listed, every), json)
        return
    try:
        text, recipe = read_text(name), load_recipe(name)
    except RecipeError as error:
        raise GestaError(str(error), usage=True) from error
    if json:
        emit({"name": name, "recipe": recipe.model_dump(mode="json"), "yaml": text}, None, json)
    else:
        typer.echo(text, nl=False)


def _entries() -> list[dict[str, Any]]:
    """Every recipe as a document, by task; a task of another package brings its default one, a file."""
    from gesta.recipes import names
    from gesta.tasks import catalog

    tasks = catalog.every()
    found = [
        (name, catalog.load_recipe(name)) for name in dict.fromkeys([*names(), *(t.default_recipe for t in tasks)])
    ]
    return [
        {"name": name, "title": recipe.title, "task": task.name, "cost": recipe.cost, "reproduces": recipe.reproduces}
        for task in tasks
        for name, recipe in found
        if recipe.task == task.name
    ]


def _lines(listed: list[dict[str, Any]], every: bool) -> str:
    """The list for people: a heading a task; of each recipe its name and purpose, and below them its cost."""
    from gesta.tasks.catalog import find

    width, lines = max(len(entry["name"]) for entry in listed), []
    for before, entry in zip([None, *listed], listed, strict=False):
        if before is None or before["task"] != entry["task"]:
            lines += ["", find(entry["task"]).title]
        of = f"; reproduces {entry['reproduces']}" if entry["reproduces"] else ""
        lines += [f"  {entry['name']:{width}}  {entry['title']}", f"  {'':{width}}  Cost: {entry['cost'] or '-'}{of}."]
    hint = [] if every else ["", "Recipes that only reproduce a paper: gesta recipes --all"]
    return "\n".join([*lines[1:], *hint])
